"""Run jobs in a pool of worker processes; a job that fails does not affect the others."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.process import Process
from okrcell.errors import OkrcellError

Job = dict[str, Any]
"""Request to `okrcell.benchmarking.worker`: one method, one task, one data set, and the items (case, seed) to score."""
WORKER = "okrcell.benchmarking.worker"


def share_out(
    jobs: Sequence[Sequence[Job]],
    workers: int,
    seconds: float,
    logs: Path,
    heard: Callable[[Job, dict[str, Any]], None],
) -> None:
    """Run jobs in worker processes, and pass on every result line as soon as it arrives.

    An exception of ``heard`` stops all workers and is raised here.

    Parameters
    ----------
    jobs
        Groups of jobs. Each group has a process of its own and its jobs run in order.
    workers
        Number of parallel processes.
    seconds
        Time limit of a job; a job that exceeds it is stopped and has failed.
    logs
        Folder for the stderr of the processes.
    heard
        Callback, called with a job and a line, never in parallel: {"begun": True}, then one {"record": ...} per score,
        at the end {"failure": reason} or {"done": True}.
    """
    left = deque(jobs)
    turn = threading.Lock()
    stopped: list[BaseException] = []
    at_work: set[Process] = set()

    def tell(job: Job, line: dict[str, Any]) -> None:
        with turn:
            if not stopped:
                heard(job, line)

    def labour() -> None:
        while True:
            with turn:
                if not left or stopped:
                    return
                group = left.popleft()
            try:
                _group(group, seconds, logs, tell, at_work)
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the caller
                with turn:
                    stopped.append(error)
                return

    threads = [threading.Thread(target=labour, daemon=True) for _ in range(min(workers, len(left)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not stopped:
                thread.join(timeout=0.2)  # short timeouts, so that Ctrl-C interrupts
    except BaseException as error:
        stopped.append(error)
        raise
    finally:
        for process in tuple(at_work):
            process.stop()
    if stopped:
        raise stopped[0]


def _group(
    group: Sequence[Job],
    seconds: float,
    logs: Path,
    tell: Callable[[Job, dict[str, Any]], None],
    at_work: set[Process],
) -> None:
    """Run the jobs of a group in one process; start a new one after a job that ended the process."""
    process: Process | None = None
    try:
        for job in group:
            if process is None or not process.alive:
                process = Process(WORKER, logs / f"{job['task']}.{job['method']}.log")
                at_work.add(process)
            tell(job, {"begun": True})
            try:
                for line in process.ask(job, seconds):
                    tell(job, line)
            except TimeoutError:
                tell(job, {"failure": f"it exceeded the time limit of {seconds / 60:g} minutes"})
            except OkrcellError as error:
                tell(job, {"failure": str(error)})
    finally:
        if process is not None:
            process.stop()
            at_work.discard(process)
