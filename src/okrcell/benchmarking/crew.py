"""Jobs are shared out among processes, and one that fails does not cost the rest."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.process import Process
from okrcell.errors import OkrcellError

Job = dict[str, Any]
"""What `okrcell.benchmarking.worker` is asked: one method, one task, one set, and the seeds and cases that are left."""
WORKER = "okrcell.benchmarking.worker"


def share_out(
    jobs: Sequence[Sequence[Job]],
    workers: int,
    seconds: float,
    logs: Path,
    heard: Callable[[Job, dict[str, Any]], None],
) -> None:
    """Have jobs done, and hand over every line as soon as it is there.

    Parameters
    ----------
    jobs
        Groups of jobs; a group has a process of its own, and its jobs are done in their order.
    workers
        Processes at a time.
    seconds
        A job that takes longer is ended, and counts as failed.
    logs
        Folder for what the processes say beside their answers.
    heard
        Called with one job and one line at a time: {"begun": True}, then {"record": ...} each, in the end {"failure": why} or
        {"done": True}.
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
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the one who called
                with turn:
                    stopped.append(error)
                return

    threads = [threading.Thread(target=labour, daemon=True) for _ in range(min(workers, len(left)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not stopped:
                thread.join(timeout=0.2)  # in short turns, so that Ctrl-C is heard
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
    """Do the jobs of a group in one process, and in a new one after a job that took the process with it."""
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
                tell(job, {"failure": f"it was not done after {seconds / 60:g} minutes"})
            except OkrcellError as error:
                tell(job, {"failure": str(error)})
    finally:
        if process is not None:
            process.stop()
            at_work.discard(process)
