"""Reserve stdout for JSON lines; redirect everything else to stderr."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def open_json_stdout() -> Callable[[dict[str, Any]], None]:
    """Redirect stdout to stderr, and return a function that writes a JSON line to the original stdout.

    Output of libraries cannot mix with the JSON lines. If the reader of the pipe is gone, the process exits.
    """
    stdout = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def write_line(line: dict[str, Any]) -> None:
        try:
            stdout.write(json.dumps(line) + "\n")
            stdout.flush()
        except BrokenPipeError:
            os._exit(1)

    return write_line
