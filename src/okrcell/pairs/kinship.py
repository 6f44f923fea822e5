"""Ancestor relations between cell types in the Cell Ontology."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.ontology.ontology import ontology


def related_types(names: Sequence[str]) -> NDArray[np.bool_]:
    """Pairs of cell types of which one equals the other or is its ancestor in the Cell Ontology.

    A "CD8 T cell" is a "T cell": a text about one does not contradict a cell of the other. Siblings are not related in this
    sense, nor are names that are not Cell Ontology ids.

    Returns
    -------
    Bool of shape (type, type), symmetric, True on the diagonal.
    """
    cl = ontology("CL")
    index_of = {name: index for index, name in enumerate(names)}
    related = np.eye(len(names), dtype=bool)
    for name, index in index_of.items():
        current = cl.current_id(name) if name.startswith("CL:") else None
        if current is not None:
            ancestors = [index_of[ancestor] for ancestor in cl.ancestors(current) if ancestor in index_of]
            related[index, ancestors] = related[ancestors, index] = True
    return related
