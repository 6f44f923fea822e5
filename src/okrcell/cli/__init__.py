"""The okrcell command line."""

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn

from cyclopts import CycloptsError

# Importing the modules registers their commands.
from okrcell.cli import benchmark as benchmark
from okrcell.cli import cells as cells
from okrcell.cli import labels as labels
from okrcell.cli import pretraining as pretraining
from okrcell.cli._common import app
from okrcell.errors import OkrcellError
from okrcell.escaping import printable
from okrcell.signals import stop_signals
from okrcell.storage import FILE_ERRORS, error_number

TRACEBACK_ENV = "OKRCELL_TRACEBACK"
"""Environment variable that, if it is set, shows the traceback of an unexpected error."""
BROKEN_PIPE_STATUS = 141
"""Exit status of a process that ends because nobody reads its output."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; the arguments default to those of the process.

    The exit status is 0 on success, 2 after an error that the user can fix, 1 after an unexpected one (each is printed as one
    line), 128 plus the number of the signal after a signal, and 141 if the reader of the output has gone.
    """
    if argv is None:
        _silence_full_disk()
    with stop_signals():
        try:
            _run(sys.argv[1:] if argv is None else argv)
        except (CycloptsError, OkrcellError) as error:
            _exit_with_error(str(error))
        except BrokenPipeError:
            raise SystemExit(BROKEN_PIPE_STATUS) from None
        except SystemExit as ended:
            if isinstance(ended.__context__, BrokenPipeError):  # of rich, which writes --help
                raise SystemExit(BROKEN_PIPE_STATUS) from None
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one line
            _exit_with_error(*_explain(error))


def _silence_full_disk() -> None:
    """Report a full disk once: HDF5 fails again for every object that it closes, in a destructor."""
    unraisable_hook, exception_hook = sys.unraisablehook, sys.excepthook

    def on_unraisable(unraisable: Any) -> None:
        if error_number(unraisable.exc_value) not in FILE_ERRORS:
            unraisable_hook(unraisable)

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if error_number(error) not in FILE_ERRORS:
            exception_hook(kind, error, trace)

    sys.unraisablehook, sys.excepthook = on_unraisable, on_exception


def _run(argv: Sequence[str]) -> None:
    try:
        app(argv, exit_on_error=False, print_error=False)
    finally:
        _flush_output()


def _flush_output() -> None:
    if sys.stdout is None:  # closed by the shell
        return
    try:
        sys.stdout.flush()
    except OSError:
        # Otherwise Python tries again at exit and reports it.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _explain(error: Exception) -> tuple[str, int]:
    """Return the message and the exit status for an error that no code foresaw."""
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        return "Not enough memory. Use fewer cells or genes, or a machine with more memory.", 2
    number = error_number(error)
    if number in FILE_ERRORS or isinstance(error, OSError):
        subject = f"{error.filename}: " if isinstance(error, OSError) and error.filename is not None else ""
        reason = os.strerror(number) if number else str(error) or type(error).__name__
        return f"{subject}{reason}. {FILE_ERRORS.get(number, 'Check the file and its permissions.')}", 2
    if os.environ.get(TRACEBACK_ENV):
        traceback.print_exc()
    return (
        f"Unexpected error ({type(error).__name__}: {error}). This is a fault of okrcell: please report it, with the "
        f"traceback that {TRACEBACK_ENV}=1 shows.",
        1,
    )


def _exit_with_error(message: str, status: int = 2) -> NoReturn:
    print("okrcell: " + printable(" ".join(message.split())), file=sys.stderr)
    raise SystemExit(status) from None
