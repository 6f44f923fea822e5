"""Cells on a map, shaded by how sure their answer is, or how well they fit a sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.pl.canvas import UNKNOWN, axes_for, colour_bar, finish, ramp
from okrcell.pl.ground import column, dots, frame, grey, legend, places

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


def confidence(
    adata: "AnnData",
    *,
    key: str = "okrcell_confidence",
    basis: str = "X_umap",
    title: str | None = None,
    color_map: "str | Colormap | None" = None,
    size: float | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Draw each cell in the colour of its confidence, always from 0 to 1, so that pictures can be compared.

    Parameters are those of `okrcell.pl.answers`; ``color_map`` names other colours than the usual.
    """
    new, ax = ax is None, axes_for(ax, 5.8, 4.6)
    heading = "Confidence" if title is None else title
    label = "probability that the answer is right"
    _shade(
        ax, adata, key=key, basis=basis, title=heading, label=label, limits=(0.0, 1.0), color_map=color_map, size=size
    )
    return finish(ax, new=new, show=show, save=save)


def match(
    adata: "AnnData",
    *,
    key: str = "okrcell_match",
    basis: str = "X_umap",
    title: str | None = None,
    color_map: "str | Colormap | None" = None,
    limits: tuple[float, float] | None = None,
    size: float | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Draw each cell in the colour of how well it fits the sentence that `okrcell.tl.find_cells` was asked for.

    Parameters
    ----------
    limits
        Cosine similarities at the two ends of the colours; by default the 1st and 99th percentile of these cells, so
        that colours compare cells, not sentences.
    adata, key, basis, title, color_map, size, ax, show, save
        As for `okrcell.pl.answers` and `okrcell.pl.confidence`; the heading is the sentence, where the receipt tells it.
    """
    values = _numbers(adata, key)
    finite = values[np.isfinite(values)]
    if limits is None:
        low, high = np.percentile(finite, [1, 99]) if len(finite) else (0.0, 1.0)
        limits = (float(low), float(high) if high > low else float(low) + 1e-6)
    new, ax = ax is None, axes_for(ax, 5.8, 4.6)
    heading = _sentence(adata, key) if title is None else title
    label = "match (cosine similarity)"
    _shade(ax, adata, key=key, basis=basis, title=heading, label=label, limits=limits, color_map=color_map, size=size)
    return finish(ax, new=new, show=show, save=save)


def _shade(
    ax: "Axes",
    adata: "AnnData",
    *,
    key: str,
    basis: str,
    title: str,
    label: str,
    limits: tuple[float, float],
    color_map: "str | Colormap | None",
    size: float | None,
) -> None:
    points, values = places(adata, basis), _numbers(adata, key)
    known = np.isfinite(values)
    grey(ax, points[~known], size, len(points))
    # The highest are drawn last: what was asked for should lie on top.
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    drawn = ax.scatter(
        *points[order].T,
        c=values[order],
        cmap=ramp(ax, "value") if color_map is None else color_map,
        vmin=limits[0],
        vmax=limits[1],
        **dots(size, len(points)),
    )
    colour_bar(ax, drawn, label)
    frame(ax, basis, title)
    if not known.all():
        legend(ax, [("unknown", int((~known).sum()))], [UNKNOWN], inside=True)


def _numbers(adata: "AnnData", key: str) -> NDArray[np.float64]:
    numbers = column(adata, key)
    if not pd.api.types.is_numeric_dtype(numbers):
        raise InputError(f"obs['{key}'] must hold numbers, but it holds {numbers.dtype} such as {numbers.iloc[0]!r}.")
    return numbers.to_numpy(dtype=np.float64)


def _sentence(adata: "AnnData", key: str) -> str:
    found: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("find", {})
    return f"“{found['text']}”" if found.get("key_added") == key and "text" in found else key
