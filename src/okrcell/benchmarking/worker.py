"""A process in which methods are asked and their answers scored.

It reads a JSON line a job from its input and answers with a line for each score as soon as it is there, and one at the end.
Plain lines instead of Python's own pools: nothing is pickled, what a method prints or leaves behind stays here, and a method
that never ends, or takes all memory, can be stopped without harm to the others.
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
    """Answer until the input ends."""
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
            say({"failure": "there was not enough memory"})
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who asks must hear of it
            traceback.print_exc()
            reason = str(error).strip().splitlines()
            say({"failure": f"{type(error).__name__}: {reason[0] if reason else ''}".rstrip(": ")})


def outcomes(job: dict[str, Any]) -> Iterator[Outcome]:
    """Do a job: ask one method one task's questions on one set."""
    data, knowledge = (Path(job[name]) if job[name] else None for name in ("data", "knowledge"))
    answer = answering(job["answer"], Surroundings(job["model"], data, knowledge))
    left = [Asking(one["case"], one["seed"]) for one in job["left"]]
    yield from question(job["task"]).ask(answer, job["set"], data, left)


def answering(name: str, surroundings: Surroundings) -> Callable[..., Any]:
    """Find what ``"module:name"`` stands for; a class is made with the surroundings."""
    module, _, attribute = name.partition(":")
    found: Any = getattr(import_module(module), attribute)
    return found(surroundings) if isinstance(found, type) else found


def record_of(job: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Write what the records keep of an outcome."""
    return {
        "task": job["task"],
        "set": job["set"],
        "case": outcome.asking.case,
        "method": job["method"],
        "seed": outcome.asking.seed,
        # JSON knows no NaN.
        "scores": {name: value if math.isfinite(value) else None for name, value in outcome.scores.items()},
        "seconds": outcome.took.seconds,
        "peak_memory": outcome.took.peak_memory,
        "cells": outcome.cells,
        "detail": dict(outcome.detail),
    }


def _end_with_the_one_who_asks() -> None:
    """End when the one who asks was killed: nobody will read the answer, and it may be minutes away."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
