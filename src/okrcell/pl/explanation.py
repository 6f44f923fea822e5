"""Bar plot of gene contributions to the predicted cell type of a group."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_is_anndata
from okrcell.errors import InputError
from okrcell.pl._canvas import PALETTE, UNKNOWN_COLOR, color_on, get_axes, root_figure, save_and_show, wrap_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from matplotlib.axes import Axes

UNS_KEY = "okrcell_explanations"
COLOR_FOR, COLOR_AGAINST = PALETTE[0], PALETTE[2]
INCHES_PER_BAR = 0.27
SOURCE_FILL_STYLES = {"marker tables": "full", "cells of the corpus": "none", "both": "left"}
"""Marker fill style by source of the contribution."""


def explanation(
    adata: "AnnData",
    group: str | None = None,
    *,
    top: int = 16,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Plot the genes that contribute most to the predicted type of a group or cell.

    Bars to the right support the predicted cell type, bars to the left the runner-up. The columns on the right show the
    fraction of the group's cells ("inside") and of all other cells ("outside") in which the gene is detected, and a dot for
    the source of the contribution: filled for marker tables, hollow for cells of the training corpus, half filled for both.

    Parameters
    ----------
    adata : AnnData
        Cells with ``uns["okrcell_explanations"]`` of `okrcell.tl.explain`.
    group : str, optional
        Name of an explained group or cell. None (default): the only one that was explained.
    top : int, default 16
        Maximum number of genes, those with the largest absolute contribution; at least 1.
    title : str, optional
        Title. None (default): the group, its predicted cell type and number of cells.
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
        Axes of the bar plot.

    Raises
    ------
    InputError
        If `okrcell.tl.explain` has not been run, ``group`` was not explained or is None with several explanations, no gene
        contributes, ``top`` is below 1, or ``save`` cannot be written.

    Notes
    -----
    The contribution of a gene is its mean relative expression in the group times the difference of the signatures that the
    model expects of the predicted type and of the runner-up. The contributions of all genes sum to the margin between the two
    scores.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> candidates = ["B cell", "T cell", "monocyte", "natural killer cell", "dendritic cell"]
    >>> okr.tl.explain(adata, model, candidates=candidates)
    >>> ax = okr.pl.explanation(adata, "B cell", top=8, show=False)
    >>> len(ax.get_yticklabels())
    8
    """
    check_is_anndata(adata)
    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    name, entry = _select_explanation(adata, group)
    genes = pd.DataFrame(entry["genes"]).head(top).sort_values("contribution", ascending=False, kind="stable")
    if not len(genes):
        raise InputError(
            f"No gene contributes to the prediction of '{name}': it has no expression, or no gene separates the candidates."
        )
    is_new, ax = ax is None, get_axes(ax, 7.2, 1.7 + INCHES_PER_BAR * len(genes))
    contributions = genes["contribution"].to_numpy(dtype=np.float64)
    y = np.arange(len(genes))
    ax.barh(
        y,
        contributions,
        height=0.72,
        color=np.where(contributions > 0, color_on(ax, COLOR_FOR), color_on(ax, COLOR_AGAINST)),
        linewidth=0,
        zorder=2,
    )
    ax.axvline(0, color=UNKNOWN_COLOR, linewidth=1, zorder=3)
    max_abs = float(np.abs(contributions).max())
    low, high = min(float(contributions.min()), -0.12 * max_abs), max(float(contributions.max()), 0.12 * max_abs)
    ax.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    ax.set_ylim(len(genes) - 0.4, -0.6)
    ax.set_yticks(y, list(genes["gene"].astype(str)), fontsize="small", style="italic")
    ax.tick_params(length=0, labelsize="small")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="x", color=UNKNOWN_COLOR, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    runner_up = str(entry["runner_up"])
    runner_up_text = f"{runner_up}  ←   " if runner_up else ""
    ax.set_xlabel(f"{runner_up_text}contribution of the gene   →  {entry['cell_type']}", loc="center", fontsize="small")
    _draw_detection_rates(ax, genes, single=int(entry["cells"]) == 1)
    _add_source_legend(ax, set(genes["source"].astype(str)))
    heading = f"{name}: {entry['cell_type']}" if name != entry["cell_type"] else name
    size = "" if int(entry["cells"]) == 1 else f"  ({int(entry['cells']):,} cells)"
    ax.set_title(
        wrap_text(f"Gene contributions, {heading}{size}" if title is None else title, 62),
        loc="left",
        fontsize="medium",
        fontweight="bold",
        pad=24,
    )
    return save_and_show(ax, is_new=is_new, show=show, save=save)


def _select_explanation(adata: "AnnData", group: str | None) -> "tuple[str, Mapping[str, Any]]":
    explanations = _read_explanations(adata)
    if group is None and len(explanations) == 1:
        return next(iter(explanations.items()))
    available = ", ".join(list(explanations)[:12]) + (", …" if len(explanations) > 12 else "")
    if group is None:
        raise InputError(f"There are several explanations: {available}. Select one: okr.pl.explanation(adata, 'name').")
    if str(group) not in explanations:
        raise InputError(f"There is no explanation of '{group}'. Available: {available}.")
    return str(group), explanations[str(group)]


def _read_explanations(adata: "AnnData") -> "dict[str, Mapping[str, Any]]":
    if UNS_KEY not in adata.uns:
        raise InputError(f"There is no uns['{UNS_KEY}']. Run okr.tl.explain(adata) first.")
    # h5ad files sort the keys of uns and read "/" as a group separator; the provenance record has the original names.
    names = [str(name) for name in adata.uns["okrcell"]["explain"]["explained"]]
    return {name: adata.uns[UNS_KEY][name.replace("/", "|") or "(empty)"] for name in names}


def _draw_detection_rates(ax: "Axes", genes: pd.DataFrame, *, single: bool) -> None:
    """Write the detection rates of each gene in columns to the right, and a dot for the source of its contribution."""
    cell_style: dict[str, Any] = {
        "transform": ax.get_yaxis_transform(),
        "fontsize": "small",
        "va": "center",
        "clip_on": False,
    }
    header_style: dict[str, Any] = {
        "transform": ax.transAxes,
        "fontsize": "x-small",
        "va": "bottom",
        "color": UNKNOWN_COLOR,
    }
    ax.text(1.09, 1.005, "this cell" if single else "inside", ha="right", **header_style)
    ax.text(1.19, 1.005, "outside", ha="right", **header_style)
    for y, row in enumerate(genes.to_dict("records")):
        inside = ("yes" if row["inside"] > 0 else "no") if single else _format_percent(row["inside"])
        ax.text(1.09, y, inside, ha="right", **cell_style)
        ax.text(1.19, y, _format_percent(row["outside"]), ha="right", **cell_style)
        ax.plot(
            [1.235],
            [y],
            transform=ax.get_yaxis_transform(),
            clip_on=False,
            **_marker_style(str(row["source"]), color_on(ax, COLOR_FOR if row["contribution"] > 0 else COLOR_AGAINST)),
        )


def _marker_style(source: str, color: str) -> dict[str, Any]:
    return {
        "marker": "o",
        "markersize": 7,
        "linestyle": "",
        "fillstyle": SOURCE_FILL_STYLES.get(source, "full"),
        "color": color,
        "markerfacecoloralt": "none",
        "markeredgewidth": 1.1,
    }


def _add_source_legend(ax: "Axes", sources: set[str]) -> None:
    """Add a legend of the sources below the plot."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], label=source, **_marker_style(source, UNKNOWN_COLOR))
        for source in SOURCE_FILL_STYLES
        if source in sources
    ]
    ax.legend(
        handles=handles,
        title="source of the contribution",
        title_fontsize="small",
        alignment="left",
        frameon=False,
        fontsize="small",
        ncols=3,
        loc="upper left",
        bbox_to_anchor=(0, -0.55 / max(INCHES_PER_BAR * 4, ax.get_position().height * root_figure(ax).get_figheight())),
        borderaxespad=0,
        borderpad=0,
        handletextpad=0.3,
        columnspacing=1.4,
    )


def _format_percent(fraction: float) -> str:
    return "–" if pd.isna(fraction) else f"{fraction:.0%}"
