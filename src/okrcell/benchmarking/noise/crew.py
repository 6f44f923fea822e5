"""Run trainings in a pool of worker processes."""

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
    """Train and score runs in worker processes, and pass on each record as soon as it arrives.

    After the first finished run, a failed run does not stop the others. A failure before, or the end of a process, stops all
    workers.

    Parameters
    ----------
    work
        Requests to `okrcell.benchmarking.noise.worker`, processed in this order.
    workers
        Number of parallel processes.
    logs
        Folder for the stderr of the processes: ``worker-1.log`` and so on.
    finished
        Callback, called with one record, never in parallel.

    Raises
    ------
    InputError
        If the settings or inputs of the only failed run are invalid.
    WorkLeftError
        If runs failed, or a process ended.
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
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the caller
                with turn:
                    if isinstance(error, OkrcellError) and made and worker.alive:
                        failed.append(error)
                        continue
                    stopped.append(error)
                # Results of the other workers would not be read any more.
                for each in crew:
                    each.stop()
                return

    threads = [threading.Thread(target=labour, args=(worker,), daemon=True) for worker in crew]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)  # short timeouts, so that Ctrl-C interrupts
    finally:
        for worker in crew:
            worker.stop()
    if stopped:
        raise stopped[0]
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise WorkLeftError(f"{len(failed)} runs failed, the others are done. First failure: {failed[0]}")


def _record(process: Process, asked: dict[str, Any]) -> dict[str, Any]:
    """Send a run to a process, and return its record."""
    name = asked["settings"]["title"]
    process.send(asked)
    answer = process.receive()
    if answer is None:
        raise WorkLeftError(
            f"The process of the run {name} ended with status {process.ended()}; see {process.log} "
            "(status -9: probably out of memory, use fewer workers). Run again to resume."
        )
    if "mistake" in answer:
        raise InputError(f"The run {name} cannot be trained: {answer['mistake']}")
    if "failure" in answer:
        with process.log.open("a", encoding="utf-8") as log:
            log.write(answer["failure"])
        reason = answer["failure"].strip().splitlines()[-1]
        raise WorkLeftError(f"The run {name} failed: {reason}; see {process.log}. Finished work is kept.")
    return answer["record"]
