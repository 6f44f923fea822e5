"""Ontology relations between texts and the labels of groups, with their colors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.errors import InputError
from okrcell.pl.canvas import CATEGORIES

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

RELATIONS = {
    "right": "same type",
    "broader": "broader type",
    "narrower": "narrower type",
    "sibling": "sibling type",
    "wrong": "other type",
}
"""Legend text by relation of a text to the label of the cells."""
COLOURS = {
    "right": CATEGORIES[7],
    "broader": CATEGORIES[1],
    "narrower": CATEGORIES[9],
    "sibling": CATEGORIES[6],
    "wrong": CATEGORIES[2],
}


def commonest_types(adata: "AnnData", column: str, truth: str) -> dict[str, tuple[str, str]]:
    """Return the Cell Ontology id and name of the most frequent label of each group.

    Parameters
    ----------
    column
        Column of ``obs`` with the groups.
    truth
        Column of ``obs`` with names or ids of the Cell Ontology.

    Returns
    -------
    Id and name by group. A label that matches no term has the id "" and its own text as name.

    Raises
    ------
    InputError
        If a column is missing.
    """
    from okrcell.knowledge.ontology import ontology, prefix_of

    for name in (column, truth):
        if name not in adata.obs:
            raise InputError(
                f"There is no column '{name}' in obs, which has: {', '.join(map(str, adata.obs.columns))}."
            )
    home = ontology("CL")
    of: dict[str, tuple[str, str]] = {}
    labels = pd.Series(adata.obs[truth]).astype(object)
    for name, rows in labels.groupby(pd.Series(adata.obs[column]).astype(object), observed=True):
        counted = rows.dropna().astype(str).value_counts()
        if len(counted):
            label = str(counted.index[0])
            current = home.current(label) if prefix_of(label) == "CL" else None
            term = home.term(current) if current else home.find(label)
            of[str(name)] = (term.id if term else "", term.name if current and term else label)
    return of


def relation_of(truth: str, given: str) -> str:
    """Ontology relation of a text to the label of the cells, a key of `RELATIONS`; "unknown" if either id is ""."""
    from okrcell.benchmarking.metrics.ontology_distance import kind_of

    return kind_of(truth, given) if truth and given else "unknown"


def legend(ax: "Axes", used: Mapping[str, str], below: float) -> None:
    """Add a legend of the colors below the axes, ``below`` as a fraction of their height."""
    from matplotlib.patches import Patch

    handles = [Patch(color=COLOURS[kind], label=words) for kind, words in RELATIONS.items() if kind in used]
    if "unknown" in used:
        handles.append(Patch(color=used["unknown"], label="unknown: label or text without ontology term"))
    ax.legend(
        handles=handles,
        frameon=False,
        fontsize="small",
        ncols=3,
        loc="upper left",
        bbox_to_anchor=(0, -below),
        borderaxespad=0,
        borderpad=0,
        handlelength=1,
        handleheight=1,
        columnspacing=1.2,
    )
