"""A process that is asked answers in lines, and nothing else may write among them."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def voice() -> Callable[[dict[str, Any]], None]:
    """Keep the output for answers, and return what writes one; what libraries print goes where errors go.

    The process ends when the one who asked is gone.
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
