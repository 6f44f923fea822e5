"""Plot of label trust and of doubtful labels."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.pl.canvas import CATEGORIES, UNKNOWN, colour_bar, finish, ink_on, kept_apart, ramp, wrapped

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 40
"""Number of histogram bins of label trust in [0, 1]."""
ROOM = 12
"""Maximum number of labels on each axis of the heat map, those with the most doubtful cells; the rest is pooled."""
OTHERS = "others"
PROBABILITY = "probability that the label is correct"
"""Default label of the trust axis."""
SLOTS = ("okrcell_label_trust", "okrcell_label_doubtful", "okrcell_likely_cell_type")


def audit(
    adata: "AnnData",
    *,
    label_key: str = "cell_type",
    title: str | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "tuple[Axes, Axes]":
    """Plot label trust and the confusion of doubtful labels.

    Left: histogram of the trust of all labels, on a log scale, split into doubtful and other labels; a dashed line marks
    0.5. Right: heat map of the number of doubtful cells by current label (rows) and likely label (columns).

    Parameters
    ----------
    adata : AnnData
        Cells with the columns that `okrcell.tl.audit` writes: ``obs["okrcell_label_trust"]`` (in [0, 1]),
        ``obs["okrcell_label_doubtful"]`` and ``obs["okrcell_likely_cell_type"]``.
    label_key : str, default "cell_type"
        Column of ``obs`` with the labels that `okrcell.tl.audit` examined.
    title : str, optional
        Title of the figure. None (default): the number of doubtful labels.
    show : bool, optional
        Whether to show the figure. None (default): as set by ``scanpy.settings.autoshow``, and only for a figure that this
        function created and that is not saved.
    save : str or Path, optional
        Image file to write, at 200 dpi; the extension selects the format, such as .png, .pdf or .svg. The folder must exist.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        Axes of the histogram and of the heat map.

    Raises
    ------
    InputError
        If a column is missing (`okrcell.tl.audit` has not been run), or ``save`` cannot be written.

    Notes
    -----
    A label is doubtful if its trust is below 0.5 and the likely label names another cell type, neither a broader nor a
    narrower one. The heat map shows the 12 labels with the most doubtful cells on each axis and pools the rest as "others".
    Cells without a label or without expression have no trust and are not drawn.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.audit(adata, model, label_key="bulk_labels")
    >>> histogram, heat_map = okr.pl.audit(adata, label_key="bulk_labels", show=False)
    >>> heat_map.get_title(loc="left")
    'Doubtful labels'
    """
    missing = [name for name in (*SLOTS, label_key) if name not in adata.obs]
    if missing:
        raise InputError(f"obs has no column '{missing[0]}'. Run okr.tl.audit(adata, label_key='{label_key}') first.")
    obs = pd.DataFrame(adata.obs)
    names = ("cell_type", "trust", "doubtful", "likely_cell_type")
    table = {name: obs[key].to_numpy() for name, key in zip(names, (label_key, *SLOTS), strict=True)}
    return draw_audit(pd.DataFrame(table), title=title, show=show, save=save)


def draw_audit(
    table: pd.DataFrame,
    *,
    trust_is: str = PROBABILITY,
    title: str | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "tuple[Axes, Axes]":
    """Plot label trust and doubtful labels from a table of `okrcell audit`.

    Parameters
    ----------
    table
        Columns cell_type, trust, doubtful and likely_cell_type; one row per cell.
    trust_is
        Label of the trust axis.
    """
    doubtful = table.loc[table["doubtful"].to_numpy(dtype=bool)]
    counted = _counted(doubtful)
    height = max(4.2, 2.2 + 0.42 * len(counted))
    figure = _figure(7.5 + 0.55 * counted.shape[1], height, shown=save is None or bool(show))
    both: Any = figure.subplots(1, 2, width_ratios=[3.2, 2.4 + 0.55 * counted.shape[1]])
    left, right = both
    _histogram(left, table, trust_is)
    _heat_map(right, counted)
    labelled = int(table["trust"].notna().sum())
    heading = f"{len(doubtful):,} of {labelled:,} labels are doubtful" if title is None else title
    figure.suptitle(wrapped(heading, 90), x=0.01, ha="left", fontsize="large", fontweight="bold")
    finish(left, new=True, show=show, save=save)
    return left, right


def _figure(width: float, height: float, *, shown: bool) -> "Figure":
    """Create a figure; without pyplot if it is only saved, so that no window opens."""
    if shown:
        from matplotlib import pyplot as plt

        return plt.figure(figsize=(width, height), layout="constrained")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _histogram(ax: "Axes", table: pd.DataFrame, trust_is: str) -> None:
    trust, doubtful = table["trust"].to_numpy(dtype=np.float64), table["doubtful"].to_numpy(dtype=bool)
    known = ~np.isnan(trust)
    ax.hist(
        [trust[known & doubtful], trust[known & ~doubtful]],
        bins=np.linspace(0, 1, BINS + 1).tolist(),
        stacked=True,
        color=[CATEGORIES[2], CATEGORIES[3]],
        label=["doubtful", "not doubtful"],
    )
    if known.any():
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.7)
    ax.set_xlim(0, 1)
    ax.axvline(0.5, color=UNKNOWN, linewidth=1, linestyle="--")
    ax.set_xlabel(f"trust: {trust_is}", loc="left", fontsize="small")
    ax.set_ylabel("cells (log scale)", loc="top", fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", frameon=False, fontsize="small")
    ax.set_title("Label trust", loc="left", fontsize="medium")


def _counted(doubtful: pd.DataFrame) -> pd.DataFrame:
    """Count doubtful cells by current label (rows) and likely label (columns), in descending order of rows."""
    written, likely = (_shortened(doubtful[name].astype(str).tolist()) for name in ("cell_type", "likely_cell_type"))
    table = pd.crosstab(np.array(written, dtype=object), np.array(likely, dtype=object))
    totals = dict(zip(map(str, table.index), table.sum(axis=1).tolist(), strict=True))
    rows = sorted(totals, key=lambda name: (name == OTHERS, -totals[name]))
    # Columns follow the row order, so that swaps of two labels are symmetric about the diagonal.
    columns = sorted(
        map(str, table.columns),
        key=lambda name: (name == OTHERS, rows.index(name) if name in totals else len(rows), name),
    )
    return table.reindex(index=rows, columns=columns)


def _shortened(names: list[str]) -> list[str]:
    kept = {name for name, _ in Counter(names).most_common(ROOM)}
    return [name if name in kept else OTHERS for name in names]


def _heat_map(ax: "Axes", counted: pd.DataFrame) -> None:
    ax.set_title("Doubtful labels", loc="left", fontsize="medium")
    ax.spines[:].set_visible(False)
    if not len(counted):
        ax.set_xticks([])
        ax.set_yticks([])
        ax.text(0.5, 0.5, "none", ha="center", va="center", transform=ax.transAxes, color=UNKNOWN)
        return
    cells = counted.to_numpy(dtype=np.float64)
    image = ax.imshow(np.where(cells > 0, cells, np.nan), cmap=ramp(ax, "share"), vmin=0, aspect="auto")
    colour_of = image.to_rgba(cells)
    for (row, column), number in np.ndenumerate(counted.to_numpy()):
        if number:
            ink = ink_on(tuple(colour_of[row, column]))
            ax.text(column, row, f"{number:,}", ha="center", va="center", fontsize=7.5, color=ink)
    names = [wrapped(str(name), 24, lines=2) for name in counted.columns]
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize="small")
    names = [wrapped(str(name), 30, lines=2) for name in counted.index]
    ax.set_yticks(range(len(names)), names, fontsize="small")
    kept_apart(ax, *counted.shape)
    ax.set_xlabel("likely label", loc="left", fontsize="small")
    ax.set_ylabel("current label", loc="top", fontsize="small")
    colour_bar(ax, image, "cells")
