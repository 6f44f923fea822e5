"""The okrcell command line."""

import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

# Importing the modules registers their commands.
from okrcell.cli import benchmark as benchmark
from okrcell.cli import cells as cells
from okrcell.cli import labels as labels
from okrcell.cli import pretraining as pretraining
from okrcell.cli._common import app
from okrcell.errors import OkrcellError


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; the arguments default to those of the process.

    The exit status is 0 on success, 2 after an error that the user can fix (printed as one line), 130 after an interrupt.
    """
    try:
        app(sys.argv[1:] if argv is None else argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _exit_with_error(str(error))
    except OkrcellError as error:
        _exit_with_error(str(error))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(130) from None


def _exit_with_error(message: str) -> None:
    print("okrcell: " + " ".join(message.split()), file=sys.stderr)
    raise SystemExit(2) from None
