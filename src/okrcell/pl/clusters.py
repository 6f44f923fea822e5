"""Plot of clusters on an embedding, beside their stability by resolution."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.pl.canvas import CATEGORIES, finish, wrapped
from okrcell.pl.maps import answers

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

MAP = "X_umap"


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

    receipt: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("cluster", {})
    if not receipt or str(receipt["key_added"]) not in adata.obs:
        raise InputError("There are no clusters to plot. Run okr.tl.cluster(adata) first.")
    key = str(receipt["key_added"])
    figure = plt.figure(figsize=(11.5, 4.6), layout="constrained")
    both: Any = figure.subplots(1, 2, width_ratios=[1.55, 1])
    left, right = both
    shown, where = adata, basis
    if basis is None:
        shown, where = laid_out(adata, {MAP: str(receipt["use_rep"])}, [key]), MAP
    # Subsetting may have removed all cells of a cluster: it then gets no label.
    present = adata.obs[key].astype("category").cat.remove_unused_categories().cat.categories
    names = [str(name) for name in present if name != "unknown"]
    heading = (
        f"{len(names)} cluster{'s' * (len(names) != 1)} at resolution {float(receipt['resolution']):g}"
        if title is None
        else title
    )
    palette = {name: CATEGORIES[place % len(CATEGORIES)] for place, name in enumerate(names)}
    answers(shown, key=key, basis=str(where), palette=palette, title=heading, size=size, ax=left, show=False)
    _numbered_by_name(left, names)
    _curve(right, receipt)
    finish(left, new=True, show=show, save=save)
    return left, right


def _numbered_by_name(ax: "Axes", names: list[str]) -> None:
    """Replace the running numbers by the names of the clusters, on the plot and in the legend."""
    for text in ax.texts:
        text.set_text(names[int(text.get_text()) - 1])
    legend: Any = ax.get_legend()
    for text in legend.get_texts():
        text.set_text(text.get_text().partition("   ")[2])


def laid_out(adata: "AnnData", maps: Mapping[str, str], columns: list[str]) -> "AnnData":
    """Return the same cells with a UMAP of each slot, the given columns of ``obs``, and nothing else.

    Parameters
    ----------
    maps
        Slot of ``obsm`` to compute a UMAP of, by the name of the new slot.
    columns
        Columns of ``obs`` to copy.

    Raises
    ------
    InputError
        If a slot is missing.
    """
    from anndata import AnnData

    from okrcell.cells.samples.neighbours import flat_map

    obs: Any = pd.DataFrame(adata.obs)[columns]
    cells = AnnData(obs=obs.copy())
    for name, slot in maps.items():
        if slot not in adata.obsm:
            raise InputError(f"obsm has no slot {slot}; it has: {', '.join(adata.obsm) or 'nothing'}.")
        cells.obsm[name] = flat_map(np.asarray(adata.obsm[slot], dtype=np.float32))
    return cells


def _curve(ax: "Axes", receipt: Mapping[str, Any]) -> None:
    resolution, agreement = np.asarray(receipt["resolutions"]), np.asarray(receipt["agreement"])
    groups, chosen = np.asarray(receipt["groups"]), float(receipt["resolution"])
    if not np.isfinite(agreement).any():
        ax.axis("off")
        ax.text(0.5, 0.5, "only one resolution:\nno stability computed", ha="center", va="center", fontsize="medium")
        return
    ax.axvline(chosen, color=CATEGORIES[2], linewidth=1.5, linestyle=(0, (4, 3)), zorder=1)
    ax.plot(resolution, agreement, color=CATEGORIES[0], linewidth=1.8, marker="o", markersize=5, zorder=2)
    place = int(np.argmin(np.abs(resolution - chosen)))
    ax.plot(resolution[place], agreement[place], marker="o", markersize=10, color=CATEGORIES[2], zorder=3)
    low = max(0.0, float(np.nanmin(agreement)) - 0.12)
    for x, y, number in zip(resolution, agreement, groups, strict=True):
        ax.annotate(str(number), (x, y), (0, -17), textcoords="offset points", ha="center", fontsize="x-small")
    ax.set(xlabel="resolution", ylabel="adjusted Rand index between subsamples", ylim=(low, 1.02))
    ax.spines[["top", "right"]].set_visible(False)
    heading = wrapped("Stability over subsamples of 80% of the cells; number of clusters below each point", 46)
    ax.set_title(heading, loc="left", fontsize="medium", fontweight="bold")
