"""Bar plot of the best matching texts of groups of cells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_is_anndata
from okrcell.errors import InputError
from okrcell.pl._canvas import PALETTE, UNKNOWN_COLOR, color_on, get_axes, save_and_show, term_ids, wrap_text

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
    "right": "#117733",
    "broader": "#1E9C8B",
    "narrower": "#3D84CC",
    "sibling": "#A68A1E",
    "wrong": "#CC6677",
}


BAR_COLOR = PALETTE[0]
MAX_GROUPS = 12
HEADING_HEIGHT, GROUP_GAP = 1.15, 0.25
"""Height of a group's heading and of the gap between groups, in bars."""
MAX_TEXT_CHARS = 54
INCHES_PER_BAR = 0.235


def majority_types(adata: "AnnData", group_key: str, label_key: str) -> dict[str, tuple[str, str]]:
    """Return the Cell Ontology id and name of the most frequent label of each group.

    Parameters
    ----------
    group_key
        Column of ``obs`` with the groups.
    label_key
        Column of ``obs`` with names or ids of the Cell Ontology. Where ``<label_key>_ontology_term_id`` exists, its ids count.

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
    labels = pd.DataFrame({"label": adata.obs[label_key].astype(object), "id": term_ids(adata, label_key)})
    for name, rows in labels.groupby(pd.Series(adata.obs[group_key]).astype(object), observed=True):
        counts = Counter(rows.dropna().astype(str).itertuples(index=False, name=None))
        if counts:
            label, stored_id = max(counts, key=counts.__getitem__)
            current = cell_ontology.current_id(label) if prefix_of(label) == "CL" else None
            term = cell_ontology.term(current) if current else cell_ontology.find(label)
            types[str(name)] = (stored_id or (term.id if term else ""), term.name if current and term else label)
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
        Cells whose groups were ranked by ``okrcell.tl.retrieval(..., groupby=...)``.
    key : str, default "okrcell_texts"
        Slot of ``uns`` with the ranking.
    groups : sequence of str, optional
        Groups to plot, in this order. None (default): the 12 groups with the most cells.
    top : int, default 3
        Number of texts per group, at least 1.
    truth : str, optional
        Column of ``obs`` with names or ids of the Cell Ontology; the ids in ``<truth>_ontology_term_id`` count where that
        column exists. Bars are then colored by the ontology relation of each text to the most frequent label of its group:
        same, broader, narrower, sibling or other type, or unknown. None (default): one color.
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
    The length of a bar is the similarity that `okrcell.tl.retrieval` stored for the group: the mean over its cells.

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
    check_is_anndata(adata)
    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    table = _read_ranking(adata, key)
    provenance: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("find_texts", {})
    group_key = str(provenance.get("groupby", ""))
    sizes = _group_sizes(adata, group_key)
    group_names = _select_groups(table, groups, sizes)
    types = majority_types(adata, group_key, truth) if truth is not None else {}

    blocks = [
        (name, table.loc[(table["group"] == name) & (table["rank"] <= top)].sort_values("rank")) for name in group_names
    ]
    height = sum(HEADING_HEIGHT + len(rows) + GROUP_GAP for _, rows in blocks)
    is_new, ax = ax is None, get_axes(ax, 7.6, 0.9 + INCHES_PER_BAR * height)
    used_colors: dict[str, str] = {}
    y = 0.0
    max_match = max(float(rows["match"].max()) for _, rows in blocks)
    for name, rows in blocks:
        y += HEADING_HEIGHT
        size = f"  ({sizes[name]:,})" if name in sizes else ""
        label_text = f" – labelled {types[name][1]}" if name in types and types[name][1] != name else ""
        ax.text(
            0, y - 0.72, wrap_text(f"{name}{size}{label_text}", 84, lines=1), fontsize="small", fontweight="bold", va="center"
        )  # fmt: skip
        for row in rows.to_dict("records"):
            relation = ontology_relation(types.get(name, ("", ""))[0], str(row["cell_type_ontology_term_id"]))
            used_colors.setdefault(
                relation, RELATION_COLORS.get(relation, color_on(ax, BAR_COLOR) if truth is None else UNKNOWN_COLOR)
            )
            ax.barh(y, row["match"], height=0.72, color=used_colors[relation], linewidth=0)
            _draw_text(ax, y, float(row["match"]), str(row["text"]), max_match)
            y += 1
        y += GROUP_GAP
    _style_axes(ax, y, max_match, min(float(rows["match"].min()) for _, rows in blocks))
    heading = title or (f"Best matching texts by {group_key}" if group_key else "Best matching texts")
    ax.set_title(wrap_text(heading, 70), loc="left", fontsize="medium", fontweight="bold")
    if truth is not None:
        add_relation_legend(ax, used_colors, 0.5 / (INCHES_PER_BAR * height))
    return save_and_show(ax, is_new=is_new, show=show, save=save)


def _read_ranking(adata: "AnnData", key: str) -> pd.DataFrame:
    if key not in adata.uns:
        raise InputError(
            f"There is no uns['{key}']. Rank texts by group first: "
            "okrcell.tl.retrieval(adata, model, texts, groupby='leiden')."
        )
    table = pd.DataFrame(adata.uns[key])
    if not len(table):
        raise InputError(f"uns['{key}'] has no rows: no group has a cell with expression.")
    return table.assign(group=table["group"].astype(str))


def _group_sizes(adata: "AnnData", group_key: str) -> dict[str, int]:
    if group_key not in adata.obs:
        return {}
    return {str(name): int(count) for name, count in pd.Series(adata.obs[group_key]).value_counts().items()}


def _select_groups(table: pd.DataFrame, groups: Sequence[str] | None, sizes: Mapping[str, int]) -> list[str]:
    available = list(dict.fromkeys(table["group"]))
    if groups is None:
        return sorted(available, key=lambda name: -sizes.get(name, 0))[:MAX_GROUPS]
    missing = [str(name) for name in groups if str(name) not in available]
    if missing or not groups:
        raise InputError(
            f"There are no texts of the group {', '.join(missing)}. Available groups: {', '.join(available)}."
        )
    return [str(name) for name in groups]


def _draw_text(ax: "Axes", y: float, match: float, text: str, max_match: float) -> None:
    """Write similarity and text to the right of the bar."""
    ax.text(
        max(match, 0) + 0.015 * max_match,
        y,
        f"{match:.2f}  {wrap_text(text, MAX_TEXT_CHARS, lines=1)}",
        va="center_baseline",
        fontsize=8,
    )


def _style_axes(ax: "Axes", bottom: float, max_match: float, min_match: float) -> None:
    ax.set_ylim(bottom - GROUP_GAP, 0)
    # The texts need a little more width than the longest bar.
    ax.set_xlim(min(0.0, min_match * 1.1), max(max_match, 1e-6) * 2.2)
    ax.set_yticks([])
    ticks = [tick for tick in np.linspace(0, 1, 6) if tick <= max_match]
    ax.set_xticks(ticks, [f"{tick:.1f}" for tick in ticks], fontsize="small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("mean match of the group's cells (cosine similarity)", loc="left", fontsize="small")
