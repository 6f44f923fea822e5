"""Numbers lie where their cells are densest, without covering each other."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FINEST = 24
"""Squares along each side of the map, at most, in which cells are counted; fewer for a small group."""
APART = 0.075
"""Least distance between two numbers, as a share of the map's width and height."""


def numbered_places(groups: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    """Return a place on the map for each group's number; none for a group without a finite point.

    Parameters
    ----------
    groups
        Points (cell, 2) of each group, in the units of the map.
    """
    finite = {name: points[np.isfinite(points).all(axis=1)] for name, points in groups.items()}
    finite = {name: points for name, points in finite.items() if len(points)}
    if not finite:
        return {}
    everything = np.concatenate(list(finite.values()))
    low, span = everything.min(axis=0), np.ptp(everything, axis=0)
    span = np.where(span > 0, span, 1.0)
    dense = np.array([_densest((points - low) / span) for points in finite.values()])
    places = _apart(dense) * span + low
    return {name: (float(x), float(y)) for name, (x, y) in zip(finite, places, strict=True)}


def _densest(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the points in the fullest square, points in [0, 1]."""
    grid = int(np.clip(1.5 * np.sqrt(len(points)), 2, FINEST))
    squares = np.minimum((points * grid).astype(np.intp), grid - 1)
    square = squares[:, 0] * grid + squares[:, 1]
    return points[square == np.bincount(square).argmax()].mean(axis=0)


def _apart(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push places that lie too near away from each other, a little at a time."""
    places = places.copy()
    for _ in range(200):
        gap = places[:, None] - places[None]
        distance = np.hypot(gap[..., 0], gap[..., 1])
        np.fill_diagonal(distance, np.inf)
        if distance.min() >= APART:
            break
        near = distance < APART
        # Places that fall together have no direction between them: each pair is given one of its own.
        turn = np.add.outer(np.arange(len(places)), np.arange(len(places))) * 2.4
        away = np.triu(np.ones_like(turn), 1) - np.tril(np.ones_like(turn), -1)
        chance = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * away[..., None]
        direction = np.where((distance > 1e-9)[..., None], gap / np.maximum(distance, 1e-9)[..., None], chance)
        push = np.where(near, (APART - np.where(near, distance, 0)) / 2 + 1e-4, 0.0)
        places += (direction * push[..., None]).sum(axis=1)
    return places
