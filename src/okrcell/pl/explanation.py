"""Genes that spoke for a name and against it, as bars."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.pl.canvas import CATEGORIES, UNKNOWN, axes_for, figure_of, finish, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from matplotlib.axes import Axes

SLOT = "okrcell_explanations"
FOR, AGAINST = CATEGORIES[0], CATEGORIES[2]
INCHES_A_BAR = 0.27
LEARNED_FROM = {"marker tables": "full", "cells of the corpus": "none", "both": "left"}
"""How the dot of each source is filled."""


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
    """Draw the genes with the strongest word on a group of cells, or on one: to the right for its name, to the left against.

    Beside each bar stand the shares of the group's cells and of all others that have the gene, and a dot that tells where
    the model has its word from: filled for marker tables, hollow for cells of the corpus, half for both.

    Parameters
    ----------
    group
        Name of a group or cell that `okrcell.tl.explain` told of; None where it told of one only.
    top
        So many genes at most.
    title
        Heading; by default the group and its answer.
    ax, show, save
        As for `okrcell.pl.confidence`.

    Raises
    ------
    InputError
        If nothing was explained, the group is not there, nothing speaks for or against it, or ``save`` cannot be written.
    """
    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    name, each = _chosen(adata, group)
    genes = pd.DataFrame(each["genes"]).head(top).sort_values("contribution", ascending=False, kind="stable")
    if not len(genes):
        raise InputError(
            f"Nothing speaks for or against '{name}': it has no expression, or no gene that tells names apart."
        )
    new, ax = ax is None, axes_for(ax, 7.2, 1.7 + INCHES_A_BAR * len(genes))
    words = genes["contribution"].to_numpy(dtype=np.float64)
    y = np.arange(len(genes))
    ax.barh(y, words, height=0.72, color=np.where(words > 0, FOR, AGAINST), linewidth=0, zorder=2)
    ax.axvline(0, color=UNKNOWN, linewidth=1, zorder=3)
    longest = float(np.abs(words).max())
    low, high = min(float(words.min()), -0.12 * longest), max(float(words.max()), 0.12 * longest)
    ax.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    ax.set_ylim(len(genes) - 0.4, -0.6)
    ax.set_yticks(y, list(genes["gene"].astype(str)), fontsize="small", style="italic")
    ax.tick_params(length=0, labelsize="small")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="x", color=UNKNOWN, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    rival = str(each["runner_up"])
    says = f"against it: {rival}  ←   " if rival else ""
    ax.set_xlabel(f"{says}word of the gene   →  for {each['cell_type']}", loc="center", fontsize="small")
    _beside(ax, genes, single=int(each["cells"]) == 1)
    _sources(ax, set(genes["source"].astype(str)))
    heading = f"{name}: {each['cell_type']}" if name != each["cell_type"] else name
    size = "" if int(each["cells"]) == 1 else f"  ({int(each['cells']):,} cells)"
    ax.set_title(
        wrapped(f"Why {heading}{size}" if title is None else title, 62),
        loc="left",
        fontsize="medium",
        fontweight="bold",
        pad=24,
    )
    return finish(ax, new=new, show=show, save=save)


def _chosen(adata: "AnnData", group: str | None) -> "tuple[str, Mapping[str, Any]]":
    explained = _explained(adata)
    if group is None and len(explained) == 1:
        return next(iter(explained.items()))
    there = ", ".join(list(explained)[:12]) + (", …" if len(explained) > 12 else "")
    if group is None:
        raise InputError(f"Several were explained: {there}. Name one: okr.pl.explanation(adata, 'name').")
    if str(group) not in explained:
        raise InputError(f"There is no explanation of '{group}'. There are: {there}.")
    return str(group), explained[str(group)]


def _explained(adata: "AnnData") -> "dict[str, Mapping[str, Any]]":
    if SLOT not in adata.uns:
        raise InputError(f"There is no uns['{SLOT}']. Run okr.tl.explain(adata) first.")
    # A file keeps slots in the order of the alphabet and takes "/" for a folder; the receipt has the names as they are.
    names = [str(name) for name in adata.uns["okrcell"]["explain"]["explained"]]
    return {name: adata.uns[SLOT][name.replace("/", "|") or "(empty)"] for name in names}


def _beside(ax: "Axes", genes: pd.DataFrame, *, single: bool) -> None:
    """Write in a column to the right in how many cells each gene is found, and a dot for where its word is from."""
    place: dict[str, Any] = {
        "transform": ax.get_yaxis_transform(),
        "fontsize": "small",
        "va": "center",
        "clip_on": False,
    }
    head: dict[str, Any] = {"transform": ax.transAxes, "fontsize": "x-small", "va": "bottom", "color": UNKNOWN}
    ax.text(1.09, 1.005, "this cell" if single else "inside", ha="right", **head)
    ax.text(1.19, 1.005, "outside", ha="right", **head)
    for y, row in enumerate(genes.to_dict("records")):
        inside = ("yes" if row["inside"] > 0 else "no") if single else _percent(row["inside"])
        ax.text(1.09, y, inside, ha="right", **place)
        ax.text(1.19, y, _percent(row["outside"]), ha="right", **place)
        ax.plot(
            [1.235],
            [y],
            transform=ax.get_yaxis_transform(),
            clip_on=False,
            **_dot(str(row["source"]), FOR if row["contribution"] > 0 else AGAINST),
        )


def _dot(source: str, colour: str) -> dict[str, Any]:
    return {
        "marker": "o",
        "markersize": 7,
        "linestyle": "",
        "fillstyle": LEARNED_FROM.get(source, "full"),
        "color": colour,
        "markerfacecoloralt": "none",
        "markeredgewidth": 1.1,
    }


def _sources(ax: "Axes", there: set[str]) -> None:
    """Say what the dots mean, below the picture."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=source, **_dot(source, UNKNOWN)) for source in LEARNED_FROM if source in there]
    ax.legend(
        handles=handles,
        title="the model has it from",
        title_fontsize="small",
        alignment="left",
        frameon=False,
        fontsize="small",
        ncols=3,
        loc="upper left",
        bbox_to_anchor=(0, -0.55 / max(INCHES_A_BAR * 4, ax.get_position().height * figure_of(ax).get_figheight())),
        borderaxespad=0,
        borderpad=0,
        handletextpad=0.3,
        columnspacing=1.4,
    )


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else f"{share:.0%}"
