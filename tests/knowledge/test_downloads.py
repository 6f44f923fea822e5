"""Download of knowledge files from a local HTTP server: resume, sha256 check, errors."""

import hashlib
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import okrcell.cli
import okrcell.cli.pretraining
from okrcell.errors import InputError
from okrcell.knowledge import downloads as module
from okrcell.knowledge.downloads import CatalogEntry, KnowledgeFiles, RemoteFile
from okrcell.knowledge.registry import SOURCES, open_sources, unavailable_sources

CONTENT = bytes(range(256)) * 1200
FILE, UNPUBLISHED = "cl_terms.json.gz", "human_genes.csv.gz"


@dataclass
class Server:
    """Behaviour of the test server, and the requests that it received."""

    url: str = ""
    content: bytes = CONTENT
    cut_after: int | None = None
    ranges: bool = True
    requests: list = field(default_factory=list)


@pytest.fixture
def server():
    printed = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            printed.requests.append((self.path, wanted))
            if not self.path.endswith(FILE):
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and printed.ranges else 0
            if start > len(printed.content):
                self.send_error(416)
                return
            body = printed.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if printed.cut_after is None else body[: printed.cut_after])

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    printed.url = f"http://127.0.0.1:{listening.server_port}/knowledge"
    yield printed
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def cache(monkeypatch, tmp_path, server):
    """Empty user cache, and two declared files of which one is published."""
    folder = tmp_path / "cache" / "knowledge"
    sha256 = hashlib.sha256(CONTENT).hexdigest()

    def declared(file, published):
        return CatalogEntry(
            file=file, what="bytes", version="1", licence="CC0", sha256=sha256, bytes=len(CONTENT),
            published=published, origin="https://example.org",
        )  # fmt: skip

    published = RemoteFile(url=f"{server.url}/{FILE}", sha256=sha256, bytes=len(CONTENT))
    known = {FILE: declared(FILE, published), UNPUBLISHED: declared(UNPUBLISHED, None)}
    monkeypatch.setattr(module, "file_catalog", lambda: known)
    monkeypatch.setattr(module, "cache_folder", lambda: folder)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv(module.KNOWLEDGE_ENV, raising=False)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_fetched_once(cache, server):
    steps = []
    held = KnowledgeFiles().fetch(FILE, progress=lambda *step: steps.append(step))
    assert held.path.read_bytes() == CONTENT
    assert held.version == f"1, sha256 {held.entry.sha256[:12]}"
    assert steps[-1] == (len(CONTENT), len(CONTENT), FILE)
    KnowledgeFiles().fetch(FILE)
    assert server.requests == [(f"/knowledge/{FILE}", None)]
    assert names(cache) == [FILE]


def test_a_url_given_by_the_user_is_asked_by_file_name(cache, server):
    assert KnowledgeFiles(f"{server.url}/mine/").local_file(FILE).path.read_bytes() == CONTENT
    assert server.requests == [(f"/knowledge/mine/{FILE}", None)]


def test_a_file_published_with_other_line_ends_is_still_the_same(cache, server, monkeypatch):
    server.content = CONTENT.replace(b"\n", b"\r\n")
    there = {"sha256": hashlib.sha256(server.content).hexdigest(), "bytes": len(server.content)}
    declared = module.file_catalog()[FILE]
    published = declared.published.model_copy(update=there)
    monkeypatch.setattr(module, "file_catalog", lambda: {FILE: declared.model_copy(update={"published": published})})
    assert KnowledgeFiles().fetch(FILE).version.startswith("1, sha256 ")
    KnowledgeFiles().fetch(FILE)
    assert len(server.requests) == 1
    (cache / FILE).unlink()
    server.content = CONTENT
    assert KnowledgeFiles(server.url).fetch(FILE).version.startswith("1, sha256 ")


def test_the_environment_may_name_the_place(cache, server, monkeypatch, tmp_path):
    monkeypatch.setenv(module.KNOWLEDGE_ENV, f"{server.url}/env")
    KnowledgeFiles().local_file(FILE)
    assert server.requests == [(f"/knowledge/env/{FILE}", None)]
    monkeypatch.setenv(module.KNOWLEDGE_ENV, str(tmp_path))
    assert KnowledgeFiles().folder == tmp_path


def test_another_file_is_refused_and_leaves_nothing(cache, server):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(InputError, match=r"is not the declared file cl_terms\.json\.gz"):
        KnowledgeFiles().fetch(FILE)
    assert names(cache) == []
    server.content = CONTENT
    assert KnowledgeFiles().fetch(FILE).path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-5], CONTENT + b"more", b""], ids=["shorter", "longer", "empty"])
def test_a_file_of_another_length_is_refused_and_leaves_nothing(cache, server, content):
    server.content = content
    with pytest.raises(InputError, match="is not the declared file"):
        KnowledgeFiles().fetch(FILE)
    assert names(cache) == []


def test_a_cut_connection_leaves_no_half_file_and_the_next_call_goes_on(cache, server):
    server.cut_after = 100_000
    with pytest.raises(InputError, match=r"was not downloaded completely.*resumes"):
        KnowledgeFiles().fetch(FILE)
    assert not KnowledgeFiles().has_file(FILE)
    server.cut_after = None
    assert KnowledgeFiles().fetch(FILE).path.read_bytes() == CONTENT
    assert server.requests[1] == (f"/knowledge/{FILE}", "bytes=100000-")
    assert names(cache) == [FILE]


def test_a_server_that_cannot_go_on_starts_again(cache, server):
    server.cut_after, server.ranges = 100_000, False
    with pytest.raises(InputError):
        KnowledgeFiles().fetch(FILE)
    server.cut_after = None
    assert KnowledgeFiles().fetch(FILE).path.read_bytes() == CONTENT


def test_a_part_longer_than_what_the_server_has_is_thrown_away(cache, server):
    server.cut_after = 200_000
    with pytest.raises(InputError):
        KnowledgeFiles().fetch(FILE)
    server.cut_after, server.content = None, CONTENT[:150_000]
    with pytest.raises(InputError, match="is not the declared file"):
        KnowledgeFiles().fetch(FILE)
    assert names(cache) == []


def test_a_file_that_is_not_there_is_told(cache, server):
    with pytest.raises(InputError, match=r"human_genes\.csv\.gz answers 404"):
        KnowledgeFiles(server.url).local_file(UNPUBLISHED)


def test_a_server_that_is_not_there_is_told(cache):
    with pytest.raises(InputError, match=r"was not downloaded completely.*refused"):
        KnowledgeFiles("http://127.0.0.1:9").local_file(FILE)


def test_a_file_that_was_published_nowhere_says_what_to_do(cache):
    with pytest.raises(InputError, match=r"not published itself.*--knowledge") as error:
        KnowledgeFiles().fetch(UNPUBLISHED)
    assert "\n" not in str(error.value)


def test_nothing_is_fetched_by_asking_whether_it_is_here(cache, server):
    with pytest.raises(InputError, match=r"okrcell knowledge fetch cl_terms\.json\.gz"):
        KnowledgeFiles().local_file(FILE)
    assert server.requests == []


def test_a_folder_of_the_user_is_read_as_it_is(cache, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FILE).write_bytes(b"my own")
    files = KnowledgeFiles(tmp_path / "mine")
    assert files.local_file(FILE).path.read_bytes() == b"my own"
    assert files.local_file(FILE).version.startswith("another copy, sha256 ")
    with pytest.raises(InputError, match=r"human_genes\.csv\.gz .* is not in .*mine. Put it there"):
        files.local_file(UNPUBLISHED)
    with pytest.raises(InputError, match="There is no folder of knowledge files"):
        KnowledgeFiles(tmp_path / "nowhere")


def run(*words):
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(["knowledge", *map(str, words)])
    return ended.value.code


def test_fetch_tells_what_came_and_what_was_published_nowhere(cache, capsys):
    assert run("fetch") == 0
    printed = capsys.readouterr()
    assert f"Have 1 file in {cache}" in printed.out
    assert ": licence CC0, as stated by https://example.org" in printed.out
    assert f"not published: {UNPUBLISHED}." in printed.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("fetch", UNPUBLISHED), "--knowledge"),
        (("fetch", "nonsense"), "'nonsense'"),
        (("info", "nonsense"), "'nonsense'"),
        (("fetch", "--knowledge", "."), "your own folder"),
        (("list", "--knowledge", "./nowhere"), "nowhere"),
    ],
)
def test_a_mistake_is_one_line(cache, capsys, words, line):
    assert run(*words) == 2
    printed = capsys.readouterr().err.strip()
    assert line in printed
    assert printed.startswith("okrcell: ")
    assert "\n" not in printed


def test_list_and_info_tell_of_every_source(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    monkeypatch.delenv(module.KNOWLEDGE_ENV, raising=False)
    assert run("list") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in SOURCES)
    for name in SOURCES:
        assert run("info", name) == 0
        printed = capsys.readouterr().out
        assert name in printed
        assert all(file in printed for file in SOURCES[name].files)


def test_without_files_there_are_the_ontologies_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    monkeypatch.delenv(module.KNOWLEDGE_ENV, raising=False)
    assert [source.name for source in open_sources()] == ["ontologies"]
    assert set(unavailable_sources()) == set(SOURCES) - {"ontologies"}


def test_the_environment_may_name_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path))
    monkeypatch.delenv("OKRCELL_KNOWLEDGE", raising=False)
    assert module.cache_folder() == KnowledgeFiles().folder == tmp_path / "knowledge"
    monkeypatch.delenv("OKRCELL_CACHE")
    assert tmp_path not in module.cache_folder().parents


def test_the_shared_files_are_those_that_are_declared(shared_knowledge):
    for name, snapshot in module.file_catalog().items():
        held = KnowledgeFiles(shared_knowledge).local_file(name)
        assert held.sha256 == snapshot.sha256, name
        assert held.version.startswith(snapshot.version)


def test_every_file_of_a_source_is_declared():
    assert {file for kind in SOURCES.values() for file in kind.files} == set(module.file_catalog())


def test_the_verbs_load_nothing_heavy():
    heavy = "torch", "pandas", "pooch", "cellxgene_ontology_guide", "scanpy"
    code = f"import okrcell.cli.pretraining, sys; assert not set({heavy}) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "url",
    ["https://anna:s3cret@host/files", "https://host/files?token=s3cret", "ftp://anna:s3cret@host", "http://[s3cret"],
)
def test_a_password_in_the_address_of_the_files_is_refused_and_not_repeated(url):
    with pytest.raises(InputError) as refused:
        KnowledgeFiles(url)
    assert "s3cret" not in str(refused.value) or url == "http://[s3cret"


def test_a_copy_that_is_cut_short_is_refused(shared_knowledge, tmp_path):
    name = "PanglaoDB_markers_27_Mar_2020.tsv"
    whole = (shared_knowledge / name).read_bytes()
    lines = whole.splitlines(keepends=True)
    crlf = whole.replace(b"\n", b"\r\n")
    for content in (b"".join(lines[: len(lines) // 2]), whole[:-1], crlf[: len(crlf) // 2]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="is cut short: it has"):
            KnowledgeFiles(tmp_path).local_file(name)
    for content in (whole, crlf, b"another\ttable\n"):
        (tmp_path / name).write_bytes(content)
        KnowledgeFiles(tmp_path).local_file(name)
