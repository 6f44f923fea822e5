"""Ancestor relations between cell types in the Cell Ontology."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.ontology import ontology


def kinship(names: Sequence[str]) -> NDArray[np.bool_]:
    """Pairs of cell types of which one equals the other or is its ancestor in the Cell Ontology.

    A "CD8 T cell" is a "T cell": a text about one does not contradict a cell of the other. Siblings are not related in this
    sense, nor are names that are not Cell Ontology ids.

    Returns
    -------
    Bool of shape (type, type), symmetric, True on the diagonal.
    """
    home = ontology("CL")
    place = {name: number for number, name in enumerate(names)}
    related = np.eye(len(names), dtype=bool)
    for name, number in place.items():
        current = home.current(name) if name.startswith("CL:") else None
        if current is not None:
            above = [place[ancestor] for ancestor in home.ancestors(current) if ancestor in place]
            related[number, above] = related[above, number] = True
    return related
