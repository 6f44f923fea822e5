"""Prior probability of each cell type in the tissue of the cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.knowledge.cell_type_tissues import CellTypeTissues
from okrcell.ontology.obs_profile import read_profile

TISSUE_COLUMNS = ("tissue", "tissue_ontology_term_id")
MAX_TISSUES = 200
"""A column with more distinct values is taken for sample names or positions, and is ignored."""
TYPE_TISSUES_KEY = "type_places"
"""Key of the tissues of each type in the metadata of a model (`okrcell.knowledge.cell_type_tissues`)."""


@dataclass(frozen=True)
class TissuePrior:
    """Log prior of each cell type, for the cells of a file."""

    tissues: tuple[str, ...]
    """Uberon ids, "" for none."""
    tissue_idx: NDArray[np.intp]
    """Index of each cell's tissue."""
    log_prob: Float[np.ndarray, "tissue type"]

    @classmethod
    def from_facts(
        cls, facts: Mapping[str, Any], types: Sequence[str], tissue: str | Sequence[str] | None, n_cells: int
    ) -> Self:
        """Build the prior from the metadata of a model; it is uniform if the model has no tissues of types.

        Parameters
        ----------
        facts
            Metadata of the model.
        types
            Cell Ontology ids of the types.
        tissue
            Uberon id of all cells or of each cell; "" or None if unknown.
        n_cells
            Number of cells.

        Raises
        ------
        InputError
            If there are not as many tissues as cells.
        """
        values = (
            [tissue or ""] * n_cells if tissue is None or isinstance(tissue, str) else [str(name) for name in tissue]
        )
        if len(values) != n_cells:
            raise InputError(
                f"tissue has {len(values):,} values, but there are {n_cells:,} cells. Pass one per cell, or one for all."
            )
        tissues, tissue_idx = np.unique(np.array(values, dtype=np.str_), return_inverse=True)
        type_tissues = CellTypeTissues.from_dict(facts.get(TYPE_TISSUES_KEY))
        log_prob = [np.log(type_tissues.prior(types, str(name))) for name in tissues]
        return cls(
            tuple(tissues.tolist()), tissue_idx.astype(np.intp), np.array(log_prob).reshape(len(tissues), len(types))
        )

    def at(self, rows: NDArray[np.intp] | slice, types: NDArray[np.intp] | slice) -> Float[np.ndarray, "cell type"]:
        """Return the log prior of a subset of cells and types."""
        return self.log_prob[self.tissue_idx[rows]][:, types]


def read_tissues(obs: pd.DataFrame) -> NDArray[np.str_]:
    """Read each cell's tissue from the columns "tissue" and "tissue_ontology_term_id": Uberon id, "" if unknown.

    Names are mapped to their terms (`okrcell.ontology.obs_profile`); a name that is no tissue gives "".
    """
    columns = [column for column in TISSUE_COLUMNS if column in obs]
    if not columns or not len(obs):
        return np.full(len(obs), "", dtype="<U16")
    values = [obs[column].astype(object).fillna("").astype(str) for column in columns]
    code, distinct = pd.factorize(pd.MultiIndex.from_arrays(values))
    if len(distinct) > MAX_TISSUES:
        return np.full(len(obs), "", dtype="<U16")
    ids = [read_profile(dict(zip(columns, row, strict=True))).tissue_id for row in distinct]
    return np.array(ids, dtype="<U16")[code]
