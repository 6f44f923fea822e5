"""Worker process of the label-noise benchmark: trains and scores runs.

It reads one JSON line per run from stdin and answers each with one JSON line. JSON lines instead of `multiprocessing`:
nothing is pickled, callers of `okrcell.benchmarking` need no main guard, and stdin ends when the parent process ends.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from okrcell.benchmarking.voice import voice
from okrcell.errors import OkrcellError


def main() -> None:
    """Train and score runs until stdin ends."""
    say = voice()
    parent = os.getppid()

    def alive() -> None:
        # Otherwise a training would continue for minutes after the parent process has ended.
        if os.getppid() != parent:
            os._exit(1)

    trials: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            from okrcell.benchmarking.noise.plan import Run
            from okrcell.benchmarking.noise.trial import Trials
            from okrcell.settings import parse_settings
            from okrcell.training.settings import PretrainSettings

            trials = trials or Trials([Path(file) for file in asked["files"]])
            settings = parse_settings(PretrainSettings, asked["settings"], asked["origin"])
            keep = Path(asked["keep"]) if asked["keep"] else None
            answer = {"record": trials.trial(Run(**asked["run"]), settings, keep=keep, alive=alive)}
        except OkrcellError as error:
            answer = {"mistake": str(error)}
        except Exception:  # noqa: BLE001 - every failure is reported to the parent process
            answer = {"failure": traceback.format_exc()}
        say(answer)


if __name__ == "__main__":
    main()
