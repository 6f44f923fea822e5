"""Reserve stdout for JSON lines; redirect everything else to stderr."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def voice() -> Callable[[dict[str, Any]], None]:
    """Redirect stdout to stderr, and return a function that writes a JSON line to the original stdout.

    Output of libraries cannot mix with the JSON lines. If the reader of the pipe is gone, the process exits.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(line: dict[str, Any]) -> None:
        try:
            answers.write(json.dumps(line) + "\n")
            answers.flush()
        except BrokenPipeError:
            os._exit(1)

    return say
