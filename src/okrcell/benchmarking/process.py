"""A worker process that exchanges JSON lines over pipes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from okrcell.errors import WorkLeftError

SOURCE = Path(__file__).parents[2]
"""Folder that okrcell is imported from; the worker processes import the same one."""


class Process:
    """Run a module in a process with one thread; it answers JSON lines with JSON lines.

    Parameters
    ----------
    module
        Module to run with ``python -m``.
    log
        File that stderr is appended to.
    """

    def __init__(self, module: str, log: Path) -> None:
        path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH", ""))))
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

    def ask(self, asked: dict[str, Any], seconds: float) -> Iterator[dict[str, Any]]:
        """Send a line, and yield the lines of the answer up to the one with the key "done" or "failure".

        Raises
        ------
        TimeoutError
            If the answer takes longer than ``seconds``; the process is killed.
        WorkLeftError
            If the process ends by itself.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        clock = threading.Timer(seconds, end)
        clock.daemon = True
        clock.start()
        try:
            self.send(asked)
            while (answer := self.receive()) is not None:
                yield answer
                if answer.keys() & {"done", "failure"}:
                    return
        finally:
            clock.cancel()
        status = self.ended()
        if late.is_set():
            raise TimeoutError
        raise WorkLeftError(f"the process ended with status {status}; see {self.log.name}")

    def send(self, asked: dict[str, Any]) -> None:
        """Send a line."""
        try:
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(json.dumps(asked) + "\n")
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

    def ended(self) -> int:
        """Wait until the process has ended; return its exit status."""
        return self._process.wait()

    @property
    def alive(self) -> bool:
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
