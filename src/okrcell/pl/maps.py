"""Cells on a map, each in the colour of what it is said to be."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from okrcell.pl.canvas import CATEGORIES, UNKNOWN, axes_for, finish
from okrcell.pl.ground import column, dots, frame, grey, legend, places
from okrcell.pl.numbers import numbered_places

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

NAMELESS = ("", "unknown", "nan")
"""What an answer says when it says nothing; the last is how a missing value reads."""


def answers(
    adata: "AnnData",
    *,
    key: str = "okrcell_cell_type",
    basis: str = "X_umap",
    palette: Mapping[str, str] | None = None,
    title: str | None = None,
    size: float | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Draw each cell in the colour of its answer.

    Each answer has a number too, on the map and in the legend, so that no colour needs to be told from another.

    Parameters
    ----------
    key
        Column of ``obs`` with names. Missing, empty and "unknown" are grey.
    basis
        Slot of ``obsm`` whose first two columns are the map; "umap" means "X_umap".
    palette
        Name to colour; its order is the legend's. By default colours for every eye, the
        commonest name first.
    title, size
        Heading, and area of a point in square points.
    ax, show, save
        Axes to draw on, whether to show the picture (None: as scanpy does), and the file to keep it in.

    Raises
    ------
    InputError
        If the column or the map is missing, or ``save`` cannot be written.
    """
    points = places(adata, basis)
    names: Any = column(adata, key).astype("object").fillna("unknown").astype(str)
    known = ~names.isin(NAMELESS).to_numpy()
    counted = {str(name): int(number) for name, number in names[known].value_counts().items()}
    if palette is None:
        palette = {name: CATEGORIES[place % len(CATEGORIES)] for place, name in enumerate(counted)}
    present = [name for name in palette if name in counted] + [name for name in counted if name not in palette]

    new, ax = ax is None, axes_for(ax, 7.2, 4.6)
    colours = names.map({name: palette.get(name, UNKNOWN) for name in present}).fillna(UNKNOWN).to_numpy(dtype=str)
    grey(ax, points[~known], size, len(points))
    # Drawn in the file's order, the last type would hide the others.
    order = np.random.default_rng(0).permutation(np.flatnonzero(known))
    ax.scatter(*points[order].T, c=colours[order].tolist(), **dots(size, len(points)))
    frame(ax, basis, key if title is None else title)
    numbered = numbered_places({name: points[(names == name).to_numpy()] for name in present})
    for number, name in enumerate(present, start=1):
        if name in numbered:
            _badge(ax, numbered[name], number, palette.get(name, UNKNOWN))
    entries = [(f"{number}   {name}", counted[name]) for number, name in enumerate(present, start=1)]
    if not known.all():
        entries.append(("–   unknown", int((~known).sum())))
    legend(ax, entries, [*(palette.get(name, UNKNOWN) for name in present), UNKNOWN])
    return finish(ax, new=new, show=show, save=save)


def _badge(ax: "Axes", place: tuple[float, float], number: int, colour: str) -> None:
    """Write a number on a disc of the paper's colour: it is read on any cells."""
    ax.text(
        *place,
        str(number),
        ha="center",
        va="center_baseline",
        fontsize=8,
        fontweight="bold",
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": ax.get_facecolor(), "edgecolor": colour, "linewidth": 1.8},
    )
