"""Entry point of the commands `okrcell` and `python -m okrcell`."""

import io
import sys

from okrcell.signals import stop_signals


def main() -> None:
    """Run the command line of this process; a signal is handled from the first import on."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show must not end the run.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with stop_signals(ends_process=True):
        from okrcell.cli import main as run

        run()


if __name__ == "__main__":
    main()
