"""Run jobs in a pool of worker processes; a job that fails does not affect the others."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.worker_pool import WorkerProcess
from okrcell.errors import OkrcellError

Job = dict[str, Any]
"""Request to `okrcell.benchmarking.worker`: one method, one task, one data set, and the items (case, seed) to score."""
METHOD_WORKER = "okrcell.benchmarking.worker"


def run_jobs(
    jobs: Sequence[Sequence[Job]],
    n_workers: int,
    time_limit: float,
    log_dir: Path,
    on_result: Callable[[Job, dict[str, Any]], None],
) -> None:
    """Run jobs in worker processes, and pass on every result line as soon as it arrives.

    An exception of ``on_result`` stops all workers and is raised here.

    Parameters
    ----------
    jobs
        Groups of jobs. Each group has a process of its own and its jobs run in order.
    n_workers
        Number of parallel processes.
    time_limit
        Time limit of a job; a job that exceeds it is stopped and has failed.
    log_dir
        Folder for the stderr of the processes.
    on_result
        Callback, called with a job and a line, never in parallel: {"begun": True}, then one {"record": ...} per score,
        at the end {"failure": reason} or {"done": True}.
    """
    pending = deque(jobs)
    lock = threading.Lock()
    errors: list[BaseException] = []
    running: set[WorkerProcess] = set()

    def emit(job: Job, line: dict[str, Any]) -> None:
        with lock:
            if not errors:
                on_result(job, line)

    def worker_loop() -> None:
        while True:
            with lock:
                if not pending or errors:
                    return
                group = pending.popleft()
            try:
                _run_group(group, time_limit, log_dir, emit, running)
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the caller
                with lock:
                    errors.append(error)
                return

    threads = [threading.Thread(target=worker_loop, daemon=True) for _ in range(min(n_workers, len(pending)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not errors:
                thread.join(timeout=0.2)  # short timeouts, so that Ctrl-C interrupts
    except BaseException as error:
        errors.append(error)
        raise
    finally:
        for process in tuple(running):
            process.stop()
    if errors:
        raise errors[0]


def _run_group(
    group: Sequence[Job],
    time_limit: float,
    log_dir: Path,
    emit: Callable[[Job, dict[str, Any]], None],
    running: set[WorkerProcess],
) -> None:
    """Run the jobs of a group in one process; start a new one after a job that ended the process."""
    process: WorkerProcess | None = None
    try:
        for job in group:
            if process is None or not process.is_alive:
                process = WorkerProcess(METHOD_WORKER, log_dir / f"{job['task']}.{job['method']}.log")
                running.add(process)
            emit(job, {"begun": True})
            try:
                for line in process.request(job, time_limit):
                    emit(job, line)
            except TimeoutError:
                emit(job, {"failure": f"it exceeded the time limit of {time_limit / 60:g} minutes"})
            except OkrcellError as error:
                emit(job, {"failure": str(error)})
    finally:
        if process is not None:
            process.stop()
            running.discard(process)
