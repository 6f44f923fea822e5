"""Provenance records and fingerprints of inputs."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from okrcell.errors import InputError
from okrcell.provenance import PACKAGES, fingerprint, provenance_record, write_json


def test_a_receipt_says_what_was_done_when_and_with_which_versions():
    before = datetime.now(UTC).replace(microsecond=0)
    record = provenance_record("embed", seed=7, inputs={"cells.h5ad": "abc"})
    assert record["verb"] == "embed"
    assert (record["seed"], record["inputs"]) == (7, {"cells.h5ad": "abc"})
    assert before <= datetime.fromisoformat(record["time"]) <= datetime.now(UTC)
    assert set(record["versions"]) == set(PACKAGES)
    assert record["versions"]["okrcell"] == version("okrcell")
    assert "not installed" not in record["versions"].values()
    assert json.loads(json.dumps(record)) == record


def test_a_package_that_is_absent_is_said_to_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("okrcell.provenance.PACKAGES", ("no-such-package-anywhere",))
    assert provenance_record("embed")["versions"] == {"no-such-package-anywhere": "not installed"}


def test_a_receipt_asks_for_versions_without_importing_the_packages():
    script = (
        "import sys; from okrcell.provenance import provenance_record; "
        "provenance_record('embed'); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_fingerprint_of_a_file_is_its_sha256_and_not_its_name(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"cells")
    (tmp_path / "b").write_bytes(b"cells")
    assert fingerprint(tmp_path / "a") == hashlib.sha256(b"cells").hexdigest() == fingerprint(tmp_path / "b")


def folder_of(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_fingerprint_of_a_folder_knows_names_and_contents_but_not_the_order_of_writing(tmp_path: Path):
    first = folder_of(tmp_path / "1", {"x": "one", "inner/y": "two"})
    again = folder_of(tmp_path / "2", {"inner/y": "two", "x": "one"})
    assert fingerprint(first) == fingerprint(again)
    others = [{"x": "one", "inner/y": "2"}, {"x": "one", "y": "two"}, {"x": "two", "inner/y": "one"}, {"x": "one"}]
    seen = {fingerprint(folder_of(tmp_path / f"other{number}", files)) for number, files in enumerate(others)}
    assert len(seen | {fingerprint(first)}) == len(others) + 1


def test_json_is_written_whole_with_its_keys_in_their_own_order(tmp_path: Path):
    path = tmp_path / "receipt.json"
    write_json(path, {"z": 1, "a": "γδ T cell"})
    assert path.read_text(encoding="utf-8") == '{\n  "z": 1,\n  "a": "γδ T cell"\n}\n'
    with pytest.raises(TypeError):
        write_json(path, {"z": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"z": 1, "a": "γδ T cell"}


def test_what_is_not_there_has_no_fingerprint(tmp_path: Path):
    with pytest.raises(InputError, match=r"no file or folder at .*absent"):
        fingerprint(tmp_path / "absent")
