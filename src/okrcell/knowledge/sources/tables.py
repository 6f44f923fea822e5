"""Rows of a table in a file, or one line that tells why they cannot be read."""

import csv
import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from okrcell.errors import InputError

# A definition or an abstract may be longer than the 131,072 characters that the csv module allows a cell by default.
_LONGEST_CELL = 10_000_000


@contextmanager
def opened_bytes(path: Path) -> Generator[IO[bytes]]:
    """Open a file for reading; one that was packed by gzip is unpacked on the way, whatever its name says.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, or it ends too early.
    """
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            if packed:
                with gzip.open(file) as unpacked:
                    yield unpacked  # type: ignore[misc]  # a GzipFile reads as any file of bytes does
            else:
                yield file
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged or was cut short ({error}); fetch it again.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Go through a table with a header, comma- or (.tsv) tab-separated, plain or gzip; empty cells are "".

    Raises
    ------
    InputError
        If the file cannot be read as such a table, or lacks one of ``columns``.
    """
    tab = ".tsv" in path.suffixes[-2:]
    with opened_bytes(path) as file:
        try:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            csv.field_size_limit(_LONGEST_CELL)
            table = csv.DictReader(text, delimiter="\t" if tab else ",", restval="")
            lacking = [column for column in columns if column not in (table.fieldnames or ())]
            if lacking:
                seen = ", ".join(table.fieldnames or ()) or "nothing"
                raise InputError(f"{path} has no column {', '.join(lacking)}; its columns are: {seen[:300]}.")
            yield from table
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} cannot be read as a table: {error}.") from None
