"""Label noise: swapped descriptions and sibling cell types."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from okrcell.ontology.ontology import ontology

N_RANDOM_TRIES = 64
"""Number of random swap candidates that are tried before all are searched."""


def group_identical_texts(text_indices: Sequence[NDArray[np.int32]], cell_type: NDArray[np.int32]) -> NDArray[np.int32]:
    """Group descriptions: those of one cell type, and of types that have a text in common, get the same group index.

    Parameters
    ----------
    text_indices
        For each description, the indices of its texts.
    cell_type
        For each description, the index of its cell type; -1 if unknown.

    Returns
    -------
    int32, group index of each description.
    """
    text = np.concatenate([np.zeros(0, dtype=np.int32), *text_indices])
    # A description of an unknown type has no texts.
    text_types = np.repeat(cell_type, [len(indices) for indices in text_indices])
    n_types, n_texts = int(cell_type.max(initial=-1)) + 1, int(text.max(initial=-1)) + 1
    link: Any = coo_matrix(
        (np.ones(len(text)), (text_types, text + n_types)), shape=(n_types + n_texts, n_types + n_texts)
    )
    return connected_components(link, directed=False)[1][cell_type]


def swap_labels(group: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
    """Permutation of cells in which no cell gets the description of a cell of its own group.

    A random permutation, followed by swaps for the cells that got their own group. Such a swap exists unless one group has
    more than half of all cells; then the number of cells that keep their own group is minimal (ours).

    Parameters
    ----------
    group
        For each cell, the index of its group.
    rng
        Source of the permutation.

    Returns
    -------
    For each cell, the index of the cell whose description it gets; each index once.
    """
    source = rng.permutation(len(group))
    for i in np.flatnonzero(group[source] == group).tolist():
        group_id = group[i]
        if group[source[i]] != group_id:
            continue  # Already resolved by an earlier swap.
        tries = rng.integers(0, len(group), N_RANDOM_TRIES)
        valid = tries[(group[tries] != group_id) & (group[source[tries]] != group_id)]
        if not len(valid):
            valid = rng.permutation(np.flatnonzero((group != group_id) & (group[source] != group_id)))
        if len(valid):
            j = int(valid[0])
            source[i], source[j] = source[j], source[i]
    return source


def sibling_types(names: Sequence[str], max_descendants: int) -> NDArray[np.bool_]:
    """Pairs of cell types that share a direct parent in the Cell Ontology and exclude each other.

    Types of which one is an ancestor of the other, or that have a descendant in common (a naive regulatory T cell is both a
    naive and a regulatory T cell), are not siblings.

    Parameters
    ----------
    names
        Cell Ontology ids in use; other names have no siblings.
    max_descendants
        Maximum number of descendants of a parent; children of broader parents do not count as siblings.

    Returns
    -------
    Bool of shape (type, type), symmetric.
    """
    cl = ontology("CL")
    is_sibling = np.zeros((len(names), len(names)), dtype=bool)
    index_of = {name: index for index, name in enumerate(names) if cl.current_id(name) == name}
    children: dict[str, list[str]] = {}
    for name in index_of:
        for parent in cl.parents(name):
            if cl.n_descendants.get(parent, 0) <= max_descendants:
                children.setdefault(parent, []).append(name)
    for name, index in index_of.items():
        sibling_names = {child for parent in cl.parents(name) for child in children.get(parent, ())} - cl.overlapping(
            name
        )
        is_sibling[index, [index_of[sibling] for sibling in sibling_names]] = True
    return is_sibling


def find_partners(
    rows: NDArray[np.int64],
    cell_type: NDArray[np.integer],
    allowed: NDArray[np.bool_],
    groupings: Sequence[NDArray[np.integer]],
    random_numbers: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Partner of each cell: another cell of an ``allowed`` type, from the first grouping that contains one.

    Within a group all allowed cells have equal probability, so that common types are chosen more often than rare ones.

    Parameters
    ----------
    rows
        Cells, as rows of the corpus, that get a partner and are partners.
    cell_type
        For each row of the corpus, the index of its cell type.
    allowed
        Bool of shape (type, type).
    groupings
        Groupings in order of preference; each holds the group index of each row of the corpus, -1 for no group.
    random_numbers
        For each row of the corpus, a uniform random number in [0, 1) that selects the partner.

    Returns
    -------
    int64, for each row of the corpus, the row of its partner, -1 if there is none.
    """
    partner = np.full(len(cell_type), -1, dtype=np.int64)
    for grouping in groupings:
        unmatched = rows[(partner[rows] < 0) & (grouping[rows] >= 0)]
        for members, group_rows in _group_members(rows[grouping[rows] >= 0], unmatched, grouping):
            for _, same_type_rows in _group_rows(group_rows, cell_type):
                candidates = members[allowed[cell_type[same_type_rows[0]], cell_type[members]]]
                if len(candidates):
                    partner[same_type_rows] = candidates[
                        (random_numbers[same_type_rows] * len(candidates)).astype(np.int64)
                    ]
    return partner


def limit_partners(
    partner: NDArray[np.int64], order: NDArray[np.int64], cell_type: NDArray[np.integer], max_ratio: float
) -> NDArray[np.int64]:
    """Limit how often each cell type occurs among the partners.

    Parameters
    ----------
    partner
        For each row of the corpus, the row of its partner, -1 if there is none.
    order
        Cells, as rows of the corpus, in order of priority.
    cell_type
        For each row of the corpus, the index of its cell type.
    max_ratio
        Maximum number of partners of a type, per cell of this type in ``order``.

    Returns
    -------
    ``partner``, with -1 for the cells beyond the limit.
    """
    cells_by_type = dict(_group_rows(order, cell_type))
    limited = partner.copy()
    for type_id, type_rows in _group_rows(order[partner[order] >= 0], cell_type[partner]):
        limited[type_rows[int(max_ratio * len(cells_by_type[type_id])) :]] = -1
    return limited


def _group_members(
    rows: NDArray[np.int64], unmatched: NDArray[np.int64], grouping: NDArray[np.integer]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each group, all of its cells and those without a partner."""
    members = dict(_group_rows(rows, grouping))
    return [(members[group_id], group_rows) for group_id, group_rows in _group_rows(unmatched, grouping)]


def _group_rows(rows: NDArray[np.int64], code: NDArray[np.integer]) -> list[tuple[int, NDArray[np.int64]]]:
    """Group rows by their code; the order within a group is preserved."""
    sorted_rows = rows[np.argsort(code[rows], kind="stable")]
    codes, starts = np.unique(code[sorted_rows], return_index=True)
    return list(zip(codes.tolist(), np.split(sorted_rows, starts[1:]), strict=True)) if len(rows) else []
