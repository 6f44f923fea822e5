"""What a seed may be."""

from okrcell.errors import InputError

MOST = 2**32
"""The generators of scikit-learn and pynndescent take no seed from here on."""


def check_seed(seed: int) -> None:
    """Refuse a seed that could not be drawn from, before any work is done.

    Raises
    ------
    InputError
        If it is negative, or 2**32 or more.
    """
    if seed < 0:
        raise InputError(f"seed must not be negative, but it is {seed}. Give 0 or any whole number above.")
    if seed >= MOST:
        raise InputError(f"seed must be below {MOST}, but it is {seed}. Give a smaller whole number.")
