"""A worker process that exchanges JSON lines over pipes."""

import json
import os
import subprocess
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.errors import IncompleteError, InputError, OkrcellError

DEFAULT_SECONDS = 10.0
"""Seconds assumed per score before any was measured."""


SOURCE_DIR = Path(__file__).parents[2]
"""Folder that okrcell is imported from; the worker processes import the same one."""
Job = dict[str, Any]
"""Request to `okrcell.benchmarking.worker`: one method, one task, one data set, and the items (case, seed) to score."""
METHOD_WORKER = "okrcell.benchmarking.worker"
TRIAL_WORKER = "okrcell.benchmarking.noise.worker"


class ETA:
    """Estimate remaining minutes from the mean seconds of finished scores, scoring included."""

    def __init__(self) -> None:
        self._seconds_by_key: Mapping[tuple[str, ...], list[float]] = defaultdict(list)

    def add(self, line: Mapping[str, Any], seconds: float) -> None:
        """Add the seconds of a finished line of the records."""
        for key in _keys(line):
            self._seconds_by_key[key].append(seconds)

    def remaining_minutes(self, pending: Iterable[Mapping[str, Any]], n_workers: int) -> float:
        """Estimated minutes for unfinished lines with this number of workers."""
        return sum(self._estimate(line) for line in pending) / n_workers / 60

    def _estimate(self, line: Mapping[str, Any]) -> float:
        for key in _keys(line):
            if seconds := self._seconds_by_key[key]:
                return sum(seconds) / len(seconds)
        return DEFAULT_SECONDS


def _keys(line: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Keys of a line from specific to general: task, set and method; task and method; task; all."""
    return [(line["task"], line["set"], line["method"]), (line["task"], line["method"]), (line["task"],), ()]


class WorkerProcess:
    """Run a module in a process with one thread; it answers JSON lines with JSON lines.

    Parameters
    ----------
    module
        Module to run with ``python -m``.
    log
        File that stderr is appended to.
    """

    def __init__(self, module: str, log: Path) -> None:
        path = os.pathsep.join(filter(None, (str(SOURCE_DIR), os.environ.get("PYTHONPATH", ""))))
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
        )
        environment = {**os.environ, **threads, "PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false"}
        self.log = log
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                encoding="utf-8",
            )

    def request(self, message: dict[str, Any], time_limit: float) -> Iterator[dict[str, Any]]:
        """Send a line, and yield the lines of the answer up to the one with the key "done" or "failure".

        Raises
        ------
        TimeoutError
            If the answer takes longer than ``time_limit``; the process is killed.
        WorkLeftError
            If the process ends by itself.
        """
        timed_out = threading.Event()

        def on_timeout() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(time_limit, on_timeout)
        timer.daemon = True
        timer.start()
        try:
            self.send(message)
            while (response := self.receive()) is not None:
                yield response
                if response.keys() & {"done", "failure"}:
                    return
        finally:
            timer.cancel()
        status = self.wait()
        if timed_out.is_set():
            raise TimeoutError
        raise IncompleteError(f"the process ended with status {status}; see {self.log.name}")

    def send(self, message: dict[str, Any]) -> None:
        """Send a line."""
        try:
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            return  # the process has ended; `receive` returns None

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next line; None if the process ends first."""
        try:
            assert self._process.stdout is not None  # noqa: S101
            line = self._process.stdout.readline()
        except OSError:
            return None
        return json.loads(line) if line.endswith("\n") else None  # an incomplete line means that the process has ended

    def wait(self) -> int:
        """Wait until the process has ended; return its exit status."""
        return self._process.wait()

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Kill the process and close its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # unsent data of a killed process


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
