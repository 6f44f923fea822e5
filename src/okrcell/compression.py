"""Read files that may be gzipped, with a bound on what they decompress to."""

import gzip
import io
from pathlib import Path
from typing import IO, Any, cast

from okrcell.errors import InputError

MIN_LIMIT = 64 << 20
"""Number of decompressed bytes that are read whatever their ratio to the bytes on disk."""
CHUNK_SIZE = 1 << 20
MAX_RATIO = 100
"""Maximum ratio of decompressed bytes to bytes on disk. Real matrices and tables of names reach about 10, zeros 1,032."""


class _BoundedStream(io.RawIOBase):
    """Decompressed stream that ends with an error once it has ``max_ratio`` times the bytes that were read from disk."""

    def __init__(self, path: Path, max_ratio: int) -> None:
        self._path, self._max_ratio, self._n_bytes = path, max_ratio, 0
        self._file = path.open("rb")
        self._decompressed = gzip.GzipFile(fileobj=self._file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._decompressed.read(len(buffer))
        self._n_bytes += len(data)
        if self._n_bytes > max(MIN_LIMIT, self._max_ratio * self._file.tell()):
            raise InputError(
                f"{self._path} decompresses to an impossible size, more than {self._max_ratio} times its own: it is damaged "
                f"or made to exhaust memory. If it is neither, unpack it first: gunzip {self._path.name}."
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        super().close()
        self._file.close()


def open_maybe_gzip(path: Path, max_ratio: int = MAX_RATIO) -> IO[bytes]:
    """Open a file for reading; gzip is recognized by its first bytes, whatever the name, and decompressed.

    The stream raises `InputError` once it has more than `MIN_LIMIT` bytes and ``max_ratio`` times the bytes read from disk.
    """
    return cast(IO[bytes], io.BufferedReader(_BoundedStream(path, max_ratio)) if is_gzip(path) else path.open("rb"))


def check_decompressed_size(path: Path) -> None:
    """Check that a file can be decompressed, within the bound.

    Raises
    ------
    InputError
        If it decompresses to an impossible size.
    """
    if is_gzip(path):
        with open_maybe_gzip(path) as file:
            while file.read(CHUNK_SIZE):
                pass


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzip does."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def max_size(path: Path, max_ratio: int = MAX_RATIO) -> int:
    """Maximum number of bytes that `open_maybe_gzip` reads from a file."""
    size = path.stat().st_size
    return max(MIN_LIMIT, max_ratio * size) if is_gzip(path) else size
