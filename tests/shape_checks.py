"""The checker that looks at every annotation of the rooms where tensors meet, while tests run."""

from typing import Any, Self

from beartype import beartype


def check(function: Any) -> Any:
    """Check what goes in and out of ``function``, but for the few that give back `Self`.

    Functions are checked one by one, and outside its class `Self` tells beartype nothing.
    """
    hints = getattr(function, "__annotations__", {})
    return function if Self in hints.values() else beartype(function)
