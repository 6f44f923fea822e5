"""Progress of long calls: a bar on a terminal, the caller's own function, or nothing; in pipes of a command a line a minute."""

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

from okrcell.escaping import printable

LINE_INTERVAL = 60.0
"""Seconds between two lines of progress, where stderr is no terminal."""
ProgressOption = bool | Callable[..., None] | None
"""None shows a bar if stderr is a terminal, True always, False never; a function is called instead of showing a bar."""


def _plain(done: int, total: int, detail: str = "") -> tuple[int, int, str]:
    return done, total, detail


@contextmanager
def progress_bar(
    title: str,
    progress: ProgressOption = None,
    to_bar: Callable[..., tuple[int, int, str]] = _plain,
) -> "Generator[Callable[..., None]]":
    """Yield the function to call with the progress; it does nothing if no progress is shown.

    Parameters
    ----------
    title
        Text in front of the bar.
    progress
        Option of the caller.
    to_bar
        Converts the arguments of the yielded function to the number done, the total and a text behind the bar.
    """
    if callable(progress):
        yield progress
    elif progress or (progress is None and sys.stderr.isatty()):
        with _rich_bar(title) as update:
            yield lambda *args: update(*to_bar(*args))
    else:
        yield _ignore


@contextmanager
def command_progress(
    title: str, to_bar: Callable[..., tuple[int, int, str]] = _plain
) -> "Generator[Callable[..., None]]":
    """Yield the function to call with the progress of a command: a bar on a terminal, elsewhere a line a minute on stderr.

    Parameters
    ----------
    title
        Text in front of the bar.
    to_bar
        As for `progress_bar`.
    """
    with _rich_bar(title) if sys.stderr.isatty() else _progress_lines(title) as update:
        yield lambda *args: update(*to_bar(*args))


@contextmanager
def _progress_lines(title: str) -> "Generator[Callable[[int, int, str], None]]":
    """Write a line every `LINE_INTERVAL` seconds, also while nothing is reported."""
    latest, ended, start = (0, 0, ""), threading.Event(), time.monotonic()

    def report(done: int, total: int, detail: str) -> None:
        nonlocal latest
        latest = done, total, detail

    def write_lines() -> None:
        while not ended.wait(LINE_INTERVAL):
            done, total, detail = latest
            count = f"{done:,} of {total:,}" if total else ""
            minutes = f"{(time.monotonic() - start) / 60:.0f} min"
            with suppress(OSError, ValueError):  # a closed stderr
                sys.stderr.write(f"{title}: {', '.join(filter(None, (count, printable(detail), minutes)))}\n")
                sys.stderr.flush()

    writer = threading.Thread(target=write_lines, daemon=True)
    writer.start()
    try:
        yield report
    finally:
        ended.set()
        writer.join()


def _ignore(*_: Any) -> None:
    pass


@contextmanager
def _rich_bar(title: str) -> "Generator[Callable[[int, int, str], None]]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    console = Console(stderr=True, soft_wrap=True, highlight=False, force_terminal=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, detail="")
        yield lambda done, total, detail: bar.update(task, completed=done, total=total, detail=printable(detail))
