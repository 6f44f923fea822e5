"""Atomic writes of files and folders."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from okrcell.errors import InputError

CACHE_ENV = "OKRCELL_CACHE"
"""Environment variable with the folder for downloads and derived files."""


@contextmanager
def atomic_file(path: str | Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; it replaces ``path`` when the block ends without an error.

    Raises
    ------
    InputError
        If the folder of ``path`` does not exist or cannot be written.
    """
    target = Path(path)
    _check_writable(target)
    fd, temp_name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
    os.close(fd)
    temp_path = Path(temp_name)
    try:
        yield temp_path
        _fsync(temp_path)
        temp_path.chmod(0o666 & ~_umask())
        temp_path.replace(target)
    finally:
        temp_path.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: str | Path) -> Generator[Path]:
    """Yield a temporary folder beside ``path``; it replaces ``path`` when the block ends without an error.

    An existing folder at ``path`` is kept until then. If the process is killed, that folder is intact, either at ``path`` or
    under its backup name (``.NAME.old``), from which `recover_dir` restores it.

    Raises
    ------
    InputError
        If the parent folder of ``path`` does not exist or cannot be written.
    """
    target = Path(path)
    _check_writable(target)
    temp_path = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    backup = backup_path(target)
    try:
        yield temp_path
        for file in temp_path.rglob("*"):
            if file.is_file():
                _fsync(file)
        temp_path.chmod(0o777 & ~_umask())
        if target.exists():
            shutil.rmtree(backup, ignore_errors=True)
            target.replace(backup)
        temp_path.replace(target)
        shutil.rmtree(backup, ignore_errors=True)
    finally:
        shutil.rmtree(temp_path, ignore_errors=True)
        recover_dir(target)


def backup_path(path: Path) -> Path:
    """Path that holds the previous folder between the two renames of `atomic_dir`."""
    return path.with_name(f".{path.name}.old")


def recover_dir(path: str | Path) -> None:
    """Restore the previous folder if `atomic_dir` was interrupted between its two renames."""
    target = Path(path).resolve()
    backup = backup_path(target)
    if backup.is_dir() and not target.exists():
        backup.replace(target)


def _check_writable(target: Path) -> None:
    if not target.parent.is_dir():
        raise InputError(f"Cannot write {target}: there is no folder {target.parent}. Make it first.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"Cannot write {target}: the folder {target.parent} is read-only.")


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """Return the cache folder of knowledge files: in OKRCELL_CACHE, else in the system's cache folder."""
    import platformdirs

    return Path(os.environ.get(CACHE_ENV) or platformdirs.user_cache_dir("okrcell")).expanduser() / "knowledge"
