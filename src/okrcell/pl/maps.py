"""Embedding plot of cells colored by predicted cell type."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from okrcell.pl._canvas import PALETTE, UNKNOWN_COLOR, get_axes, save_and_show
from okrcell.pl.ground import (
    add_legend,
    draw_unlabeled,
    embedding_coords,
    obs_column,
    scatter_kwargs,
    style_embedding_axes,
)
from okrcell.pl.numbers import place_labels

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

UNLABELED = ("", "unknown", "nan")
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
    coords = embedding_coords(adata, basis)
    names: Any = obs_column(adata, key).astype("object").fillna("unknown").astype(str)
    has_label = ~names.isin(UNLABELED).to_numpy()
    counts = {str(name): int(number) for name, number in names[has_label].value_counts().items()}
    if palette is None:
        palette = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(counts)}
    labels = [name for name in palette if name in counts] + [name for name in counts if name not in palette]

    is_new, ax = ax is None, get_axes(ax, 7.2, 4.6)
    colors = (
        names.map({name: palette.get(name, UNKNOWN_COLOR) for name in labels}).fillna(UNKNOWN_COLOR).to_numpy(dtype=str)
    )
    draw_unlabeled(ax, coords[~has_label], size, len(coords))
    # Random drawing order: in file order the last type would cover the others.
    order = np.random.default_rng(0).permutation(np.flatnonzero(has_label))
    ax.scatter(*coords[order].T, c=colors[order].tolist(), **scatter_kwargs(size, len(coords)))
    style_embedding_axes(ax, basis, key if title is None else title)
    label_coords = place_labels({name: coords[(names == name).to_numpy()] for name in labels})
    for number, name in enumerate(labels, start=1):
        if name in label_coords:
            _draw_label_number(ax, label_coords[name], number, palette.get(name, UNKNOWN_COLOR))
    entries = [(f"{number}   {name}", counts[name]) for number, name in enumerate(labels, start=1)]
    if not has_label.all():
        entries.append(("–   unknown", int((~has_label).sum())))
    add_legend(ax, entries, [*(palette.get(name, UNKNOWN_COLOR) for name in labels), UNKNOWN_COLOR])
    return save_and_show(ax, is_new=is_new, show=show, save=save)


def _draw_label_number(ax: "Axes", coords: tuple[float, float], number: int, color: str) -> None:
    """Draw a number on a disc in the background color, legible over any points."""
    ax.text(
        *coords,
        str(number),
        ha="center",
        va="center_baseline",
        fontsize=8,
        fontweight="bold",
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": ax.get_facecolor(), "edgecolor": color, "linewidth": 1.8},
    )
