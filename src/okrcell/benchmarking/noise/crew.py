"""Runs are shared out among processes."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from okrcell.errors import InputError, OkrcellError, WorkLeftError

SOURCE = Path(__file__).parents[3]
"""Where this very okrcell is imported from; the processes shall use no other."""


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
    crew = [_Worker(logs / f"worker-{number + 1}.log") for number in range(min(workers, len(left)))]
    turn = threading.Lock()
    failed: list[OkrcellError] = []
    stopped: list[BaseException] = []
    made = 0

    def labour(worker: "_Worker") -> None:
        nonlocal made
        while True:
            with turn:
                if not left or stopped:
                    return
                asked = left.popleft()
            try:
                record = worker.ask(asked)
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


class _Worker:
    """A process, and the two pipes to it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH", ""))))
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", "okrcell.benchmarking.noise.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                encoding="utf-8",
            )

    def ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["settings"]["title"]
        try:
            assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise WorkLeftError(
                f"The process that made the run {name} ended with status {self._process.wait()}; {self._log} may say why "
                "(status -9: perhaps the memory was too small for so many workers). Run again to go on."
            )
        answer: dict[str, Any] = json.loads(line)
        if "mistake" in answer:
            raise InputError(f"The run {name} cannot be made: {answer['mistake']}")
        if "failure" in answer:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(answer["failure"])
            reason = answer["failure"].strip().splitlines()[-1]
            raise WorkLeftError(f"The run {name} failed: {reason}; {self._log} has more. What is done is kept.")
        return answer["record"]

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was not read any more
