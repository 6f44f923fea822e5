"""Who gets whose description when labels go wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from okrcell.knowledge.ontology import ontology

QUICK_TRIES = 64
"""Partners looked at by chance before all are."""


def read_alike(phrasings: Sequence[NDArray[np.int32]], cell_type: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number descriptions so that those of one cell type are equal, and so are those of types that have a text in common.

    ``phrasings`` holds the texts of each description as numbers, ``cell_type`` a number for its cell type, -1 where unknown.
    Returns a number for each description.
    """
    text = np.concatenate([np.zeros(0, dtype=np.int32), *phrasings])
    # A description whose type is unknown has no texts.
    kind = np.repeat(cell_type, [len(some) for some in phrasings])
    kinds, texts = int(cell_type.max(initial=-1)) + 1, int(text.max(initial=-1)) + 1
    link: Any = coo_matrix((np.ones(len(text)), (kind, text + kinds)), shape=(kinds + texts, kinds + texts))
    return connected_components(link, directed=False)[1][cell_type]


def exchanged(kind: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal the descriptions of some cells out again, so that no cell gets one of its own kind.

    A random permutation; each cell that got its own kind then swaps with a cell for which the swap does no harm. Such a
    cell exists unless one kind is more than half of all; then as few as can be get their own kind (ours).

    Parameters
    ----------
    kind
        For each cell a number for its kind.

    Returns
    -------
    For each cell, the place of the cell whose description it gets; every place once.
    """
    source = rng.permutation(len(kind))
    for place in np.flatnonzero(kind[source] == kind).tolist():
        own = kind[place]
        if kind[source[place]] != own:
            continue  # An earlier swap has mended it.
        tried = rng.integers(0, len(kind), QUICK_TRIES)
        free = tried[(kind[tried] != own) & (kind[source[tried]] != own)]
        if not len(free):
            free = rng.permutation(np.flatnonzero((kind != own) & (kind[source] != own)))
        if len(free):
            other = int(free[0])
            source[place], source[other] = source[other], source[place]
    return source


def siblings(names: Sequence[str], broadest: int) -> NDArray[np.bool_]:
    """Tell which cell types are told apart last: those with a direct parent in common in the Cell Ontology.

    A cell that is one cannot be the other: types of which one is above the other, or that have a kind in common (a naive
    regulatory T cell is a naive and a regulatory T cell), are not siblings here.

    Parameters
    ----------
    names
        Cell Ontology ids in use; other names have no siblings.
    broadest
        A parent with more kinds below it than this does not make its children siblings.

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
    """Find for each cell another one, of a kind that ``allowed`` lets it meet, from the closest company there is.

    Within a company every allowed cell has the same chance, so common kinds are met more often than rare ones.

    Parameters
    ----------
    rows
        The cells, as rows of the corpus; each finds a partner among them.
    kind, companies, chance
        For each row of the corpus: a number for its kind; numbers for the companies it keeps, the closest first, -1 where
        it keeps none; a number in [0, 1) that chooses.
    allowed
        Bool of shape (kind, kind).

    Returns
    -------
    int64, for each row of the corpus: the row of its partner, -1 where there is none.
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
    """Take partners away where a kind would be met too often.

    Parameters
    ----------
    partner, kind
        For each row of the corpus, the row of its partner (-1 where there is none) and a number for its kind.
    order
        The cells, as rows of the corpus; the first ones keep their partners.
    most
        How many partners of a kind there may be, for each of the cells in ``order`` that is of this kind.

    Returns
    -------
    ``partner``, with -1 for the cells that came too late.
    """
    cells = dict(_grouped(order, kind))
    kept = partner.copy()
    for number, takers in _grouped(order[partner[order] >= 0], kind[partner]):
        kept[takers[int(most * len(cells[number])) :]] = -1
    return kept


def _together(
    rows: NDArray[np.int64], waiting: NDArray[np.int64], company: NDArray[np.integer]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each company, all of its cells with those that still look for a partner."""
    members = dict(_grouped(rows, company))
    return [(members[number], looking) for number, looking in _grouped(waiting, company)]


def _grouped(rows: NDArray[np.int64], code: NDArray[np.integer]) -> list[tuple[int, NDArray[np.int64]]]:
    """Gather rows by the number that each has; the order within a group is kept."""
    ordered = rows[np.argsort(code[rows], kind="stable")]
    numbers, first = np.unique(code[ordered], return_index=True)
    return list(zip(numbers.tolist(), np.split(ordered, first[1:]), strict=True)) if len(rows) else []
