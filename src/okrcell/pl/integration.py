"""Cells before and after their batch was taken out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.errors import InputError
from okrcell.pl.canvas import finish
from okrcell.pl.clusters import laid_out
from okrcell.pl.maps import answers

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

LABELS = ("cell_type", "okrcell_cell_type", "okrcell_cluster")
"""Columns that may tell what cells are; the first that is there is drawn."""


def integration(
    adata: "AnnData",
    *,
    label_key: str | None = None,
    before: str = "X_okrcell",
    size: float | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "tuple[Axes, ...]":
    """Draw cells before and after `okrcell.tl.integrate`, by batch and by what they are.

    Above: the batches should part before, and mix after. Below: cell types should stay apart.

    Parameters
    ----------
    label_key
        Column of ``obs`` with what cells are. None: "cell_type", "okrcell_cell_type" or "okrcell_cluster", the first
        that is there; if none is, batches alone are drawn.
    before
        Slot of ``obsm`` to compare with, such as "X_pca".
    size
        Area of a point in square points.
    show, save
        As for `okrcell.pl.answers`.

    Returns
    -------
    Axes row by row: batch before, batch after, label before, label after.

    Raises
    ------
    InputError
        If `okrcell.tl.integrate` has not been run, a column or slot is missing, or ``save`` cannot be written.
    """
    from matplotlib import pyplot as plt

    receipt: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("integrate", {})
    if not receipt or str(receipt["key_added"]) not in adata.obsm:
        raise InputError("There is nothing integrated to draw. Run okr.tl.integrate(adata, batch_key='...') first.")
    label_key = next((name for name in LABELS if name in adata.obs), None) if label_key is None else label_key
    batch_key, after = str(receipt["batch_key"]), str(receipt["key_added"])
    rows = [key for key in dict.fromkeys((batch_key, label_key)) if key is not None]
    for key in rows:
        if key not in adata.obs:
            raise InputError(f"There is no column '{key}' in obs. Name a column that it has.")
    cells = laid_out(adata, {"before": before, "after": after}, rows)
    figure = plt.figure(figsize=(13.5, 4.4 * len(rows)), layout="constrained")
    grid: Any = figure.subplots(len(rows), 2, squeeze=False)
    for place, key in enumerate(rows):
        for ax, basis in zip(grid[place], ("before", "after"), strict=True):
            answers(cells, key=key, basis=basis, title=f"{key}, {basis} integration", size=size, ax=ax, show=False)
            ax.set(xlabel="", ylabel="")
    for ax in grid[:, 0]:
        ax.get_legend().remove()
    finish(grid[0, 0], new=True, show=show, save=save)
    return tuple(grid.ravel())
