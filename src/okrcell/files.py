"""Atomic writes of files and folders."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from okrcell.errors import InputError


@contextmanager
def whole_file(path: str | Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; it replaces ``path`` when the block ends without an error.

    Raises
    ------
    InputError
        If the folder of ``path`` does not exist or cannot be written.
    """
    target = Path(path)
    _folder_must_take_files(target)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        _to_disk(draft)
        draft.chmod(0o666 & ~_umask())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Generator[Path]:
    """Yield a temporary folder beside ``path``; it replaces ``path`` when the block ends without an error.

    An existing folder at ``path`` is kept until then. If the process is killed, that folder is intact, either at ``path`` or
    under its backup name (``.NAME.old``), from which `recover_folder` restores it.

    Raises
    ------
    InputError
        If the parent folder of ``path`` does not exist or cannot be written.
    """
    target = Path(path)
    _folder_must_take_files(target)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    old = old_twin(target)
    try:
        yield draft
        for file in draft.rglob("*"):
            if file.is_file():
                _to_disk(file)
        draft.chmod(0o777 & ~_umask())
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.replace(old)
        draft.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        recover_folder(target)


def old_twin(path: Path) -> Path:
    """Path that holds the previous folder between the two renames of `whole_folder`."""
    return path.with_name(f".{path.name}.old")


def recover_folder(path: str | Path) -> None:
    """Restore the previous folder if `whole_folder` was interrupted between its two renames."""
    target = Path(path).resolve()
    old = old_twin(target)
    if old.is_dir() and not target.exists():
        old.replace(target)


def _folder_must_take_files(target: Path) -> None:
    if not target.parent.is_dir():
        raise InputError(f"Cannot write {target}: there is no folder {target.parent}. Make it first.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"Cannot write {target}: the folder {target.parent} is read-only.")


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
