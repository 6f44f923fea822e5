"""Embedding plot of cells colored by predicted cell type."""

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
"""Values that count as no label; "nan" is the text of a missing value."""


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
    """Plot cells on an embedding, colored by predicted cell type.

    Each cell type also has a number, on the plot and in the legend, so that types can be identified without color.

    Parameters
    ----------
    adata : AnnData
        Cells with predictions in ``obs`` and two-dimensional coordinates in ``obsm``.
    key : str, default "okrcell_cell_type"
        Column of ``obs`` with predicted cell types or other categories. Missing, empty and "unknown" cells are grey.
    basis : str, default "X_umap"
        Slot of ``obsm`` whose first two columns are the coordinates; "umap" is accepted for "X_umap".
    palette : mapping of str to str, optional
        Color by cell type; its order is the order of the legend. None (default): ten colors that remain distinct with color
        vision deficiency, assigned by number of cells and repeated where there are more types.
    title : str, optional
        Title. None (default): ``key``.
    size : float, optional
        Area of a point in square points (1/72 inch squared). None (default): the smaller, the more cells there are.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on. None (default): the axes of a new figure.
    show : bool, optional
        Whether to show the figure. None (default): as set by ``scanpy.settings.autoshow``, and only for a figure that this
        function created and that is not saved.
    save : str or Path, optional
        Image file to write, at 200 dpi; the extension selects the format, such as .png, .pdf or .svg. The folder must exist.

    Returns
    -------
    matplotlib.axes.Axes
        Axes of the plot.

    Raises
    ------
    InputError
        If the column or the embedding is missing, or ``save`` cannot be written.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.annotate(adata, model, candidates=["B cell", "T cell", "monocyte", "natural killer cell", "dendritic cell"])
    >>> ax = okr.pl.answers(adata, basis="X_umap", show=False)
    >>> ax.get_xlabel(), ax.get_title(loc="left")
    ('UMAP 1', 'okrcell_cell_type')
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
    # Random drawing order: in file order the last type would cover the others.
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
    """Draw a number on a disc in the background color, legible over any points."""
    ax.text(
        *place,
        str(number),
        ha="center",
        va="center_baseline",
        fontsize=8,
        fontweight="bold",
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": ax.get_facecolor(), "edgecolor": colour, "linewidth": 1.8},
    )
