"""Entry point of `python -m okrcell`: the same as the command `okrcell`."""

from okrcell.cli import main

if __name__ == "__main__":
    main()
