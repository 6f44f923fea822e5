"""Place labels at the densest region of each group, without overlap."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

MAX_GRID_SIZE = 24
"""Maximum number of bins per axis of the histogram that locates the densest region; small groups have fewer."""
MIN_LABEL_DISTANCE = 0.075
"""Minimum distance between two labels, as a fraction of the width and height of the plot."""


def place_labels(groups: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
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
    all_points = np.concatenate(list(finite.values()))
    low, span = all_points.min(axis=0), np.ptp(all_points, axis=0)
    span = np.where(span > 0, span, 1.0)
    centers = np.array([_densest_point((points - low) / span) for points in finite.values()])
    coords = _push_apart(centers) * span + low
    return {name: (float(x), float(y)) for name, (x, y) in zip(finite, coords, strict=True)}


def _densest_point(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the points in the fullest bin of a two-dimensional histogram; points in [0, 1]."""
    n_bins = int(np.clip(1.5 * np.sqrt(len(points)), 2, MAX_GRID_SIZE))
    bins = np.minimum((points * n_bins).astype(np.intp), n_bins - 1)
    bin_idx = bins[:, 0] * n_bins + bins[:, 1]
    return points[bin_idx == np.bincount(bin_idx).argmax()].mean(axis=0)


def _push_apart(coords: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push labels apart iteratively until any two are at least `MIN_LABEL_DISTANCE` from each other."""
    coords = coords.copy()
    for _ in range(200):
        offset = coords[:, None] - coords[None]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        np.fill_diagonal(distance, np.inf)
        if distance.min() >= MIN_LABEL_DISTANCE:
            break
        is_close = distance < MIN_LABEL_DISTANCE
        # Coincident labels have no direction between them: each pair gets a fixed one.
        angle = np.add.outer(np.arange(len(coords)), np.arange(len(coords))) * 2.4
        sign = np.triu(np.ones_like(angle), 1) - np.tril(np.ones_like(angle), -1)
        fallback = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * sign[..., None]
        direction = np.where((distance > 1e-9)[..., None], offset / np.maximum(distance, 1e-9)[..., None], fallback)
        push = np.where(is_close, (MIN_LABEL_DISTANCE - np.where(is_close, distance, 0)) / 2 + 1e-4, 0.0)
        coords += (direction * push[..., None]).sum(axis=1)
    return coords
