"""Run commands of okrcell in forked processes that have imported everything, with a time limit."""

import hashlib
import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path


def import_everything() -> None:
    """Import what the commands import, so that a forked process starts at once."""
    import anndata.io
    import pyarrow.parquet
    import sklearn.decomposition
    import torch
    import transformers
    import zarr

    import okrcell.cli
    import okrcell.data.prepare
    import okrcell.model.embedder
    import okrcell.training.pretrain

    torch.set_num_threads(1)
    _ = (anndata.io, pyarrow.parquet, sklearn.decomposition, transformers, zarr, okrcell)


def run_command(words: list[str], place: Path) -> int:
    """Run a command line in this process and return its exit status."""
    from okrcell.__main__ import main as okrcell

    os.chdir(place)
    sys.argv = ["okrcell", *words]
    try:
        okrcell()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else bool(end.code)
    return 0


def run_forked(
    work: Callable[[], int], limit: float, stop: tuple[int, float] | None = None
) -> tuple[int, float, float, str]:
    """Run a function in a forked process, and send it a signal after some seconds.

    Returns exit status (negative for a signal), processor seconds, gigabytes above the parent's memory, and stderr.
    """
    with tempfile.TemporaryFile() as errors, Path(os.devnull).open("w") as nowhere:
        start, parent_memory = time.monotonic(), read_memory("VmRSS")
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.dup2(nowhere.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            sys.stdout, sys.stderr = io.TextIOWrapper(io.FileIO(1, "w")), io.TextIOWrapper(io.FileIO(2, "w"))
            resource.setrlimit(resource.RLIMIT_AS, (40 << 30, 40 << 30))
            status = 1
            try:
                status = work()
            except BaseException:  # noqa: BLE001 - reported to the parent
                traceback.print_exc()
            sys.stderr.flush()
            peak = read_memory("VmHWM") - parent_memory
            os.write(errors.fileno(), f"\0{peak}".encode())
            os._exit(status)
        while True:
            ended, state, usage = os.wait4(pid, os.WNOHANG)
            seconds = time.monotonic() - start
            if ended:
                break
            if seconds > limit:
                os.killpg(pid, signal.SIGKILL)
            elif stop and seconds > stop[1]:
                os.kill(pid, stop[0])
                stop = None
            time.sleep(0.01)
        errors.seek(0)
        text, mark, peak = errors.read().decode("utf-8", "replace").rpartition("\0")
        memory = int(peak) if mark else usage.ru_maxrss * 1024 - parent_memory
        return os.waitstatus_to_exitcode(state), usage.ru_utime + usage.ru_stime, memory / 1e9, text if mark else peak


def read_memory(name: str) -> int:
    """Memory of this process in bytes, by its name in /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def snapshot(folder: Path) -> dict[str, str]:
    """Kind and sha256 of everything in a folder."""
    found: dict[str, str] = {}
    for path in folder.rglob("*"):
        is_content = path.is_file() and not path.is_symlink()
        found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if is_content else "other"
    return found
