"""Plot of clusters on an embedding, beside their stability by resolution."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_is_anndata
from okrcell.errors import InputError
from okrcell.pl._canvas import PALETTE, assign_colors, color_on, save_and_show, wrap_text
from okrcell.pl.embedding import answers

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


UMAP_KEY = "X_umap"


LABEL_KEYS = ("cell_type", "okrcell_label", "okrcell_cell_type", "okrcell_cluster")
"""Columns of ``obs`` with cell types or clusters; the first that exists is plotted."""


def clusters(
    adata: "AnnData",
    *,
    basis: str | None = None,
    title: str | None = None,
    size: float | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "tuple[Axes, Axes]":
    """Plot the clusters of `okrcell.tl.cluster` and their stability by resolution.

    Left: cells on an embedding, colored by cluster, with the name of each cluster at its densest region. Right: mean adjusted
    Rand index between clusterings of random subsamples at each resolution, with the number of clusters below each point; the
    selected resolution is marked.

    Parameters
    ----------
    adata : AnnData
        Cells with the clusters and the provenance record ``uns["okrcell"]["cluster"]`` of `okrcell.tl.cluster`.
    basis : str, optional
        Slot of ``obsm`` whose first two columns are the coordinates; "umap" is accepted for "X_umap". None (default): a UMAP
        of the representation that was clustered, computed for this plot only and not stored.
    title : str, optional
        Title of the left panel. None (default): number of clusters and resolution.
    size : float, optional
        Area of a point in square points (1/72 inch squared). None (default): the smaller, the more cells there are.
    show : bool, optional
        Whether to show the figure. None (default): as set by ``scanpy.settings.autoshow``, and only for a figure that this
        function created and that is not saved.
    save : str or Path, optional
        Image file to write, at 200 dpi; the extension selects the format, such as .png, .pdf or .svg. The folder must exist.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        Axes of the embedding and of the stability curve.

    Raises
    ------
    InputError
        If `okrcell.tl.cluster` has not been run, the embedding is missing, or ``save`` cannot be written.

    Notes
    -----
    Each subsample holds 80 % of the cells; the adjusted Rand index of two clusterings is computed on the cells they share.
    With one resolution there is nothing to compare, and the right panel says so.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.cluster(adata, model, resolution=[0.5, 1.0])
    >>> embedding, stability = okr.pl.clusters(adata, basis="X_umap", show=False)
    >>> stability.get_xlabel()
    'resolution'
    """
    from matplotlib import pyplot as plt

    check_is_anndata(adata)
    provenance: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("cluster", {})
    if not provenance or str(provenance["key_added"]) not in adata.obs:
        raise InputError("There are no clusters to plot. Run okr.tl.cluster(adata) first.")
    key = str(provenance["key_added"])
    figure = plt.figure(figsize=(11.5, 4.6), layout="constrained")
    axes: Any = figure.subplots(1, 2, width_ratios=[1.55, 1])
    left, right = axes
    plotted, plotted_basis = adata, basis
    if basis is None:
        plotted, plotted_basis = umap_layout(adata, {UMAP_KEY: str(provenance["use_rep"])}, [key]), UMAP_KEY
    # Subsetting may have removed all cells of a cluster: it then gets no label.
    categories = adata.obs[key].astype("category").cat.remove_unused_categories().cat.categories
    names = [str(name) for name in categories if name != "unknown"]
    heading = (
        f"{len(names)} cluster{'s' * (len(names) != 1)} at resolution {float(provenance['resolution']):g}"
        if title is None
        else title
    )
    palette = assign_colors(names)
    answers(plotted, key=key, basis=str(plotted_basis), palette=palette, title=heading, size=size, ax=left, show=False)
    _replace_numbers_by_names(left, names)
    _draw_stability(right, provenance)
    save_and_show(left, is_new=True, show=show, save=save)
    return left, right


def _replace_numbers_by_names(ax: "Axes", names: list[str]) -> None:
    """Replace the running numbers by the names of the clusters, on the plot and in the legend."""
    for text in ax.texts:
        text.set_text(names[int(text.get_text()) - 1])
    legend: Any = ax.get_legend()
    for text in legend.get_texts():
        text.set_text(text.get_text().partition("   ")[2])


def umap_layout(adata: "AnnData", slots: Mapping[str, str], columns: list[str]) -> "AnnData":
    """Return the same cells with a UMAP of each slot, the given columns of ``obs``, and nothing else.

    Parameters
    ----------
    slots
        Slot of ``obsm`` to compute a UMAP of, by the name of the new slot.
    columns
        Columns of ``obs`` to copy.

    Raises
    ------
    InputError
        If a slot is missing.
    """
    from anndata import AnnData

    from okrcell.cells.neighbors import embed_2d

    obs: Any = pd.DataFrame(adata.obs)[columns]
    layout = AnnData(obs=obs.copy())
    for name, slot in slots.items():
        if slot not in adata.obsm:
            raise InputError(f"obsm has no slot {slot}; it has: {', '.join(adata.obsm) or 'nothing'}.")
        layout.obsm[name] = embed_2d(np.asarray(adata.obsm[slot], dtype=np.float32))
    return layout


def _draw_stability(ax: "Axes", provenance: Mapping[str, Any]) -> None:
    resolution, agreement = np.asarray(provenance["resolutions"]), np.asarray(provenance["agreement"])
    n_clusters, selected = np.asarray(provenance["groups"]), float(provenance["resolution"])
    if not np.isfinite(agreement).any():
        ax.axis("off")
        ax.text(0.5, 0.5, "only one resolution:\nno stability computed", ha="center", va="center", fontsize="medium")
        return
    ax.axvline(selected, color=color_on(ax, PALETTE[2]), linewidth=1.5, linestyle=(0, (4, 3)), zorder=1)
    ax.plot(resolution, agreement, color=color_on(ax, PALETTE[0]), linewidth=1.8, marker="o", markersize=5, zorder=2)
    idx = int(np.argmin(np.abs(resolution - selected)))
    ax.plot(resolution[idx], agreement[idx], marker="o", markersize=10, color=color_on(ax, PALETTE[2]), zorder=3)
    low = max(0.0, float(np.nanmin(agreement)) - 0.12)
    for x, y, count in zip(resolution, agreement, n_clusters, strict=True):
        ax.annotate(str(count), (x, y), (0, -17), textcoords="offset points", ha="center", fontsize="x-small")
    ax.set(xlabel="resolution", ylabel="adjusted Rand index between subsamples", ylim=(low, 1.02))
    ax.spines[["top", "right"]].set_visible(False)
    heading = wrap_text("Stability over subsamples of 80% of the cells; number of clusters below each point", 46)
    ax.set_title(heading, loc="left", fontsize="medium", fontweight="bold")


def integration(
    adata: "AnnData",
    *,
    label_key: str | None = None,
    before: str = "X_okrcell",
    size: float | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "tuple[Axes, ...]":
    """Plot cells before and after `okrcell.tl.integrate`, by batch and by cell type.

    Top row: batches, which should be mixed after integration. Bottom row: cell types, which should stay separate.

    Parameters
    ----------
    adata : AnnData
        Cells with the embedding and the provenance record ``uns["okrcell"]["integrate"]`` of `okrcell.tl.integrate`.
    label_key : str, optional
        Column of ``obs`` with cell types. None (default): the first of "cell_type", "okrcell_label", "okrcell_cell_type" and
        "okrcell_cluster" that exists; if none does, only batches are plotted.
    before : str, default "X_okrcell"
        Slot of ``obsm`` with the embedding before integration, such as "X_pca".
    size : float, optional
        Area of a point in square points (1/72 inch squared). None (default): the smaller, the more cells there are.
    show : bool, optional
        Whether to show the figure. None (default): as set by ``scanpy.settings.autoshow``, and only for a figure that this
        function created and that is not saved.
    save : str or Path, optional
        Image file to write, at 200 dpi; the extension selects the format, such as .png, .pdf or .svg. The folder must exist.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        Axes row by row: batch before, batch after, cell type before, cell type after.

    Raises
    ------
    InputError
        If `okrcell.tl.integrate` has not been run, a column or slot is missing, or ``save`` cannot be written.

    Notes
    -----
    Both embeddings are laid out by a UMAP that is computed for this plot only and not stored.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> adata.obs["batch"] = ["first", "second"] * 50
    >>> okr.tl.integrate(adata, model, "batch")
    >>> axes = okr.pl.integration(adata, label_key="bulk_labels", show=False)
    >>> [ax.get_title(loc="left") for ax in axes][:2]
    ['batch, before integration', 'batch, after integration']
    """
    from matplotlib import pyplot as plt

    check_is_anndata(adata)
    provenance: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("integrate", {})
    if not provenance or str(provenance["key_added"]) not in adata.obsm:
        raise InputError(
            "There is no integrated embedding to plot. Run okr.tl.integrate(adata, batch_key='...') first."
        )
    label_key = next((name for name in LABEL_KEYS if name in adata.obs), None) if label_key is None else label_key
    batch_key, after = str(provenance["batch_key"]), str(provenance["key_added"])
    rows = [key for key in dict.fromkeys((batch_key, label_key)) if key is not None]
    for key in rows:
        if key not in adata.obs:
            raise InputError(f"There is no column '{key}' in obs. Pass the name of an existing column.")
    layout = umap_layout(adata, {"before": before, "after": after}, rows)
    figure = plt.figure(figsize=(13.5, 4.4 * len(rows)), layout="constrained")
    grid: Any = figure.subplots(len(rows), 2, squeeze=False)
    for row, key in enumerate(rows):
        for ax, basis in zip(grid[row], ("before", "after"), strict=True):
            answers(layout, key=key, basis=basis, title=f"{key}, {basis} integration", size=size, ax=ax, show=False)
            ax.set(xlabel="", ylabel="")
    for ax in grid[:, 0]:
        ax.get_legend().remove()
    save_and_show(grid[0, 0], is_new=True, show=show, save=save)
    return tuple(grid.ravel())
