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

from okrcell.benchmarking.worker import open_json_stdout
from okrcell.errors import OkrcellError


def main() -> None:
    """Train and score runs until stdin ends."""
    write_line = open_json_stdout()
    parent = os.getppid()

    def check_parent() -> None:
        # Otherwise a training would continue for minutes after the parent process has ended.
        if os.getppid() != parent:
            os._exit(1)

    runner: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            from okrcell.benchmarking.noise.plan import NoiseRun
            from okrcell.benchmarking.noise.trial import TrialRunner
            from okrcell.settings import parse_settings
            from okrcell.training.settings import PretrainSettings

            runner = runner or TrialRunner([Path(file) for file in request["files"]])
            settings = parse_settings(PretrainSettings, request["settings"], request["origin"])
            model_dir = Path(request["keep"]) if request["keep"] else None
            response = {
                "record": runner.run_trial(NoiseRun(**request["run"]), settings, keep=model_dir, alive=check_parent)
            }
        except OkrcellError as error:
            response = {"mistake": str(error)}
        except Exception:  # noqa: BLE001 - every failure is reported to the parent process
            response = {"failure": traceback.format_exc()}
        write_line(response)


if __name__ == "__main__":
    main()
