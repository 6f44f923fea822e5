"""Label noise: swapped descriptions and sibling cell types."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from okrcell.knowledge.ontology import ontology

QUICK_TRIES = 64
"""Number of random swap candidates that are tried before all are searched."""


def read_alike(phrasings: Sequence[NDArray[np.int32]], cell_type: NDArray[np.int32]) -> NDArray[np.int32]:
    """Group descriptions: those of one cell type, and of types that have a text in common, get the same group index.

    Parameters
    ----------
    phrasings
        For each description, the indices of its texts.
    cell_type
        For each description, the index of its cell type; -1 if unknown.

    Returns
    -------
    int32, group index of each description.
    """
    text = np.concatenate([np.zeros(0, dtype=np.int32), *phrasings])
    # A description of an unknown type has no texts.
    kind = np.repeat(cell_type, [len(some) for some in phrasings])
    kinds, texts = int(cell_type.max(initial=-1)) + 1, int(text.max(initial=-1)) + 1
    link: Any = coo_matrix((np.ones(len(text)), (kind, text + kinds)), shape=(kinds + texts, kinds + texts))
    return connected_components(link, directed=False)[1][cell_type]


def exchanged(kind: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
    """Permutation of cells in which no cell gets the description of a cell of its own group.

    A random permutation, followed by swaps for the cells that got their own group. Such a swap exists unless one group has
    more than half of all cells; then the number of cells that keep their own group is minimal (ours).

    Parameters
    ----------
    kind
        For each cell, the index of its group.
    rng
        Source of the permutation.

    Returns
    -------
    For each cell, the index of the cell whose description it gets; each index once.
    """
    source = rng.permutation(len(kind))
    for place in np.flatnonzero(kind[source] == kind).tolist():
        own = kind[place]
        if kind[source[place]] != own:
            continue  # Already resolved by an earlier swap.
        tried = rng.integers(0, len(kind), QUICK_TRIES)
        free = tried[(kind[tried] != own) & (kind[source[tried]] != own)]
        if not len(free):
            free = rng.permutation(np.flatnonzero((kind != own) & (kind[source] != own)))
        if len(free):
            other = int(free[0])
            source[place], source[other] = source[other], source[place]
    return source


def siblings(names: Sequence[str], broadest: int) -> NDArray[np.bool_]:
    """Pairs of cell types that share a direct parent in the Cell Ontology and exclude each other.

    Types of which one is an ancestor of the other, or that have a descendant in common (a naive regulatory T cell is both a
    naive and a regulatory T cell), are not siblings.

    Parameters
    ----------
    names
        Cell Ontology ids in use; other names have no siblings.
    broadest
        Maximum number of descendants of a parent; children of broader parents do not count as siblings.

    Returns
    -------
    Bool of shape (type, type), symmetric.
    """
    home = ontology("CL")
    near = np.zeros((len(names), len(names)), dtype=bool)
    place = {name: number for number, name in enumerate(names) if home.current(name) == name}
    children: dict[str, list[str]] = {}
    for name in place:
        for parent in home.parents(name):
            if home.kinds_below.get(parent, 0) <= broadest:
                children.setdefault(parent, []).append(name)
    for name, number in place.items():
        kin = {child for parent in home.parents(name) for child in children.get(parent, ())} - home.overlapping(name)
        near[number, [place[other] for other in kin]] = True
    return near


def partners(
    rows: NDArray[np.int64],
    kind: NDArray[np.integer],
    allowed: NDArray[np.bool_],
    companies: Sequence[NDArray[np.integer]],
    chance: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Partner of each cell: another cell of an ``allowed`` type, from the first grouping that contains one.

    Within a group all allowed cells have equal probability, so that common types are chosen more often than rare ones.

    Parameters
    ----------
    rows
        Cells, as rows of the corpus, that get a partner and are partners.
    kind
        For each row of the corpus, the index of its cell type.
    allowed
        Bool of shape (type, type).
    companies
        Groupings in order of preference; each holds the group index of each row of the corpus, -1 for no group.
    chance
        For each row of the corpus, a uniform random number in [0, 1) that selects the partner.

    Returns
    -------
    int64, for each row of the corpus, the row of its partner, -1 if there is none.
    """
    found = np.full(len(kind), -1, dtype=np.int64)
    for company in companies:
        waiting = rows[(found[rows] < 0) & (company[rows] >= 0)]
        for members, looking in _together(rows[company[rows] >= 0], waiting, company):
            for _, alike in _grouped(looking, kind):
                fit = members[allowed[kind[alike[0]], kind[members]]]
                if len(fit):
                    found[alike] = fit[(chance[alike] * len(fit)).astype(np.int64)]
    return found


def bounded(
    partner: NDArray[np.int64], order: NDArray[np.int64], kind: NDArray[np.integer], most: float
) -> NDArray[np.int64]:
    """Limit how often each cell type occurs among the partners.

    Parameters
    ----------
    partner
        For each row of the corpus, the row of its partner, -1 if there is none.
    order
        Cells, as rows of the corpus, in order of priority.
    kind
        For each row of the corpus, the index of its cell type.
    most
        Maximum number of partners of a type, per cell of this type in ``order``.

    Returns
    -------
    ``partner``, with -1 for the cells beyond the limit.
    """
    cells = dict(_grouped(order, kind))
    kept = partner.copy()
    for number, takers in _grouped(order[partner[order] >= 0], kind[partner]):
        kept[takers[int(most * len(cells[number])) :]] = -1
    return kept


def _together(
    rows: NDArray[np.int64], waiting: NDArray[np.int64], company: NDArray[np.integer]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each group, all of its cells and those without a partner."""
    members = dict(_grouped(rows, company))
    return [(members[number], looking) for number, looking in _grouped(waiting, company)]


def _grouped(rows: NDArray[np.int64], code: NDArray[np.integer]) -> list[tuple[int, NDArray[np.int64]]]:
    """Group rows by their code; the order within a group is preserved."""
    ordered = rows[np.argsort(code[rows], kind="stable")]
    numbers, first = np.unique(code[ordered], return_index=True)
    return list(zip(numbers.tolist(), np.split(ordered, first[1:]), strict=True)) if len(rows) else []
