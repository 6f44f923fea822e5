"""A worker process that exchanges JSON lines over pipes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from okrcell.errors import IncompleteError

SOURCE_DIR = Path(__file__).parents[2]
"""Folder that okrcell is imported from; the worker processes import the same one."""


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
