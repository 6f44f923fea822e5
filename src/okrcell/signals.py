"""Stop signals of the command line: unwind, so that drafts are removed, then one line and the exit status of a shell."""

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_RETRY_SECONDS = 0.01


class _Stop(KeyboardInterrupt):
    """A class of its own: Python ends itself by SIGINT at exit if a plain KeyboardInterrupt ever left an ``exec`` of text."""


class _StopHandler:
    """Raises _Stop at the first signal; ends the process at the second, and a forked process at the first."""

    def __init__(self) -> None:
        self.received = 0
        self._pid = os.getpid()
        self._previous_hook = sys.unraisablehook

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.received or os.getpid() != self._pid:
            os._exit(128 + number)
        self.received = number
        raise _Stop

    def raise_again(self, number: int, frame: FrameType | None) -> None:
        raise _Stop

    def unraisable(self, unraisable: Any) -> None:
        # Python drops an exception that is raised in a destructor or a callback of the garbage collector.
        if self.received and issubclass(unraisable.exc_type, _Stop) and hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self.raise_again)
            signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)
        else:
            self._previous_hook(unraisable)


@contextmanager
def stop_signals(*, ends_process: bool = False) -> Generator[None]:
    """Handle SIGINT, SIGTERM and SIGHUP in the block: it is unwound, and the exit status is 128 plus the signal's number.

    A second signal ends the process at once. A signal that is ignored (``nohup``) stays ignored. Inside another such block,
    or outside the main thread, nothing is changed.

    Parameters
    ----------
    ends_process
        Whether the process ends after the block; signals are then ignored, because the work is done.
    """
    is_nested = any(isinstance(signal.getsignal(number), _StopHandler) for number in _STOP_SIGNALS)
    if is_nested or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _StopHandler()
    with _installed(handler, ends_process=ends_process):
        try:
            yield
        except BaseException as error:
            # An extension module that is stopped while it is imported reports another error.
            if not handler.received and not isinstance(error, KeyboardInterrupt):
                raise
            number = handler.received or signal.SIGINT
            sys.stderr.write(f"okrcell: stopped by {signal.Signals(number).name}.\n")
            raise SystemExit(128 + number) from None


@contextmanager
def _installed(handler: _StopHandler, *, ends_process: bool) -> Generator[None]:
    hook, previous = sys.unraisablehook, {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    sys.unraisablehook = handler.unraisable
    for number in _STOP_SIGNALS:
        if previous[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, signal.SIG_IGN if ends_process else former or signal.SIG_DFL)
        if not ends_process:
            sys.unraisablehook = hook
