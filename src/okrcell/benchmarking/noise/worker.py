"""A process that trains and scores the runs it is told of, one after another.

It reads a JSON line a run from its input and answers each with one line on its output. Plain lines instead of Python's own
pools: nothing is pickled, a program that calls `okrcell.benchmarking` needs no main guard, and when the one who asks is
gone, the input ends.
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
    """Answer until the input ends."""
    say = voice()
    parent = os.getppid()

    def alive() -> None:
        # Without this, a training would go on for minutes for nobody.
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
        except Exception:  # noqa: BLE001 - whatever it is, the one who asks must hear of it
            answer = {"failure": traceback.format_exc()}
        say(answer)


if __name__ == "__main__":
    main()
