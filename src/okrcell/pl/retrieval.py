"""Bar plot of the best matching texts of groups of cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.pl.canvas import CATEGORIES, UNKNOWN, axes_for, finish, wrapped
from okrcell.pl.relations import COLOURS, commonest_types, legend, relation_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

PLAIN = CATEGORIES[0]
MOST_GROUPS = 12
HEADING, GAP = 1.15, 0.25
"""Height of a group's heading and of the gap between groups, in bars."""
LETTERS = 54
INCHES_A_BAR = 0.235


def retrieval(
    adata: "AnnData",
    *,
    key: str = "okrcell_texts",
    groups: Sequence[str] | None = None,
    top: int = 3,
    truth: str | None = None,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Plot the best matching texts of each group of cells, as bars of their cosine similarity.

    Parameters
    ----------
    adata : AnnData
        Cells whose groups were ranked by ``okrcell.tl.find_texts(..., groupby=...)``.
    key : str, default "okrcell_texts"
        Slot of ``uns`` with the ranking.
    groups : sequence of str, optional
        Groups to plot, in this order. None (default): the 12 groups with the most cells.
    top : int, default 3
        Number of texts per group, at least 1.
    truth : str, optional
        Column of ``obs`` with names or ids of the Cell Ontology. Bars are then colored by the ontology relation of each text
        to the most frequent label of its group: same, broader, narrower, sibling or other type, or unknown. None (default):
        one color.
    title : str, optional
        Title. None (default): "Best matching texts by" and the name of the group column.
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
        If texts were not ranked by group, ``top`` is below 1, a group or column is missing, or ``save`` cannot be written.

    Notes
    -----
    The length of a bar is the similarity that `okrcell.tl.find_texts` stored for the group: the mean over its cells.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> texts = ["B cell", "T cell", "monocyte", "dendritic cell"]
    >>> okr.tl.find_texts(adata, model, texts, groupby="bulk_labels", top=2)
    >>> ax = okr.pl.retrieval(adata, groups=["CD19+ B", "Dendritic"], top=1, show=False)
    >>> ax.get_title(loc="left")
    'Best matching texts by bulk_labels'
    """
    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    table = _ranked(adata, key)
    receipt: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("find_texts", {})
    column = str(receipt.get("groupby", ""))
    sizes = _sizes(adata, column)
    chosen = _chosen(table, groups, sizes)
    meant = commonest_types(adata, column, truth) if truth is not None else {}

    blocks = [
        (name, table.loc[(table["group"] == name) & (table["rank"] <= top)].sort_values("rank")) for name in chosen
    ]
    height = sum(HEADING + len(rows) + GAP for _, rows in blocks)
    new, ax = ax is None, axes_for(ax, 7.6, 0.9 + INCHES_A_BAR * height)
    used: dict[str, str] = {}
    y = 0.0
    longest = max(float(rows["match"].max()) for _, rows in blocks)
    for name, rows in blocks:
        y += HEADING
        size = f"  ({sizes[name]:,})" if name in sizes else ""
        says = f" – labelled {meant[name][1]}" if name in meant and meant[name][1] != name else ""
        ax.text(
            0, y - 0.72, wrapped(f"{name}{size}{says}", 84, lines=1), fontsize="small", fontweight="bold", va="center"
        )  # fmt: skip
        for row in rows.to_dict("records"):
            relation = relation_of(meant.get(name, ("", ""))[0], str(row["cell_type_ontology_term_id"]))
            used.setdefault(relation, COLOURS.get(relation, PLAIN if truth is None else UNKNOWN))
            ax.barh(y, row["match"], height=0.72, color=used[relation], linewidth=0)
            _written(ax, y, float(row["match"]), str(row["text"]), longest)
            y += 1
        y += GAP
    _dress(ax, y, longest, min(float(rows["match"].min()) for _, rows in blocks))
    heading = title or (f"Best matching texts by {column}" if column else "Best matching texts")
    ax.set_title(wrapped(heading, 70), loc="left", fontsize="medium", fontweight="bold")
    if truth is not None:
        legend(ax, used, 0.5 / (INCHES_A_BAR * height))
    return finish(ax, new=new, show=show, save=save)


def _ranked(adata: "AnnData", key: str) -> pd.DataFrame:
    if key not in adata.uns:
        raise InputError(
            f"There is no uns['{key}']. Rank texts by group first: "
            "okrcell.tl.find_texts(adata, model, texts, groupby='leiden')."
        )
    table = pd.DataFrame(adata.uns[key])
    if not len(table):
        raise InputError(f"uns['{key}'] has no rows: no group has a cell with expression.")
    return table.assign(group=table["group"].astype(str))


def _sizes(adata: "AnnData", column: str) -> dict[str, int]:
    if column not in adata.obs:
        return {}
    return {str(name): int(number) for name, number in pd.Series(adata.obs[column]).value_counts().items()}


def _chosen(table: pd.DataFrame, groups: Sequence[str] | None, sizes: Mapping[str, int]) -> list[str]:
    there = list(dict.fromkeys(table["group"]))
    if groups is None:
        return sorted(there, key=lambda name: -sizes.get(name, 0))[:MOST_GROUPS]
    lacking = [str(name) for name in groups if str(name) not in there]
    if lacking or not groups:
        raise InputError(f"There are no texts of the group {', '.join(lacking)}. Available groups: {', '.join(there)}.")
    return [str(name) for name in groups]


def _written(ax: "Axes", y: float, match: float, text: str, longest: float) -> None:
    """Write similarity and text to the right of the bar."""
    ax.text(
        max(match, 0) + 0.015 * longest,
        y,
        f"{match:.2f}  {wrapped(text, LETTERS, lines=1)}",
        va="center_baseline",
        fontsize=8,
    )


def _dress(ax: "Axes", bottom: float, longest: float, shortest: float) -> None:
    ax.set_ylim(bottom - GAP, 0)
    # The texts need a little more width than the longest bar.
    ax.set_xlim(min(0.0, shortest * 1.1), max(longest, 1e-6) * 2.2)
    ax.set_yticks([])
    ticks = [tick for tick in np.linspace(0, 1, 6) if tick <= longest]
    ax.set_xticks(ticks, [f"{tick:.1f}" for tick in ticks], fontsize="small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("mean match of the group's cells (cosine similarity)", loc="left", fontsize="small")
