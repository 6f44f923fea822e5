"""Place labels at the densest region of each group, without overlap."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FINEST = 24
"""Maximum number of bins per axis of the histogram that locates the densest region; small groups have fewer."""
APART = 0.075
"""Minimum distance between two labels, as a fraction of the width and height of the plot."""


def numbered_places(groups: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    """Return the label coordinates of each group; groups without a finite point have none.

    Parameters
    ----------
    groups
        Points (cell, 2) of each group, in data coordinates.
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
    """Mean of the points in the fullest bin of a two-dimensional histogram; points in [0, 1]."""
    grid = int(np.clip(1.5 * np.sqrt(len(points)), 2, FINEST))
    squares = np.minimum((points * grid).astype(np.intp), grid - 1)
    square = squares[:, 0] * grid + squares[:, 1]
    return points[square == np.bincount(square).argmax()].mean(axis=0)


def _apart(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push labels apart iteratively until any two are at least `APART` from each other."""
    places = places.copy()
    for _ in range(200):
        gap = places[:, None] - places[None]
        distance = np.hypot(gap[..., 0], gap[..., 1])
        np.fill_diagonal(distance, np.inf)
        if distance.min() >= APART:
            break
        near = distance < APART
        # Coincident labels have no direction between them: each pair gets a fixed one.
        turn = np.add.outer(np.arange(len(places)), np.arange(len(places))) * 2.4
        away = np.triu(np.ones_like(turn), 1) - np.tril(np.ones_like(turn), -1)
        chance = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * away[..., None]
        direction = np.where((distance > 1e-9)[..., None], gap / np.maximum(distance, 1e-9)[..., None], chance)
        push = np.where(near, (APART - np.where(near, distance, 0)) / 2 + 1e-4, 0.0)
        places += (direction * push[..., None]).sum(axis=1)
    return places
