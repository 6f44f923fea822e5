"""Which cell types are kinds of which."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.ontology import ontology


def lineage_of(term_id: str) -> frozenset[str]:
    """Return a Cell Ontology term with all that it is a kind of; empty for "" and for an id that is none."""
    home = ontology("CL")
    current = home.current(term_id) if term_id else None
    return home.ancestors(current) | {current} if current else frozenset()


def kinds(some: Sequence[str], above: Sequence[str]) -> NDArray[np.bool_]:
    """Say which of ``some`` types are kinds of, or the same as, which of the types ``above``: bool (some, above).

    Parameters
    ----------
    some, above
        Cell Ontology ids, "" where words name no type: it is a kind of nothing, and nothing of it.
    """
    lines = [lineage_of(term_id) for term_id in some]
    told = [[term_id in line for term_id in above] for line in lines]
    return np.array(told, dtype=bool).reshape(len(some), len(above))


def kin(some: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Say which types are one a kind of the other, or the same: bool (some, others)."""
    return kinds(some, others) | kinds(others, some).T
