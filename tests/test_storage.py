"""Outputs are written atomically, even if the process is killed."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from okrcell.errors import InputError
from okrcell.storage import atomic_dir, atomic_file, backup_path, file_lock, recover_dir


class PowerCutError(Exception):
    """Stand-in for any error while an output is written."""


def run_until_killed(script: str, *arguments: Path) -> None:
    """Run Python code that kills itself with SIGKILL, and check that it did."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def fill(folder: Path, text: str) -> None:
    (folder / "inner").mkdir()
    (folder / "card.json").write_text(text)
    (folder / "inner" / "weights").write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}


def whole(text: str) -> dict[str, str]:
    return {"card.json": text, "inner/weights": text}


@pytest.fixture
def open_umask():
    former = os.umask(0o022)
    yield
    os.umask(former)


def test_a_file_takes_its_place_when_the_block_ends_well(tmp_path: Path):
    target = tmp_path / "cells.h5ad"
    target.write_text("old")
    with atomic_file(target) as draft:
        draft.write_text("new")
        assert draft.suffix == target.suffix
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_the_old_file_and_no_draft(tmp_path: Path):
    target = tmp_path / "cells.h5ad"
    target.write_text("old")
    with pytest.raises(PowerCutError), atomic_file(target) as draft:
        draft.write_text("ha")
        raise PowerCutError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_nothing_where_nothing_was(tmp_path: Path):
    with pytest.raises(PowerCutError), atomic_file(tmp_path / "cells.h5ad") as draft:
        draft.write_text("ha")
        raise PowerCutError
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_the_old_file_whole(tmp_path: Path):
    target = tmp_path / "cells.h5ad"
    target.write_text("old")
    run_until_killed(
        """
import os, signal, sys
from okrcell.storage import atomic_file
with atomic_file(sys.argv[1]) as draft:
    draft.write_text("ha")
    os.kill(os.getpid(), signal.SIGKILL)
""",
        target,
    )
    assert target.read_text() == "old"


def test_a_file_and_a_folder_may_be_read_by_those_whom_the_umask_allows(tmp_path: Path, open_umask: None):
    with atomic_file(tmp_path / "file") as draft:
        draft.write_text("new")
    with atomic_dir(tmp_path / "folder") as draft:
        fill(draft, "new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o755


@pytest.mark.parametrize("writer", [atomic_file, atomic_dir])
def test_a_missing_or_read_only_place_is_refused_at_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: type[atomic_file]
):
    with (
        pytest.raises(InputError, match=r"there is no folder .*absent\. Make it first\."),
        writer(tmp_path / "absent" / "out"),
    ):
        pass
    monkeypatch.setattr(os, "access", lambda *_: False)  # root can write to read-only folders
    with pytest.raises(InputError, match="is read-only"), writer(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_takes_its_place_when_the_block_ends_well(tmp_path: Path):
    target = tmp_path / "model"
    for text in ("old", "new"):
        with atomic_dir(target) as draft:
            fill(draft, text)
        assert contents(target) == whole(text)
        assert list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_the_old_folder_and_no_draft(tmp_path: Path):
    target = tmp_path / "model"
    with atomic_dir(target) as draft:
        fill(draft, "old")
    with pytest.raises(PowerCutError), atomic_dir(target) as draft:
        (draft / "card.json").write_text("ha")
        raise PowerCutError
    assert contents(target) == whole("old")
    assert list(tmp_path.iterdir()) == [target]


def test_a_process_killed_while_it_fills_a_folder_leaves_the_old_one_whole(tmp_path: Path):
    target = tmp_path / "model"
    with atomic_dir(target) as draft:
        fill(draft, "old")
    run_until_killed(
        """
import os, signal, sys
from okrcell.storage import atomic_dir
with atomic_dir(sys.argv[1]) as draft:
    (draft / "card.json").write_text("ha")
    os.kill(os.getpid(), signal.SIGKILL)
""",
        target,
    )
    recover_dir(target)
    assert contents(target) == whole("old")


KILLED_AT_A_RENAME = """
import os, signal, sys
from pathlib import Path
from okrcell.storage import atomic_dir

rename, renames = Path.replace, []

def replace(self, target):
    renames.append(target)
    if len(renames) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.replace = replace
with atomic_dir(sys.argv[1]) as draft:
    (draft / "inner").mkdir()
    (draft / "card.json").write_text("new")
    (draft / "inner" / "weights").write_text("new")
"""


@pytest.mark.parametrize("rename", [1, 2])
def test_a_process_killed_at_either_rename_leaves_a_folder_that_can_be_put_back(tmp_path: Path, rename: int):
    target = tmp_path / "model"
    with atomic_dir(target) as draft:
        fill(draft, "old")
    run_until_killed(KILLED_AT_A_RENAME, target, Path(str(rename)))
    assert target.exists() == (rename == 1)
    recover_dir(target)
    assert contents(target) == whole("old")
    with atomic_dir(target) as draft:
        fill(draft, "newer")
    assert contents(target) == whole("newer")
    assert not backup_path(target).exists()


def test_recovery_leaves_a_whole_folder_alone(tmp_path: Path):
    target = tmp_path / "model"
    recover_dir(target)
    assert not target.exists()
    with atomic_dir(target) as draft:
        fill(draft, "new")
    twin = backup_path(target)
    twin.mkdir()
    fill(twin, "old")
    recover_dir(target)
    assert contents(target) == whole("new")


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "model"
    with atomic_dir(target) as draft:
        fill(draft, "old")
    rename = Path.replace

    def refuse_the_draft(self: Path, place: Path) -> Path:
        if place == target and self != backup_path(target):
            raise OSError("the disk is gone for a moment")
        return rename(self, place)

    monkeypatch.setattr(Path, "replace", refuse_the_draft)
    with pytest.raises(OSError, match="gone for a moment"), atomic_dir(target) as draft:
        fill(draft, "new")
    assert contents(target) == whole("old")
    assert list(tmp_path.iterdir()) == [target]


LEAVES_A_DRAFT = """
import os, signal, sys
from okrcell.storage import atomic_dir, atomic_file
with atomic_file(sys.argv[1]) as file, atomic_dir(sys.argv[2]) as folder:
    file.write_text("ha")
    (folder / "card.json").write_text("ha")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_run_removes_the_drafts_of_a_killed_one_and_no_others(tmp_path: Path):
    run_until_killed(LEAVES_A_DRAFT, tmp_path / "cells.h5ad", tmp_path / "model")
    assert len(list(tmp_path.iterdir())) == 2
    foreign = tmp_path / ".cells.h5ad.okrcell-00000000-1-0123abcd.h5ad"  # a process of another machine
    foreign.write_text("ha")
    with atomic_file(tmp_path / "other.tsv") as draft, atomic_file(tmp_path / "another.tsv") as second:
        draft.write_text("new")
        second.write_text("new")
        assert sorted(tmp_path.iterdir()) == sorted([draft, second, foreign])
    assert {path.name for path in tmp_path.iterdir()} == {"other.tsv", "another.tsv", foreign.name}


@pytest.mark.parametrize("writer", [atomic_file, atomic_dir])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path, writer: type[atomic_file]):
    for _ in range(2):  # the second time a folder has a backup
        with writer(tmp_path / ("ä" * 127)) as draft:
            if writer is atomic_file:
                draft.write_text("new")
    assert [len(os.fsencode(path.name)) for path in tmp_path.iterdir()] == [254]
    with pytest.raises(InputError, match="has 256 bytes, at most 255 are possible"), writer(tmp_path / ("ä" * 128)):
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "file"),
        RuntimeError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        ValueError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line_whichever_library_finds_it(tmp_path: Path, error: Exception):
    with (
        pytest.raises(InputError, match=r"Cannot write .*cells\.h5ad: No space left on device\. Free some space"),
        atomic_file(tmp_path / "cells.h5ad"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_closed_is_one_line(tmp_path: Path):
    with (
        pytest.raises(InputError, match=r"Cannot write .*cells\.h5ad: Input/output error\. Check the disk"),
        atomic_file(tmp_path / "cells.h5ad"),
    ):
        raise RuntimeError("Can't decrement id ref count (can't decrement ref. count)")


def test_a_file_too_large_for_the_system_leaves_the_old_one(tmp_path: Path):
    target = tmp_path / "cells.h5ad"
    target.write_text("old")
    script = """
import resource, sys
from okrcell.errors import InputError
from okrcell.storage import atomic_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic_file(sys.argv[1]) as draft:
        draft.write_bytes(bytes(5000))
except InputError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", script, target], check=True, capture_output=True, text=True)
    assert "File too large" in ended.stdout
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_file_has_one_writer_at_a_time(tmp_path: Path):
    target = tmp_path / "texts.parquet"
    for _ in range(2):
        with file_lock(target):
            with pytest.raises(InputError, match=r"Another process is writing .*texts\.parquet"), file_lock(target):
                pass
            with file_lock(tmp_path / "other.parquet"):
                pass
    assert list(tmp_path.iterdir()) == []
