"""Plot of label trust and of doubtful labels."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_is_anndata
from okrcell.errors import InputError
from okrcell.pl._canvas import (
    PALETTE,
    UNKNOWN_COLOR,
    add_colorbar,
    color_on,
    colormap,
    draw_grid_lines,
    save_and_show,
    text_color_on,
    wrap_text,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HISTOGRAM_BINS = 40
"""Number of histogram bins of label trust in [0, 1]."""
MAX_LABELS = 12
"""Maximum number of labels on each axis of the heat map, those with the most doubtful cells; the rest is pooled."""
OTHER_LABELS = "others"
DEFAULT_TRUST_LABEL = "probability that the label is correct"
"""Default label of the trust axis."""
OBS_KEYS = ("okrcell_label_trust", "okrcell_label_doubtful", "okrcell_likely_cell_type")


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
    check_is_anndata(adata)
    missing = [name for name in (*OBS_KEYS, label_key) if name not in adata.obs]
    if missing:
        raise InputError(f"obs has no column '{missing[0]}'. Run okr.tl.audit(adata, label_key='{label_key}') first.")
    obs = pd.DataFrame(adata.obs)
    names = ("cell_type", "trust", "doubtful", "likely_cell_type")
    table = {name: obs[key].to_numpy() for name, key in zip(names, (label_key, *OBS_KEYS), strict=True)}
    return draw_audit(pd.DataFrame(table), title=title, show=show, save=save)


def draw_audit(
    table: pd.DataFrame,
    *,
    trust_label: str = DEFAULT_TRUST_LABEL,
    title: str | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "tuple[Axes, Axes]":
    """Plot label trust and doubtful labels from a table of `okrcell audit`.

    Parameters
    ----------
    table
        Columns cell_type, trust, doubtful and likely_cell_type; one row per cell.
    trust_label
        Label of the trust axis.
    """
    doubtful = table.loc[table["doubtful"].to_numpy(dtype=bool)]
    counts = _count_doubtful(doubtful)
    height = max(4.2, 2.2 + 0.42 * len(counts))
    figure = _new_figure(7.5 + 0.55 * counts.shape[1], height, use_pyplot=save is None or bool(show))
    axes: Any = figure.subplots(1, 2, width_ratios=[3.2, 2.4 + 0.55 * counts.shape[1]])
    left, right = axes
    _draw_histogram(left, table, trust_label)
    _draw_heat_map(right, counts)
    n_labeled = int(table["trust"].notna().sum())
    heading = f"{len(doubtful):,} of {n_labeled:,} labels are doubtful" if title is None else title
    figure.suptitle(wrap_text(heading, 90), x=0.01, ha="left", fontsize="large", fontweight="bold")
    save_and_show(left, is_new=True, show=show, save=save)
    return left, right


def _new_figure(width: float, height: float, *, use_pyplot: bool) -> "Figure":
    """Create a figure; without pyplot if it is only saved, so that no window opens."""
    if use_pyplot:
        from matplotlib import pyplot as plt

        return plt.figure(figsize=(width, height), layout="constrained")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw_histogram(ax: "Axes", table: pd.DataFrame, trust_label: str) -> None:
    trust, doubtful = table["trust"].to_numpy(dtype=np.float64), table["doubtful"].to_numpy(dtype=bool)
    has_trust = ~np.isnan(trust)
    ax.hist(
        [trust[has_trust & doubtful], trust[has_trust & ~doubtful]],
        bins=np.linspace(0, 1, HISTOGRAM_BINS + 1).tolist(),
        stacked=True,
        color=[color_on(ax, PALETTE[2]), color_on(ax, PALETTE[3])],
        label=["doubtful", "not doubtful"],
    )
    if has_trust.any():
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.7)
    ax.set_xlim(0, 1)
    ax.axvline(0.5, color=UNKNOWN_COLOR, linewidth=1, linestyle="--")
    ax.set_xlabel(f"trust: {trust_label}", loc="left", fontsize="small")
    ax.set_ylabel("cells (log scale)", loc="top", fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", frameon=False, fontsize="small")
    ax.set_title("Label trust", loc="left", fontsize="medium")


def _count_doubtful(doubtful: pd.DataFrame) -> pd.DataFrame:
    """Count doubtful cells by current label (rows) and likely label (columns), in descending order of rows."""
    labels, likely_labels = (
        _pool_rare_labels(doubtful[name].astype(str).tolist()) for name in ("cell_type", "likely_cell_type")
    )
    table = pd.crosstab(np.array(labels, dtype=object), np.array(likely_labels, dtype=object))
    totals = dict(zip(map(str, table.index), table.sum(axis=1).tolist(), strict=True))
    rows = sorted(totals, key=lambda name: (name == OTHER_LABELS, -totals[name]))
    # Columns follow the row order, so that swaps of two labels are symmetric about the diagonal.
    columns = sorted(
        map(str, table.columns),
        key=lambda name: (name == OTHER_LABELS, rows.index(name) if name in totals else len(rows), name),
    )
    return table.reindex(index=rows, columns=columns)


def _pool_rare_labels(names: list[str]) -> list[str]:
    frequent = {name for name, _ in Counter(names).most_common(MAX_LABELS)}
    return [name if name in frequent else OTHER_LABELS for name in names]


def _draw_heat_map(ax: "Axes", counts: pd.DataFrame) -> None:
    ax.set_title("Doubtful labels", loc="left", fontsize="medium")
    ax.spines[:].set_visible(False)
    if not len(counts):
        ax.set_xticks([])
        ax.set_yticks([])
        ax.text(0.5, 0.5, "none", ha="center", va="center", transform=ax.transAxes, color=UNKNOWN_COLOR)
        return
    values = counts.to_numpy(dtype=np.float64)
    image = ax.imshow(np.where(values > 0, values, np.nan), cmap=colormap(ax, "share"), vmin=0, aspect="auto")
    colors = image.to_rgba(values)
    for (row, column), count in np.ndenumerate(counts.to_numpy()):
        if count:
            text_color = text_color_on(tuple(colors[row, column]))
            ax.text(column, row, f"{count:,}", ha="center", va="center", fontsize=7.5, color=text_color)
    names = [wrap_text(str(name), 24, lines=2) for name in counts.columns]
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize="small")
    names = [wrap_text(str(name), 30, lines=2) for name in counts.index]
    ax.set_yticks(range(len(names)), names, fontsize="small")
    draw_grid_lines(ax, *counts.shape)
    ax.set_xlabel("likely label", loc="left", fontsize="small")
    ax.set_ylabel("current label", loc="top", fontsize="small")
    add_colorbar(ax, image, "cells")
