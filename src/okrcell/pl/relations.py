"""Ontology relations between texts and the labels of groups, with their colors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.errors import InputError
from okrcell.pl._canvas import PALETTE

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
RELATION_COLORS = {
    "right": PALETTE[7],
    "broader": PALETTE[1],
    "narrower": PALETTE[9],
    "sibling": PALETTE[6],
    "wrong": PALETTE[2],
}


def majority_types(adata: "AnnData", group_key: str, label_key: str) -> dict[str, tuple[str, str]]:
    """Return the Cell Ontology id and name of the most frequent label of each group.

    Parameters
    ----------
    group_key
        Column of ``obs`` with the groups.
    label_key
        Column of ``obs`` with names or ids of the Cell Ontology.

    Returns
    -------
    Id and name by group. A label that matches no term has the id "" and its own text as name.

    Raises
    ------
    InputError
        If a column is missing.
    """
    from okrcell.ontology.ontology import ontology, prefix_of

    for name in (group_key, label_key):
        if name not in adata.obs:
            raise InputError(
                f"There is no column '{name}' in obs, which has: {', '.join(map(str, adata.obs.columns))}."
            )
    cell_ontology = ontology("CL")
    types: dict[str, tuple[str, str]] = {}
    labels = pd.Series(adata.obs[label_key]).astype(object)
    for name, rows in labels.groupby(pd.Series(adata.obs[group_key]).astype(object), observed=True):
        counts = rows.dropna().astype(str).value_counts()
        if len(counts):
            label = str(counts.index[0])
            current = cell_ontology.current_id(label) if prefix_of(label) == "CL" else None
            term = cell_ontology.term(current) if current else cell_ontology.find(label)
            types[str(name)] = (term.id if term else "", term.name if current and term else label)
    return types


def ontology_relation(label_id: str, text_id: str) -> str:
    """Ontology relation of a text to the label of the cells, a key of `RELATIONS`; "unknown" if either id is ""."""
    from okrcell.metrics.annotation import ontology_relation

    return ontology_relation(label_id, text_id) if label_id and text_id else "unknown"


def add_relation_legend(ax: "Axes", used_colors: Mapping[str, str], offset: float) -> None:
    """Add a legend of the colors below the axes, ``offset`` as a fraction of their height."""
    from matplotlib.patches import Patch

    handles = [
        Patch(color=RELATION_COLORS[relation], label=label)
        for relation, label in RELATIONS.items()
        if relation in used_colors
    ]
    if "unknown" in used_colors:
        handles.append(Patch(color=used_colors["unknown"], label="unknown: label or text without ontology term"))
    ax.legend(
        handles=handles,
        frameon=False,
        fontsize="small",
        ncols=3,
        loc="upper left",
        bbox_to_anchor=(0, -offset),
        borderaxespad=0,
        borderpad=0,
        handlelength=1,
        handleheight=1,
        columnspacing=1.2,
    )
