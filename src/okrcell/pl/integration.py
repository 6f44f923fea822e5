"""Plot of cells before and after batch integration."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.errors import InputError
from okrcell.pl._canvas import save_and_show
from okrcell.pl.clusters import umap_layout
from okrcell.pl.maps import answers

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

LABEL_KEYS = ("cell_type", "okrcell_cell_type", "okrcell_cluster")
"""Columns of ``obs`` with cell types or clusters; the first that exists is plotted."""


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
        Column of ``obs`` with cell types. None (default): the first of "cell_type", "okrcell_cell_type" and "okrcell_cluster"
        that exists; if none does, only batches are plotted.
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
