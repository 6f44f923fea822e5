"""The literature index is built once and shared by processes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from okrcell.descriptions import rag as library
from okrcell.descriptions.rag import LiteratureRetriever, RetrievalSettings, build_query, open_retriever
from okrcell.errors import InputError
from okrcell.knowledge.literature import LiteratureSource
from okrcell.ontology.obs_profile import read_profile

PROFILE = read_profile({"cell_type": "B cell"})
ASK = """
import sys
from pathlib import Path
from okrcell.knowledge.passage_index import PassageIndex
from okrcell.knowledge.literature import LiteratureSource
from okrcell.descriptions.rag import RetrievalSettings, open_retriever
from okrcell.ontology.obs_profile import read_profile
build = PassageIndex.build
def build_and_print(*arguments):
    print("built")
    return build(*arguments)
PassageIndex.build = build_and_print
print("ready", flush=True)
sys.stdin.readline()
retriever = open_retriever([LiteratureSource(Path(sys.argv[1]))], RetrievalSettings(), None)
print(len(retriever.passages(read_profile({"cell_type": "B cell"}))))
"""


@pytest.fixture
def literature(tmp_path: Path) -> Path:
    lines = (f'{{"pmid": "{number}", "abstract": "B cells make antibody {number}."}}' for number in range(400))
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    return tmp_path / "mine.jsonl"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def ask(literature: Path) -> LiteratureRetriever:
    found = open_retriever([LiteratureSource(literature)], RetrievalSettings(), None)
    assert found is not None
    assert len(found.passages(PROFILE)) == 5
    return found


def indexes(cache: Path) -> list[Path]:
    return [folder for folder in (cache / "indexes").iterdir() if folder.is_dir()]


def test_the_index_is_kept_and_opened_again(literature: Path, cache: Path):
    ask(literature)
    (index,) = indexes(cache)
    made = (index / "index.json").stat().st_mtime_ns
    ask(literature)
    assert [(index / "index.json").stat().st_mtime_ns for index in indexes(cache)] == [made]


def test_the_disease_is_part_of_the_query(literature: Path, cache: Path):
    with literature.open("a") as file:
        file.write('\n{"pmid": "900", "abstract": "Systemic lupus erythematosus has autoantibodies."}')
    diseased = read_profile({"cell_type": "B cell", "disease": "systemic lupus erythematosus"})
    assert build_query(diseased, RetrievalSettings()) == "B cell, systemic lupus erythematosus"
    healthy = read_profile({"cell_type": "B cell", "disease": "normal"})
    assert build_query(healthy, RetrievalSettings()) == "B cell"
    retriever = open_retriever([LiteratureSource(literature)], RetrievalSettings(), None)
    assert retriever is not None
    assert "PMID:900" in [passage.record for passage in retriever.passages(diseased)]
    assert "PMID:900" not in [passage.record for passage in retriever.passages(healthy)]


def test_another_version_of_the_ontology_makes_another_index(
    literature: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    ask(literature)
    monkeypatch.setattr(
        library, "provenance_record", lambda verb: {"versions": dict.fromkeys(library._VERSIONED_PACKAGES, "another")}
    )
    ask(literature)
    assert len(indexes(cache)) == 2


def test_a_damaged_index_is_made_again(literature: Path, cache: Path):
    ask(literature)
    (index,) = indexes(cache)
    (index / "passages.arrow").write_bytes(b"")
    ask(literature)
    assert (index / "passages.arrow").stat().st_size > 0


def test_processes_that_ask_at_once_build_one_index_and_all_get_answers(literature: Path, cache: Path):
    command = [sys.executable, "-c", ASK, str(literature)]
    asking = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in asking:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in asking:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in asking]
    assert sorted((answer.split(), errors) for answer, errors in answers) == [(["5"], ""), (["built", "5"], "")]
    assert len(indexes(cache)) == 1


def test_whoever_asks_waits_while_another_builds(literature: Path, cache: Path):
    ask(literature)
    (index,) = indexes(cache)
    with ThreadPoolExecutor(1) as other:
        with library._file_lock(index):
            future = other.submit(ask, literature)
            with pytest.raises(TimeoutError):
                future.result(timeout=0.5)
        future.result(timeout=60)


@pytest.mark.parametrize("blocked", ["cache", "cache/indexes", "the index", "a folder of another"])
def test_a_cache_that_takes_no_files_costs_time_and_nothing_else(literature: Path, cache: Path, blocked: str):
    place = cache.parent / blocked
    if not blocked.startswith("cache"):
        ask(literature)
        (place,) = indexes(cache)
        for file in sorted(place.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    if blocked == "a folder of another":
        place.mkdir()
        place = place / "letter"
    place.write_text("mine")
    ask(literature)
    assert place.read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_cache_that_is_read_only_costs_time_and_nothing_else(literature: Path, cache: Path):
    (cache / "indexes").mkdir(parents=True)
    (cache / "indexes").chmod(0o555)
    ask(literature)
    assert not indexes(cache)
    (cache / "indexes").chmod(0o755)


def test_literature_without_words_is_told_with_its_place(tmp_path: Path, cache: Path):
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(InputError, match=r"none\.json contains no abstract"):
        ask(tmp_path / "none.json")
