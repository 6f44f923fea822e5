"""Atomic writes of files and folders."""

import errno
import logging
import os
import platform
import re
import secrets
import shutil
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from okrcell.errors import InputError, OkrcellError

logger = logging.getLogger(__name__)

CACHE_ENV = "OKRCELL_CACHE"
"""Environment variable with the folder for downloads and derived files."""
MAX_NAME_BYTES = 255
"""Maximum length of a file name on the usual file systems."""
_MAX_PREFIX_BYTES, _MAX_SUFFIX = 180, 16
_DRAFT = re.compile(r"\..*\.okrcell-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}(\..*)?", re.DOTALL)
FILE_ERRORS = {
    errno.ENOSPC: "Free some space, or choose another place.",
    errno.EDQUOT: "Free some space, or choose another place.",
    errno.EFBIG: "Choose a place that accepts large files.",
    errno.EROFS: "Choose another place.",
    errno.EACCES: "Check its permissions, or choose another place.",
    errno.EPERM: "Check its permissions, or choose another place.",
    errno.EIO: "Check the disk and its free space.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}
"""What to do about an error of the file system, by its number."""
_ERROR_NUMBER = re.compile(r"(?:os error|errno =|[Ee]rrno) (\d+)")
_CLOSING_ERROR = "Can't decrement id ref count"
"""What HDF5 says when it cannot write the rest of a file that it closes."""
_open_drafts: set[Path] = set()


@contextmanager
def atomic_file(path: str | Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; it replaces ``path`` when the block ends without an error.

    Drafts that killed processes left in the folder are removed first.

    Raises
    ------
    InputError
        If the folder of ``path`` does not exist or cannot be written, the disk is full, or the name is too long.
    """
    target = Path(path)
    with _new_draft(target, is_folder=False) as draft:
        yield draft
        _fsync(draft)
        draft.chmod(0o666 & ~_umask())
        draft.replace(target)


@contextmanager
def atomic_dir(path: str | Path) -> Generator[Path]:
    """Yield a temporary folder beside ``path``; it replaces ``path`` when the block ends without an error.

    An existing folder at ``path`` is kept until then. If the process is killed, that folder is intact, either at ``path`` or
    under its backup name (``.NAME.old``), from which `recover_dir` restores it. Drafts that killed processes left beside it
    are removed first.

    Raises
    ------
    InputError
        If the parent folder of ``path`` does not exist or cannot be written, the disk is full, or the name is too long.
    """
    target = Path(path)
    backup = backup_path(target)
    with _new_draft(target, is_folder=True) as draft:
        try:
            yield draft
            for file in draft.rglob("*"):
                if file.is_file():
                    _fsync(file)
            draft.chmod(0o777 & ~_umask())
            if target.exists():
                shutil.rmtree(backup, ignore_errors=True)
                target.replace(backup)
            draft.replace(target)
            shutil.rmtree(backup, ignore_errors=True)
        finally:
            recover_dir(target)


@contextmanager
def file_lock(path: str | Path) -> Generator[None]:
    """Hold the exclusive right to write ``path``; the system releases it if the process is killed.

    Raises
    ------
    InputError
        If another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    target = Path(path)
    _check_writable(target)
    lock_path = target.with_name(f".{_shorten(target.name)}.lock")
    with lock_path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"Another process is writing {target}. Wait for it to end, or choose another output."
            ) from None
        except OSError:
            logger.info("The file system of %s has no locks", target)
        if os.fstat(lock.fileno()).st_nlink == 0:  # the former holder has just removed it
            raise InputError(f"Another process was writing {target} until now. Run the command again.")
        try:
            yield
        finally:
            lock_path.unlink(missing_ok=True)


@contextmanager
def _new_draft(target: Path, *, is_folder: bool) -> Generator[Path]:
    """Yield a new file or folder with a name that tells which process writes it; it is removed at the end."""
    try:
        _check_writable(target)
        clear_drafts(target.parent)
        draft = target.with_name(
            f".{_shorten(target.name)}.okrcell-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
            f"{target.suffix if len(target.suffix) <= _MAX_SUFFIX else ''}"
        )
        _open_drafts.add(draft.absolute())
        try:
            if is_folder:
                draft.mkdir(mode=0o700)
            else:
                draft.touch(mode=0o600, exist_ok=False)
            yield draft
        finally:
            _remove(draft)
            _open_drafts.discard(draft.absolute())
    except OkrcellError:
        raise
    except Exception as error:
        number = error_number(error)
        if number not in FILE_ERRORS:
            raise
        raise InputError(f"Cannot write {target}: {os.strerror(number)}. {FILE_ERRORS[number]}") from error


def clear_drafts(folder: Path) -> None:
    """Remove the drafts in ``folder`` of processes of this machine that no longer run."""
    try:
        paths = list(folder.iterdir())
    except OSError:
        return  # a folder that can be written, but not listed
    for path in paths:
        match = _DRAFT.fullmatch(path.name)
        if match and match.group(1) == _host() and not _is_written(path, int(match.group(2))):
            _remove(path)


def _is_written(draft: Path, pid: int) -> bool:
    if pid == os.getpid():
        # In a container, every run may have the same number.
        return draft.absolute() in _open_drafts
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _shorten(name: str) -> str:
    return os.fsencode(name)[:_MAX_PREFIX_BYTES].decode(errors="ignore")


def error_number(error: BaseException | None) -> int:
    """Return the number of the file system's error behind an exception, 0 if there is none.

    Libraries that write in other languages (HDF5, Arrow, safetensors) report it in their message only, and HDF5 fails once more
    when it closes the file.
    """
    if error is None:
        return 0
    if isinstance(error, OSError) and error.errno:
        return error.errno
    match = _ERROR_NUMBER.search(str(error))
    if match:
        return int(match.group(1))
    return error_number(error.__cause__ or error.__context__) or (errno.EIO if _CLOSING_ERROR in str(error) else 0)


def backup_path(path: Path) -> Path:
    """Path that holds the previous folder between the two renames of `atomic_dir`."""
    return path.with_name(f".{_shorten(path.name)}.old")


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
    n_bytes = len(os.fsencode(target.name))
    if n_bytes > MAX_NAME_BYTES:
        raise InputError(
            f"Cannot write {target.name[:40]}…: the name has {n_bytes} bytes, at most {MAX_NAME_BYTES} are possible. "
            "Choose a shorter name."
        )


def check_writable(path: str | Path) -> None:
    """Check before any work is done that ``path`` can be written by `atomic_file`, by making and removing a draft.

    Raises
    ------
    InputError
        If it is a folder, its folder does not exist or cannot be written, the disk is full, or the name is too long.
    """
    if Path(path).is_dir():
        raise InputError(f"Cannot write {path}: it is a folder. Choose another output.")
    with _new_draft(Path(path), is_folder=False):
        pass


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
