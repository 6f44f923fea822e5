"""Progress of long calls: a bar on a terminal, the caller's own function, or nothing."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

ProgressOption = bool | Callable[..., None] | None
"""None shows a bar if stderr is a terminal, True always, False never; a function is called instead of showing a bar."""


@contextmanager
def progress_bar(
    title: str,
    progress: ProgressOption = None,
    to_bar: Callable[..., tuple[int, int, str]] = lambda done, total, detail="": (done, total, detail),
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


def _ignore(*_: Any) -> None:
    pass


@contextmanager
def _rich_bar(title: str) -> "Generator[Callable[[int, int, str], None]]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    console = Console(stderr=True, soft_wrap=True, highlight=False, force_terminal=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, detail="")
        yield lambda done, total, detail: bar.update(task, completed=done, total=total, detail=detail)
