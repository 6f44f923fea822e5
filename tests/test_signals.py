"""Signals and errors end the command line with one line and the right exit status."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import okrcell.cli
from okrcell.signals import stop_signals

WRITES_A_DRAFT = """
import sys, time
from pathlib import Path
from okrcell.signals import stop_signals
from okrcell.storage import atomic_file
with stop_signals(ends_process=True), atomic_file(sys.argv[1]) as draft:
    draft.write_text("ha")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _ignores_no_signal() -> Iterator[None]:
    """Let children inherit no ignored signal, as they do from the shell of a background job or from nohup."""
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def run_and_send(number: int, script: str, *arguments: str | Path, sends: int = 1) -> tuple[int, str]:
    """Start a module that prints a line when it is ready, send it a signal, and return exit status and stderr.

    Python ends differently under ``-m``, as okrcell is started, than under ``-c``.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stopped_module.py").write_text(script, "utf-8")
        command = [sys.executable, "-m", "stopped_module", *map(str, arguments)]
        return _send(number, sends, command, Path(folder))


def _send(number: int, sends: int, command: list[str], folder: Path) -> tuple[int, str]:
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for _ in range(sends):
            process.send_signal(number)
        errors = process.communicate(timeout=30)[1]
        return process.returncode, errors


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_removes_the_draft_and_is_one_line(tmp_path: Path, number: signal.Signals, status: int):
    ended = run_and_send(number, WRITES_A_DRAFT, tmp_path / "cells.h5ad")
    assert ended == (status, f"okrcell: stopped by {number.name}.\n")
    assert list(tmp_path.iterdir()) == []


SWALLOWED = """
import gc, sys, time
from okrcell.signals import stop_signals

class Slow:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(30)

with stop_signals(ends_process=True):
    {}
"""


@pytest.mark.parametrize(
    "code",
    [
        "x = Slow(); del x; time.sleep(30)",  # an exception in a destructor is dropped by Python
        "try:\n        print('ready', flush=True); time.sleep(30)\n    except BaseException:\n        raise ImportError",
        "exec(\"print('ready', flush=True); time.sleep(30)\")",  # Python notes an interrupt of such code for its own exit
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_counts_where_its_exception_is_lost_or_replaced(code: str, number: signal.Signals):
    ended = run_and_send(number, SWALLOWED.format(code))
    assert ended == (128 + number, f"okrcell: stopped by {number.name}.\n")


def test_handlers_are_restored_and_ignored_signals_stay_ignored():
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        with stop_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with stop_signals():
                pass
            assert signal.getsignal(signal.SIGTERM) not in before
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    finally:
        signal.signal(signal.SIGHUP, former)


def wait_for_handler(process: int) -> None:
    """Wait until a process catches SIGTERM; before that, the interpreter starts and handles signals itself."""
    for _ in range(3000):
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{process}/status").read_text("utf-8"), re.MULTILINE)
        if caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    pytest.fail("no handler of SIGTERM after 30 seconds")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the /proc of Linux")
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_a_signal_while_modules_are_imported_is_one_line(delay: float, tmp_path: Path):
    command = [sys.executable, "-m", "okrcell", "demo", "-o", "out"]  # imports for seconds
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        wait_for_handler(process.pid)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1]
    assert (process.returncode, errors) == (130, "okrcell: stopped by SIGINT.\n")


def run_main(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (OSError(28, "No space left on device", "out.h5ad"), 2, "out.h5ad: No space left on device. Free some space"),
        (PermissionError(13, "Permission denied", "in\x1b.h5ad"), 2, r"in\x1b.h5ad: Permission denied. Check"),
        (MemoryError(), 2, "Not enough memory. Use fewer cells"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 2, "Not enough memory"),
        (KeyError("a\nb"), 1, "Unexpected error (KeyError: 'a\\nb'). This is a fault of okrcell"),
        (KeyboardInterrupt(), 130, "stopped by SIGINT."),
    ],
)
def test_any_error_is_one_line(monkeypatch, capsys, error: BaseException, status: int, shown: str):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(okrcell.cli, "app", fail)
    assert run_main("embed") == status
    errors = capsys.readouterr().err
    assert shown in errors and errors.count("\n") == 1 and errors.endswith("\n")


@pytest.mark.parametrize("words", ["--help", "--version", "annotate --help", "knowledge list"])
def test_output_that_nobody_reads_ends_the_command_quietly(words):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "okrcell", *words.split()]
    ended = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_output_to_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "okrcell", "knowledge", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    assert ended.returncode == 2
    assert ended.stderr == "okrcell: No space left on device. Free some space, or choose another place.\n"


FULL_DISK = """
import resource, sys
from okrcell.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
sys.argv = ["okrcell", "standardise", "cells.h5ad", "-o", "out.h5ad"]
main()
"""


def test_a_disk_that_is_full_while_cells_are_written_is_one_line(tmp_path: Path):
    obs = pd.DataFrame({"cell_type": "B cell"}, index=[f"c{i}" for i in range(50)])
    anndata.AnnData(np.ones((50, 300), dtype=np.float32), obs=obs).write_h5ad(tmp_path / "cells.h5ad")
    ended = subprocess.run([sys.executable, "-c", FULL_DISK], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith("out.h5ad: File too large. Choose a place that accepts large files.\n")
    assert ended.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cells.h5ad"]
