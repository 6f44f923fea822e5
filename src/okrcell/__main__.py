"""`python -m okrcell` is `okrcell`."""

from okrcell.cli import main

if __name__ == "__main__":
    main()
