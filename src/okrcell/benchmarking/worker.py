"""Worker process: JSON lines in and out.

It reads one JSON line per request from stdin. A job (a method on the items of one task and data set) is answered with a line
for each score as soon as it is computed, and one at the end; a run of the label-noise benchmark with one line.
JSON lines instead of `multiprocessing`: nothing is pickled, callers of `okrcell.benchmark` need no main guard, output and
global state of a method stay in this process, and a method that hangs or exhausts the memory can be killed without affecting
the others.
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
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.benchmarking.methods import MethodContext
from okrcell.benchmarking.tasks.task import Item, ItemResult, get_task
from okrcell.errors import OkrcellError

if TYPE_CHECKING:
    from okrcell.benchmarking.noise.trial import TrialRunner


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


def main() -> None:
    """Answer requests until stdin ends."""
    write_line = open_json_stdout()
    _exit_with_parent()
    for line in sys.stdin:
        request = json.loads(line)
        for response in answer_trial(request) if "run" in request else answer_job(request):
            write_line(response)


def answer_job(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a job; yield a record for each score, and "done" or the reason of a failure at the end."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        for result in run_job(job):
            yield {"record": to_record(job, result)}
        yield {"done": True}
    except OkrcellError as error:
        yield {"failure": str(error)}
    except MemoryError:
        yield {"failure": "out of memory"}
    except Exception as error:  # noqa: BLE001 - every failure is reported to the parent process
        traceback.print_exc()
        reason = str(error).strip().splitlines()
        yield {"failure": f"{type(error).__name__}: {reason[0] if reason else ''}".rstrip(": ")}


def answer_trial(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Train and score a run of the label-noise benchmark; yield its record, the mistake of the user, or a traceback."""
    try:
        yield {"record": run_trial(request)}
    except OkrcellError as error:
        yield {"mistake": str(error)}
    except Exception:  # noqa: BLE001 - every failure is reported to the parent process
        yield {"failure": traceback.format_exc()}


def run_trial(request: dict[str, Any]) -> dict[str, Any]:
    """Train and score a run of the label-noise benchmark; return its record."""
    from okrcell.benchmarking.noise.plan import NoiseRun
    from okrcell.settings import parse_settings
    from okrcell.training.settings import PretrainSettings

    settings = parse_settings(PretrainSettings, request["settings"], request["origin"])
    model_dir = Path(request["model_dir"]) if request["model_dir"] else None
    runner = _trial_runner(tuple(request["files"]))
    return runner.run_trial(NoiseRun(**request["run"]), settings, model_dir=model_dir)


@cache
def _trial_runner(files: tuple[str, ...]) -> "TrialRunner":
    from okrcell.benchmarking.noise.trial import TrialRunner

    return TrialRunner([Path(file) for file in files])


def run_job(job: dict[str, Any]) -> Iterator[ItemResult]:
    """Run a job: one method on the items of one task and data set."""
    data, knowledge = (Path(job[name]) if job[name] else None for name in ("data", "knowledge"))
    implementation = load_implementation(job["implementation"], MethodContext(job["model"], data, knowledge))
    pending = [Item(item["case"], item["seed"]) for item in job["items"]]
    yield from get_task(job["task"]).evaluate(implementation, job["set"], data, pending)


def load_implementation(name: str, context: MethodContext) -> Callable[..., Any]:
    """Import ``"module:name"``; a class is instantiated with ``context``."""
    module, _, attribute = name.partition(":")
    target: Any = getattr(import_module(module), attribute)
    return target(context) if isinstance(target, type) else target


def to_record(job: dict[str, Any], result: ItemResult) -> dict[str, Any]:
    """Convert the result of an item to a line of the records."""
    return {
        "task": job["task"],
        "set": job["set"],
        "case": result.item.case,
        "method": job["method"],
        "seed": result.item.seed,
        # JSON has no NaN.
        "scores": {name: value if math.isfinite(value) else None for name, value in result.scores.items()},
        "seconds": result.usage.seconds,
        "peak_memory": result.usage.peak_memory,
        "cells": result.cells,
        "detail": dict(result.detail),
    }


def _exit_with_parent() -> None:
    """Exit when the parent process has ended: nobody reads the result, which may take minutes more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
