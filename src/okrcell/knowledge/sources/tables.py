"""Read plain or gzip tables, with one-line errors."""

import csv
import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from okrcell.errors import InputError

# Definitions and abstracts may exceed the default field limit of the csv module (131,072 characters).
_MAX_FIELD_SIZE = 10_000_000


@contextmanager
def open_binary(path: Path) -> Generator[IO[bytes]]:
    """Open a binary file for reading; gzip is detected by content and decompressed.

    Raises
    ------
    InputError
        If the file is missing, unreadable or truncated.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.peek(2)[:2] == b"\x1f\x8b"
            if is_gzip:
                with gzip.open(file) as decompressed:
                    yield decompressed  # type: ignore[misc]  # a GzipFile is a binary file
            else:
                yield file
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged or truncated ({error}); fetch it again.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def read_rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Iterate over the rows of a table with a header; separated by commas, or by tabs if .tsv; plain or gzip.

    Parameters
    ----------
    columns
        Required columns.

    Yields
    ------
    Row as a dictionary by column; empty cells are "".

    Raises
    ------
    InputError
        If the file cannot be read as a table, or a required column is missing.
    """
    is_tsv = ".tsv" in path.suffixes[-2:]
    with open_binary(path) as file:
        try:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            csv.field_size_limit(_MAX_FIELD_SIZE)
            table = csv.DictReader(text, delimiter="\t" if is_tsv else ",", restval="")
            missing = [column for column in columns if column not in (table.fieldnames or ())]
            if missing:
                present = ", ".join(table.fieldnames or ()) or "nothing"
                raise InputError(f"{path} has no column {', '.join(missing)}; its columns are: {present[:300]}.")
            yield from table
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} cannot be read as a table: {error}.") from None
