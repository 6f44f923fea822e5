"""JSON lines log of a run, one line per step."""

import json
from pathlib import Path
from typing import Any

from okrcell.storage import atomic_file


class Log:
    """Appends JSON lines to a file.

    When a killed run is resumed, lines of steps that will be repeated are removed, so that each step is logged once.
    """

    def __init__(self, path: Path, *, from_step: int, disabled: bool = False) -> None:
        # Only one of several processes writes.
        self._file = None
        if disabled:
            return
        retained = [line for line in read_log(path) if line["step"] < from_step]
        with atomic_file(path) as draft:
            draft.write_text("".join(json.dumps(line) + "\n" for line in retained), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, **values: Any) -> None:
        """Append a line for ``step``; it is on disk when this returns."""
        if self._file is not None:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log, in order; empty if there is no log."""
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            # The process was killed while it wrote this line; it is the last one.
            break
    return lines
