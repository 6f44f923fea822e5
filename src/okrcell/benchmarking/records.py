"""Append-only JSON lines file with one record per finished run."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from okrcell.errors import InputError
from okrcell.storage import atomic_file

RECORDS_FILE, PROVENANCE_FILE, LOG_DIR = "runs.jsonl", "benchmark.json", "logs"
"""Records, provenance and logs, beside the report."""


def ensure_benchmark_dir(folder: Path) -> None:
    """Create the folder, or check that it is the folder of a benchmark.

    Raises
    ------
    InputError
        If it holds other files, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        other_files = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}.") from None
    if other_files and not (folder / PROVENANCE_FILE).exists():
        raise InputError(
            f"{folder} is not a benchmark folder: it holds other files ({min(other_files)}); choose another with -o."
        )


def read_provenance(path: Path) -> dict[str, Any] | None:
    """Read the provenance file of a benchmark; None if there is none, or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(frozen=True)
class BenchmarkResult:
    """Paths and counts of a benchmark run."""

    folder: Path
    report: Path
    records: Path
    """JSON lines file, one line per run; report and figures are made from it."""
    runs: int
    """Number of runs in ``records``."""
    made: int
    """Number of runs computed by this call."""


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records in the order in which the runs finished; an empty list if there is no file.

    An incomplete last line, left by a killed process, is ignored.

    Raises
    ------
    InputError
        If a line other than the last is damaged.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    records: list[dict[str, Any]] = []
    for i, line in enumerate(lines):
        if not line:
            continue
        try:
            records.append(json.loads(line))
        except ValueError:
            if i + 1 < len(lines):
                raise InputError(
                    f"{path} is damaged in line {i + 1}: it is not JSON. Remove the line; its run is repeated."
                ) from None
            # An incomplete last line: the process was killed while writing it.
    return records


def repair_records(path: Path) -> list[dict[str, Any]]:
    """Read the records, and remove an incomplete last line from the file, so that lines can be appended."""
    records = read_records(path)
    replace_records(path, records)
    return records


def replace_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Replace the content of an existing file by these records; it is written only if it differs."""
    content = "".join(_line(record) for record in records)
    if path.exists() and path.read_text(encoding="utf-8") != content:
        with atomic_file(path) as draft:
            draft.write_text(content, encoding="utf-8")


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append a record and flush it to disk (fsync).

    Raises
    ------
    InputError
        If it cannot be written, such as on a full disk.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(
            f"Cannot write to {path}: {error.strerror}. Free disk space, and run again to go on."
        ) from None


def differing_keys(new: Any, old: Any, path: str = "") -> list[str]:
    """Return the dotted paths at which two nested mappings differ, such as ``objective.bank_size``."""
    if not isinstance(new, dict) or not isinstance(old, dict):
        return [] if new == old else [path]
    names: Sequence[str] = sorted(new.keys() | old.keys())
    return [
        key
        for name in names
        for key in differing_keys(new.get(name), old.get(name), f"{path}.{name}" if path else str(name))
    ]


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
