"""Slots of an annotation in AnnData."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.tl._anndata import slot_names

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.tasks.candidates import Candidate
    from okrcell.tasks.confidence import Prediction


def write_annotation(
    adata: "AnnData", candidates: "Sequence[Candidate]", scores: NDArray[np.float32], prediction: "Prediction"
) -> None:
    """Write the slots that `okrcell.tl.annotate` documents; a cell whose scores are NaN gets the label "unknown".

    Parameters
    ----------
    scores
        Scores or probabilities, float32, shape (cell, candidate); NaN for a cell without expression.
    prediction
        Index of the best candidate, confidence, status and broader term id of each cell.
    """
    empty = np.isnan(scores[:, 0])
    # An h5ad file reads "/" as a group separator; the provenance record keeps the original names.
    columns = pd.Index(np.array(slot_names([candidate.name for candidate in candidates]), dtype=object))
    adata.obsm["okrcell_scores"] = pd.DataFrame(scores, index=adata.obs_names, columns=columns)
    _write_label_column(
        adata, "cell_type", [candidate.name for candidate in candidates], prediction.best_idx, empty, missing="unknown"
    )
    ids = [candidate.term_id for candidate in candidates]
    _write_label_column(adata, "cell_type_ontology_term_id", ids, prediction.best_idx, empty, missing="")
    adata.obs["okrcell_confidence"] = prediction.confidence
    adata.obs["okrcell_status"] = pd.Categorical(prediction.status, categories=["confident", "broad", "unknown"])
    adata.obs["okrcell_broader_cell_type_ontology_term_id"] = pd.Categorical(prediction.broader_id)
    broader = _broader_names(prediction.broader_id)
    adata.obs["okrcell_broader_cell_type"] = pd.Categorical(broader)
    names = np.array([candidate.name for candidate in candidates], dtype=object)
    labels = np.where(prediction.status == "confident", names[prediction.best_idx], "unknown")
    adata.obs["okrcell_label"] = pd.Categorical(np.where(prediction.status == "broad", broader, labels))


def _broader_names(term_ids: NDArray[np.object_]) -> NDArray[np.object_]:
    from okrcell.ontology.ontology import ontology

    distinct, index = np.unique(term_ids.astype(str), return_inverse=True)
    names = [ontology("CL").term(term_id).name if term_id else "" for term_id in distinct.tolist()]
    return np.array(names, dtype=object)[index]


def _write_label_column(
    adata: "AnnData",
    name: str,
    values: Sequence[str],
    best: NDArray[np.intp],
    empty: NDArray[np.bool_],
    *,
    missing: str,
) -> None:
    labels = np.array(values, dtype=object)[best]
    labels[empty] = missing
    adata.obs[f"okrcell_{name}"] = pd.Categorical(labels)
