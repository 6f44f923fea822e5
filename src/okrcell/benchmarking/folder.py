"""What stands in a benchmark's folder."""

import json
from pathlib import Path
from typing import Any

from okrcell.errors import InputError

RECORDS, RECEIPT, LOGS = "runs.jsonl", "benchmark.json", "logs"
"""Files and folders beside the report."""


def made_folder(folder: Path) -> None:
    """Make the folder, or see that it is a benchmark's.

    Raises
    ------
    InputError
        If it holds something else, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}.") from None
    if strangers and not (folder / RECEIPT).exists():
        raise InputError(
            f"{folder} holds other things ({min(strangers)}) and no benchmark; name another folder with -o."
        )


def receipt_there(path: Path) -> dict[str, Any] | None:
    """Read the receipt of a benchmark that was begun; None if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
