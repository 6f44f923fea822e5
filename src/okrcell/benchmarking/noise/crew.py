"""Run trainings in a pool of worker processes."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from okrcell.benchmarking.worker_pool import WorkerProcess
from okrcell.errors import IncompleteError, InputError, OkrcellError

TRIAL_WORKER = "okrcell.benchmarking.noise.worker"


def run_trials(
    work: Iterable[dict[str, Any]], n_workers: int, log_dir: Path, on_record: Callable[[dict[str, Any]], None]
) -> None:
    """Train and score runs in worker processes, and pass on each record as soon as it arrives.

    After the first finished run, a failed run does not stop the others. A failure before, or the end of a process, stops all
    workers.

    Parameters
    ----------
    work
        Requests to `okrcell.benchmarking.noise.worker`, processed in this order.
    n_workers
        Number of parallel processes.
    log_dir
        Folder for the stderr of the processes: ``worker-1.log`` and so on.
    on_record
        Callback, called with one record, never in parallel.

    Raises
    ------
    InputError
        If the settings or inputs of the only failed run are invalid.
    WorkLeftError
        If runs failed, or a process ended.
    """
    pending = deque(work)
    processes = [
        WorkerProcess(TRIAL_WORKER, log_dir / f"worker-{i + 1}.log") for i in range(min(n_workers, len(pending)))
    ]
    lock = threading.Lock()
    failures: list[OkrcellError] = []
    errors: list[BaseException] = []
    n_finished = 0

    def worker_loop(worker: WorkerProcess) -> None:
        nonlocal n_finished
        while True:
            with lock:
                if not pending or errors:
                    return
                request = pending.popleft()
            try:
                record = _request_record(worker, request)
                with lock:
                    if not errors:
                        on_record(record)
                        n_finished += 1
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the caller
                with lock:
                    if isinstance(error, OkrcellError) and n_finished and worker.is_alive:
                        failures.append(error)
                        continue
                    errors.append(error)
                # Results of the other workers would not be read any more.
                for process in processes:
                    process.stop()
                return

    threads = [threading.Thread(target=worker_loop, args=(worker,), daemon=True) for worker in processes]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)  # short timeouts, so that Ctrl-C interrupts
    finally:
        for worker in processes:
            worker.stop()
    if errors:
        raise errors[0]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise IncompleteError(f"{len(failures)} runs failed, the others are done. First failure: {failures[0]}")


def _request_record(process: WorkerProcess, request: dict[str, Any]) -> dict[str, Any]:
    """Send a run to a process, and return its record."""
    name = request["settings"]["title"]
    process.send(request)
    response = process.receive()
    if response is None:
        raise IncompleteError(
            f"The process of the run {name} ended with status {process.wait()}; see {process.log} "
            "(status -9: probably out of memory, use fewer workers). Run again to resume."
        )
    if "mistake" in response:
        raise InputError(f"The run {name} cannot be trained: {response['mistake']}")
    if "failure" in response:
        with process.log.open("a", encoding="utf-8") as log:
            log.write(response["failure"])
        reason = response["failure"].strip().splitlines()[-1]
        raise IncompleteError(f"The run {name} failed: {reason}; see {process.log}. Finished work is kept.")
    return response["record"]
