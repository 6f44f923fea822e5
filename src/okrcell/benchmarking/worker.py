"""Worker process: runs methods and scores their predictions.

It reads one JSON line per job from stdin and writes a line for each score as soon as it is computed, and one at the end.
JSON lines instead of `multiprocessing`: nothing is pickled, output and global state of a method stay in this process, and a
method that hangs or exhausts the memory can be killed without affecting the others.
"""

import json
import logging
import math
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from okrcell.benchmarking.method import Surroundings
from okrcell.benchmarking.questions.asked import question
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.voice import voice
from okrcell.errors import OkrcellError


def main() -> None:
    """Run jobs until stdin ends."""
    say = voice()
    _end_with_the_one_who_asks()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    for line in sys.stdin:
        job = json.loads(line)
        try:
            for outcome in outcomes(job):
                say({"record": record_of(job, outcome)})
            say({"done": True})
        except OkrcellError as error:
            say({"failure": str(error)})
        except MemoryError:
            say({"failure": "out of memory"})
        except Exception as error:  # noqa: BLE001 - every failure is reported to the parent process
            traceback.print_exc()
            reason = str(error).strip().splitlines()
            say({"failure": f"{type(error).__name__}: {reason[0] if reason else ''}".rstrip(": ")})


def outcomes(job: dict[str, Any]) -> Iterator[Outcome]:
    """Run a job: one method on the items of one task and data set."""
    data, knowledge = (Path(job[name]) if job[name] else None for name in ("data", "knowledge"))
    answer = answering(job["answer"], Surroundings(job["model"], data, knowledge))
    left = [Asking(one["case"], one["seed"]) for one in job["left"]]
    yield from question(job["task"]).ask(answer, job["set"], data, left)


def answering(name: str, surroundings: Surroundings) -> Callable[..., Any]:
    """Import ``"module:name"``; a class is instantiated with the surroundings."""
    module, _, attribute = name.partition(":")
    found: Any = getattr(import_module(module), attribute)
    return found(surroundings) if isinstance(found, type) else found


def record_of(job: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Convert an outcome to a line of the records."""
    return {
        "task": job["task"],
        "set": job["set"],
        "case": outcome.asking.case,
        "method": job["method"],
        "seed": outcome.asking.seed,
        # JSON has no NaN.
        "scores": {name: value if math.isfinite(value) else None for name, value in outcome.scores.items()},
        "seconds": outcome.took.seconds,
        "peak_memory": outcome.took.peak_memory,
        "cells": outcome.cells,
        "detail": dict(outcome.detail),
    }


def _end_with_the_one_who_asks() -> None:
    """Exit when the parent process has ended: nobody reads the result, which may take minutes more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
