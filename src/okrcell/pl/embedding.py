"""Plots of cells on an embedding, colored by cell type, confidence or match with a text."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.cells.anndata_checks import check_is_anndata
from okrcell.errors import InputError
from okrcell.pl._canvas import (
    UNKNOWN_COLOR,
    add_colorbar,
    add_legend,
    assign_colors,
    color_on,
    colormap,
    draw_unlabeled,
    embedding_coords,
    get_axes,
    obs_column,
    place_labels,
    save_and_show,
    scatter_kwargs,
    size_with_legend,
    style_embedding_axes,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


UNLABELED = ("", "unknown", "nan")
"""Values that count as no label; "nan" is the text of a missing value."""


def answers(
    adata: "AnnData",
    *,
    key: str | None = None,
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
    key : str, optional
        Column of ``obs`` with predicted cell types or other categories. Missing, empty and "unknown" cells are grey. None
        (default): "okrcell_label", or "okrcell_cell_type" where that is missing.
    basis : str, default "X_umap"
        Slot of ``obsm`` whose first two columns are the coordinates; "umap" is accepted for "X_umap".
    palette : mapping of str to str, optional
        Color by cell type; its order is the order of the legend. None (default): 24 colors, assigned by number of cells and
        repeated where there are more types. Pass the same mapping to several plots, so that a type keeps its color.
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
    ('UMAP 1', 'okrcell_label')
    """
    check_is_anndata(adata)
    if key is None:
        key = "okrcell_label" if "okrcell_label" in adata.obs else "okrcell_cell_type"
    coords = embedding_coords(adata, basis)
    names: Any = obs_column(adata, key).astype("object").fillna("unknown").astype(str)
    has_label = ~names.isin(UNLABELED).to_numpy()
    counts = {str(name): int(number) for name, number in names[has_label].value_counts().items()}
    if palette is None:
        palette = assign_colors(counts)
    labels = [name for name in palette if name in counts] + [name for name in counts if name not in palette]

    entries = [(f"{number}   {name}", counts[name]) for number, name in enumerate(labels, start=1)]
    if not has_label.all():
        entries.append(("–   unknown", int((~has_label).sum())))

    is_new, ax = ax is None, get_axes(ax, *size_with_legend(entries, 7.2, 4.6))
    label_colors = {name: color_on(ax, palette.get(name, UNKNOWN_COLOR)) for name in labels}
    colors = names.map(label_colors).fillna(UNKNOWN_COLOR).to_numpy(dtype=str)
    draw_unlabeled(ax, coords[~has_label], size, len(coords))
    # Random drawing order: in file order the last type would cover the others.
    order = np.random.default_rng(0).permutation(np.flatnonzero(has_label))
    ax.scatter(*coords[order].T, c=colors[order].tolist(), **scatter_kwargs(size, len(coords)))
    style_embedding_axes(ax, basis, key if title is None else title)
    label_coords = place_labels({name: coords[(names == name).to_numpy()] for name in labels})
    for number, name in enumerate(labels, start=1):
        if name in label_coords:
            _draw_label_number(ax, label_coords[name], number, label_colors[name])
    add_legend(ax, entries, [*label_colors.values(), UNKNOWN_COLOR])
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
    """Plot cells on an embedding, colored by the confidence of their predicted cell type.

    The color scale always runs from 0 to 1, so that plots are comparable.

    Parameters
    ----------
    adata : AnnData
        Cells with confidence in ``obs`` and two-dimensional coordinates in ``obsm``.
    key : str, default "okrcell_confidence"
        Column of ``obs`` with the probability of each prediction, in [0, 1]. Cells with a missing value are grey.
    basis : str, default "X_umap"
        Slot of ``obsm`` whose first two columns are the coordinates; "umap" is accepted for "X_umap".
    title : str, optional
        Title. None (default): "Confidence".
    color_map : str or matplotlib.colors.Colormap, optional
        Colormap of the values. None (default): a sequential one that suits the background.
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
        If the column or the embedding is missing, the column is not numeric, or ``save`` cannot be written.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.annotate(adata, model, candidates=["B cell", "T cell", "monocyte", "natural killer cell", "dendritic cell"])
    >>> ax = okr.pl.confidence(adata, show=False)
    >>> ax.collections[0].get_clim()
    (0.0, 1.0)
    """
    check_is_anndata(adata)
    is_new, ax = ax is None, get_axes(ax, 5.8, 4.6)
    heading = "Confidence" if title is None else title
    label = "probability that the prediction is correct"
    _draw_values(
        ax, adata, key=key, basis=basis, title=heading, label=label, limits=(0.0, 1.0), color_map=color_map, size=size
    )
    return save_and_show(ax, is_new=is_new, show=show, save=save)


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
    """Plot cells on an embedding, colored by their match with a text.

    Parameters
    ----------
    adata : AnnData
        Cells with the scores of `okrcell.tl.find_cells` in ``obs`` and two-dimensional coordinates in ``obsm``.
    key : str, default "okrcell_match"
        Column of ``obs`` with cosine similarities in [-1, 1]. Cells with a missing value are grey.
    basis : str, default "X_umap"
        Slot of ``obsm`` whose first two columns are the coordinates; "umap" is accepted for "X_umap".
    title : str, optional
        Title. None (default): the text that was searched for, else ``key``.
    color_map : str or matplotlib.colors.Colormap, optional
        Colormap of the values. None (default): a sequential one that suits the background.
    limits : tuple of float, optional
        Cosine similarities at the two ends of the color scale. None (default): 1st and 99th percentile of these cells, so
        colors compare cells within a plot, not texts between plots.
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
        If the column or the embedding is missing, the column is not numeric, or ``save`` cannot be written.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.find_cells(adata, model, "a cell that presents antigen to T cells")
    >>> ax = okr.pl.match(adata, show=False)
    >>> ax.get_title(loc="left")
    '“a cell that presents antigen to T cells”'
    """
    check_is_anndata(adata)
    values = _numeric_column(adata, key)
    finite = values[np.isfinite(values)]
    if limits is None:
        low, high = np.percentile(finite, [1, 99]) if len(finite) else (0.0, 1.0)
        limits = (float(low), float(high) if high > low else float(low) + 1e-6)
    is_new, ax = ax is None, get_axes(ax, 5.8, 4.6)
    heading = _search_text(adata, key) if title is None else title
    label = "match (cosine similarity)"
    _draw_values(
        ax, adata, key=key, basis=basis, title=heading, label=label, limits=limits, color_map=color_map, size=size
    )
    return save_and_show(ax, is_new=is_new, show=show, save=save)


def _draw_values(
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
    coords, values = embedding_coords(adata, basis), _numeric_column(adata, key)
    is_finite = np.isfinite(values)
    draw_unlabeled(ax, coords[~is_finite], size, len(coords))
    # Cells with the highest values are drawn last, on top.
    order = np.flatnonzero(is_finite)[np.argsort(values[is_finite], kind="stable")]
    scatter = ax.scatter(
        *coords[order].T,
        c=values[order],
        cmap=colormap(ax, "value") if color_map is None else color_map,
        vmin=limits[0],
        vmax=limits[1],
        **scatter_kwargs(size, len(coords)),
    )
    add_colorbar(ax, scatter, label)
    style_embedding_axes(ax, basis, title)
    if not is_finite.all():
        add_legend(ax, [("unknown", int((~is_finite).sum()))], [UNKNOWN_COLOR], inside=True)


def _numeric_column(adata: "AnnData", key: str) -> NDArray[np.float64]:
    series = obs_column(adata, key)
    if not pd.api.types.is_numeric_dtype(series):
        raise InputError(
            f"obs['{key}'] must hold numbers, but its dtype is {series.dtype}, with values such as {series.iloc[0]!r}."
        )
    return series.to_numpy(dtype=np.float64)


def _search_text(adata: "AnnData", key: str) -> str:
    provenance: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("find", {})
    return f"“{provenance['text']}”" if provenance.get("key_added") == key and "text" in provenance else key
