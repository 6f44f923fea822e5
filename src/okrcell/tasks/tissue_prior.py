"""How likely each type is in the tissue that cells are from, before they are looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.knowledge.type_places import TypePlaces
from okrcell.texts.profile import read_profile

COLUMNS = ("tissue", "tissue_ontology_term_id")
MOST_TISSUES = 200
"""A column with more different values names samples or positions, no tissues."""
PLACES = "type_places"
"""Where a model keeps who knows each type in which tissue (`okrcell.knowledge.type_places`)."""


@dataclass(frozen=True)
class TissuePrior:
    """The logarithm of how likely each type is, for the cells of a file."""

    tissues: tuple[str, ...]
    """Uberon ids, "" for none."""
    code: NDArray[np.intp]
    """For each cell the place of its tissue."""
    log: Float[np.ndarray, "tissue type"]

    @classmethod
    def of(cls, facts: Mapping[str, Any], types: Sequence[str], tissue: str | Sequence[str] | None, cells: int) -> Self:
        """Read it from what a model keeps; all types are alike for a model that keeps nothing.

        Parameters
        ----------
        tissue
            Uberon id of all cells or of each; "" or None where it is not known.

        Raises
        ------
        InputError
            If there are not as many tissues as cells.
        """
        told = [tissue or ""] * cells if tissue is None or isinstance(tissue, str) else [str(name) for name in tissue]
        if len(told) != cells:
            raise InputError(
                f"tissue names {len(told):,} cells, but there are {cells:,}. Give one for each, or one for all."
            )
        tissues, code = np.unique(np.array(told, dtype=np.str_), return_inverse=True)
        places = TypePlaces.read(facts.get(PLACES))
        log = [np.log(places.prior(types, str(name))) for name in tissues]
        return cls(tuple(tissues.tolist()), code.astype(np.intp), np.array(log).reshape(len(tissues), len(types)))

    def at(self, rows: NDArray[np.intp] | slice, types: NDArray[np.intp] | slice) -> Float[np.ndarray, "cell type"]:
        """Return it for some cells and types."""
        return self.log[self.code[rows]][:, types]


def tissues_of(obs: pd.DataFrame) -> NDArray[np.str_]:
    """Read each cell's tissue from the columns "tissue" and "tissue_ontology_term_id": Uberon id, "" where none is told.

    Words are led to their term as everywhere (`okrcell.texts.profile`); words that name no tissue give "".
    """
    there = [column for column in COLUMNS if column in obs]
    if not there or not len(obs):
        return np.full(len(obs), "", dtype="<U16")
    told = [obs[column].astype(object).fillna("").astype(str) for column in there]
    code, distinct = pd.factorize(pd.MultiIndex.from_arrays(told))
    if len(distinct) > MOST_TISSUES:
        return np.full(len(obs), "", dtype="<U16")
    ids = [read_profile(dict(zip(there, row, strict=True))).tissue_id for row in distinct]
    return np.array(ids, dtype="<U16")[code]
