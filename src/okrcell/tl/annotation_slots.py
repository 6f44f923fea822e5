"""Write an annotation to the slots of AnnData, for all three kinds of annotation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.tasks.candidates import Candidate
    from okrcell.tasks.confidence import Answer


def write_names(adata: "AnnData", some: "Sequence[Candidate]", scores: NDArray[np.float32], answer: "Answer") -> None:
    """Write the slots that `okrcell.tl.annotate` documents; a cell whose scores are NaN gets the label "unknown".

    Parameters
    ----------
    scores
        Scores or probabilities, float32, shape (cell, candidate); NaN for a cell without expression.
    answer
        Index of the best candidate, confidence, status and broader term id of each cell.
    """
    empty = np.isnan(scores[:, 0])
    # An h5ad file reads "/" as a group separator; the provenance record keeps the original names.
    names = pd.Index(np.array([each.name.replace("/", "|") for each in some], dtype=object))
    adata.obsm["okrcell_scores"] = pd.DataFrame(scores, index=adata.obs_names, columns=names)
    _column(adata, "cell_type", [each.name for each in some], answer.best, empty, absent="unknown")
    _column(adata, "cell_type_ontology_term_id", [each.term_id for each in some], answer.best, empty, absent="")
    adata.obs["okrcell_confidence"] = answer.confidence
    adata.obs["okrcell_status"] = pd.Categorical(answer.status, categories=["confident", "broad", "unknown"])
    adata.obs["okrcell_broader_cell_type_ontology_term_id"] = pd.Categorical(answer.broader)


def _column(
    adata: "AnnData",
    name: str,
    values: Sequence[str],
    best: NDArray[np.intp],
    empty: NDArray[np.bool_],
    *,
    absent: str,
) -> None:
    written = np.array(values, dtype=object)[best]
    written[empty] = absent
    adata.obs[f"okrcell_{name}"] = pd.Categorical(written)
