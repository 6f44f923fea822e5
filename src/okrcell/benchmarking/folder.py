"""The folder of a benchmark: its files, and checks before writing to it."""

import json
from pathlib import Path
from typing import Any

from okrcell.errors import InputError

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
