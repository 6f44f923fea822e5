"""Check of random seeds."""

from okrcell.errors import InputError

SEED_LIMIT = 2**32
"""Exclusive upper limit of a seed; scikit-learn and pynndescent accept no larger one."""


def check_seed(seed: int) -> None:
    """Reject a seed that the random generators do not accept, before any work is done.

    Raises
    ------
    InputError
        If the seed is negative, or 2**32 or more.
    """
    if seed < 0:
        raise InputError(f"seed must not be negative, but it is {seed}. Pass 0 or a positive integer.")
    if seed >= SEED_LIMIT:
        raise InputError(f"seed must be below {SEED_LIMIT}, but it is {seed}. Pass a smaller integer.")
