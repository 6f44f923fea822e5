"""A pool of worker processes that exchange JSON lines over pipes; the time that is left."""

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
WORKER_MODULE = "okrcell.benchmarking.worker"
Job = dict[str, Any]
"""Request to a worker: one method, one task, one data set, and the items (case, seed) to score."""


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


class WorkerExitError(Exception):
    """A worker process ended before its answer did; the argument is its exit status."""


class WorkerProcess:
    """A process of `WORKER_MODULE` with one thread; it answers JSON lines with JSON lines.

    Parameters
    ----------
    log
        File that stderr is appended to.
    """

    def __init__(self, log: Path) -> None:
        path = os.pathsep.join(filter(None, (str(SOURCE_DIR), os.environ.get("PYTHONPATH", ""))))
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
        )
        environment = {**os.environ, **threads, "PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false"}
        self.log = log
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", WORKER_MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                encoding="utf-8",
            )

    def request(self, message: dict[str, Any], time_limit: float = threading.TIMEOUT_MAX) -> Iterator[dict[str, Any]]:
        """Send a line, and yield the lines of the answer up to the one with the key "done" or "failure".

        Raises
        ------
        TimeoutError
            If the answer takes longer than ``time_limit`` seconds; the process is killed.
        WorkerExitError
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
            self._send(message)
            while (response := self._receive()) is not None:
                yield response
                if response.keys() & {"done", "failure"}:
                    return
        finally:
            timer.cancel()
        status = self._process.wait()
        if timed_out.is_set():
            raise TimeoutError
        raise WorkerExitError(status)

    def _send(self, message: dict[str, Any]) -> None:
        """Send a line."""
        try:
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            return  # the process has ended; `_receive` returns None

    def _receive(self) -> dict[str, Any] | None:
        """Wait for the next line; None if the process ends first."""
        try:
            assert self._process.stdout is not None  # noqa: S101
            line = self._process.stdout.readline()
        except OSError:
            return None
        return json.loads(line) if line.endswith("\n") else None  # an incomplete line means that the process has ended

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


class WorkerPool:
    """Threads that pass groups of requests to worker processes, one process per thread.

    Parameters
    ----------
    n_workers
        Number of threads.
    """

    def __init__(self, n_workers: int) -> None:
        self._processes: list[WorkerProcess | None] = [None] * n_workers
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []

    def run(self, groups: Sequence[Any], run_group: Callable[[Any, int], None]) -> None:
        """Call ``run_group`` with each group and the index of its thread, in the order of ``groups``.

        The first exception kills all processes and is raised here.
        """
        pending = deque(groups)

        def worker_loop(worker: int) -> None:
            while True:
                with self._lock:
                    if not pending or self._errors:
                        return
                    group = pending.popleft()
                try:
                    run_group(group, worker)
                except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the caller
                    with self._lock:
                        self._errors.append(error)

        threads = [
            threading.Thread(target=worker_loop, args=(worker,), daemon=True)
            for worker in range(min(len(self._processes), len(pending)))
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive() and not self._errors:
                    thread.join(timeout=0.2)  # short timeouts, so that Ctrl-C interrupts
        except BaseException as error:
            self._errors.append(error)
            raise
        finally:
            for worker in range(len(self._processes)):
                self.stop_process(worker)
        if self._errors:
            raise self._errors[0]

    def process(self, worker: int, log: Path, *, restart: bool) -> WorkerProcess:
        """Return the process of a thread; start one with this log if there is none, or, with ``restart``, if it has ended."""
        with self._lock:
            process = self._processes[worker]
            if process is not None and (process.is_alive or not restart):
                return process
            if process is not None:
                process.stop()
            if self._errors:
                raise IncompleteError("the pool has been stopped")
            process = self._processes[worker] = WorkerProcess(log)
            return process

    def stop_process(self, worker: int) -> None:
        """Kill the process of a thread, if there is one."""
        with self._lock:
            process, self._processes[worker] = self._processes[worker], None
        if process is not None:
            process.stop()

    def call(self, callback: Callable[..., None], *args: Any) -> None:
        """Call ``callback`` in turn with the other threads, unless the pool has been stopped."""
        with self._lock:
            if not self._errors:
                callback(*args)


def run_jobs(
    jobs: Sequence[Sequence[Job]],
    n_workers: int,
    time_limit: float,
    log_dir: Path,
    on_result: Callable[[Job, dict[str, Any]], None],
) -> None:
    """Run jobs in worker processes, and pass on every result line as soon as it arrives.

    A job that fails does not stop the others. An exception of ``on_result`` stops all workers and is raised here.

    Parameters
    ----------
    jobs
        Groups of jobs. Each group has a process of its own and its jobs run in order; a job that ends the process is
        followed by a new one.
    n_workers
        Number of parallel processes.
    time_limit
        Time limit of a job in seconds; a job that exceeds it is stopped and has failed.
    log_dir
        Folder for the stderr of the processes.
    on_result
        Callback, called with a job and a line, never in parallel: {"begun": True}, then one {"record": ...} per score,
        at the end {"failure": reason} or {"done": True}.
    """
    pool = WorkerPool(n_workers)

    def run_group(group: Sequence[Job], worker: int) -> None:
        for job in group:
            process = pool.process(worker, log_dir / f"{job['task']}.{job['method']}.log", restart=True)
            pool.call(on_result, job, {"begun": True})
            for line in _result_lines(process, job, time_limit):
                pool.call(on_result, job, line)
        pool.stop_process(worker)

    pool.run(jobs, run_group)


def _result_lines(process: WorkerProcess, job: Job, time_limit: float) -> Iterator[dict[str, Any]]:
    """Yield the lines of the answer to a job; the last one is a failure if the process does not finish the job."""
    try:
        yield from process.request(job, time_limit)
    except TimeoutError:
        yield {"failure": f"it exceeded the time limit of {time_limit / 60:g} minutes"}
    except WorkerExitError as error:
        yield {"failure": f"the process ended with status {error}; see {process.log.name}"}


def run_trials(
    requests: Iterable[dict[str, Any]], n_workers: int, log_dir: Path, on_record: Callable[[dict[str, Any]], None]
) -> None:
    """Train and score runs in worker processes, and pass on each record as soon as it arrives.

    After the first finished run, a failed run does not stop the others. A failure before, or the end of a process, stops all
    workers.

    Parameters
    ----------
    requests
        Requests of runs to the workers, processed in this order.
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
    IncompleteError
        If runs failed, or a process ended.
    """
    pool = WorkerPool(n_workers)
    finished: list[dict[str, Any]] = []
    failures: list[OkrcellError] = []

    def run_trial(request: dict[str, Any], worker: int) -> None:
        process = pool.process(worker, log_dir / f"worker-{worker + 1}.log", restart=False)
        try:
            record = _trial_record(process, request)
        except OkrcellError as error:
            if not finished or not process.is_alive:
                raise
            failures.append(error)
            return
        pool.call(on_record, record)
        finished.append(record)

    pool.run(list(requests), run_trial)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise IncompleteError(f"{len(failures)} runs failed, the others are done. First failure: {failures[0]}")


def _trial_record(process: WorkerProcess, request: dict[str, Any]) -> dict[str, Any]:
    """Send a run to a process, and return its record."""
    name = request["settings"]["title"]
    try:
        response = next(process.request(request))
    except WorkerExitError as error:
        raise IncompleteError(
            f"The process of the run {name} ended with status {error}; see {process.log} "
            "(status -9: probably out of memory, use fewer workers). Run again to resume."
        ) from None
    if "mistake" in response:
        raise InputError(f"The run {name} cannot be trained: {response['mistake']}")
    if "failure" in response:
        with process.log.open("a", encoding="utf-8") as log:
            log.write(response["failure"])
        reason = response["failure"].strip().splitlines()[-1]
        raise IncompleteError(f"The run {name} failed: {reason}; see {process.log}. Finished work is kept.")
    return response["record"]
