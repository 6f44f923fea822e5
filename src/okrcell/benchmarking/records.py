"""A line for each finished run, that a power cut does not take back."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from okrcell.errors import InputError
from okrcell.files import whole_file


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the lines, in the order in which the runs finished; none if there is no file.

    Raises
    ------
    InputError
        If a line other than the last is damaged.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            records.append(json.loads(line))
        except ValueError:
            if number + 1 < len(lines):
                raise InputError(
                    f"{path} is damaged in line {number + 1}. Take that line out: its run is repeated."
                ) from None
            # The process was killed in the middle of this line.
    return records


def mend_records(path: Path) -> list[dict[str, Any]]:
    """Read the lines, and take back a last one that was cut short, so that more can be appended."""
    records = read_records(path)
    keep_records(path, records)
    return records


def keep_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Keep these lines and no others; the file is written anew only if it differs."""
    whole = "".join(_line(record) for record in records)
    if path.exists() and path.read_text(encoding="utf-8") != whole:
        with whole_file(path) as draft:
            draft.write_text(whole, encoding="utf-8")


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append a line; it is on the disk when this returns.

    Raises
    ------
    InputError
        If it cannot be written, as on a full disk.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"Cannot write to {path}: {error.strerror}. Make room, and run again to go on.") from None


def differing(now: Any, before: Any, path: str = "") -> list[str]:
    """Name what differs between two nested mappings, such as ``objective.bank_size``."""
    if not isinstance(now, dict) or not isinstance(before, dict):
        return [] if now == before else [path]
    names: Sequence[str] = sorted(now.keys() | before.keys())
    return [
        found
        for name in names
        for found in differing(now.get(name), before.get(name), f"{path}.{name}" if path else str(name))
    ]


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
