"""Runs are shared out among processes."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from okrcell.benchmarking.process import Process
from okrcell.errors import InputError, OkrcellError, WorkLeftError

WORKER = "okrcell.benchmarking.noise.worker"


def share_out(
    work: Iterable[dict[str, Any]], workers: int, logs: Path, finished: Callable[[dict[str, Any]], None]
) -> None:
    """Have the runs trained and scored, and hand over each record as soon as it is there.

    Parameters
    ----------
    work
        What `okrcell.benchmarking.noise.worker` is asked, in this order.
    workers
        Processes at a time.
    logs
        Folder for what the processes say beside their answers, ``worker-1.log`` and so on.
    finished
        Called with one record at a time.

    Raises
    ------
    InputError
        If a run cannot be made as it was asked for, and it is the only one.
    WorkLeftError
        If runs failed. The others were made all the same, unless none could be made or a process ended.
    """
    left = deque(work)
    crew = [Process(WORKER, logs / f"worker-{number + 1}.log") for number in range(min(workers, len(left)))]
    turn = threading.Lock()
    failed: list[OkrcellError] = []
    stopped: list[BaseException] = []
    made = 0

    def labour(worker: Process) -> None:
        nonlocal made
        while True:
            with turn:
                if not left or stopped:
                    return
                asked = left.popleft()
            try:
                record = _record(worker, asked)
                with turn:
                    if not stopped:
                        finished(record)
                        made += 1
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the one who called
                with turn:
                    if isinstance(error, OkrcellError) and made and worker.alive:
                        failed.append(error)
                        continue
                    stopped.append(error)
                # The others are in the middle of runs that nobody will read.
                for each in crew:
                    each.stop()
                return

    threads = [threading.Thread(target=labour, args=(worker,), daemon=True) for worker in crew]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)  # in short turns, so that Ctrl-C is heard
    finally:
        for worker in crew:
            worker.stop()
    if stopped:
        raise stopped[0]
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise WorkLeftError(
            f"{len(failed)} runs could not be made, the others are done. The first of them: {failed[0]}"
        )


def _record(process: Process, asked: dict[str, Any]) -> dict[str, Any]:
    """Have a run made, and return its record."""
    name = asked["settings"]["title"]
    process.send(asked)
    answer = process.receive()
    if answer is None:
        raise WorkLeftError(
            f"The process that made the run {name} ended with status {process.ended()}; {process.log} may say why "
            "(status -9: perhaps the memory was too small for so many workers). Run again to go on."
        )
    if "mistake" in answer:
        raise InputError(f"The run {name} cannot be made: {answer['mistake']}")
    if "failure" in answer:
        with process.log.open("a", encoding="utf-8") as log:
            log.write(answer["failure"])
        reason = answer["failure"].strip().splitlines()[-1]
        raise WorkLeftError(f"The run {name} failed: {reason}; {process.log} has more. What is done is kept.")
    return answer["record"]
