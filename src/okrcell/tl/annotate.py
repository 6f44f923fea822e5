"""Name the types of cells."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.tl.vectors import VECTORS, chosen_model, embedded, expression_of, leave_receipt

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.model.embedder import Embedder, Progress


def annotate(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    candidates: Sequence[str] | None = None,
    layer: str | None = None,
    orthologs: bool = False,
    progress: "Progress | None" = None,
) -> None:
    """Name the type of each cell, zero-shot.

    Parameters
    ----------
    candidates
        Names, Cell Ontology ids or free text. None: every Cell Ontology type that the model has seen in learning.
    adata, model, layer, orthologs, progress
        As for `embed`, whose slot is written too.

    Returns
    -------
    None; ``obs["okrcell_cell_type"]`` the best candidate, "unknown" for a cell without expression;
    ``obs["okrcell_cell_type_ontology_term_id"]`` its Cell Ontology id, "" if its words name none;
    ``obs["okrcell_confidence"]`` the probability that it is right, in [0, 1];
    ``obs["okrcell_status"]``: "confident" where that is at least one half, "broad" where only
    ``obs["okrcell_broader_cell_type_ontology_term_id"]`` is more likely than not, else "unknown";
    ``obsm["okrcell_scores"]`` DataFrame (cell, candidate; "/" in a name becomes "|"), cosine similarity;
    ``uns["okrcell"]["annotate"]`` the receipt.

    Raises
    ------
    InputError
        If counts, genes or candidates cannot be read; the message says what to do.
    """
    from okrcell.tasks.candidates import candidates as read_candidates
    from okrcell.tasks.candidates import known_candidates
    from okrcell.tasks.zero_shot import zero_shot

    model = chosen_model(model)
    # Candidates are read first: a slip in one of them should not cost the time of a million cells.
    some = known_candidates(model) if candidates is None else read_candidates(candidates)
    expression = expression_of(adata, layer, orthologs=orthologs)
    cells = embedded(adata, model, expression, VECTORS, progress)
    found = zero_shot(cells, some, model, model.measured(expression))

    empty = np.isnan(cells[:, 0])
    # An h5ad file takes "/" for a folder; the receipt has the names as they were given.
    names = pd.Index(np.array([each.name.replace("/", "|") for each in some], dtype=object))
    adata.obsm["okrcell_scores"] = pd.DataFrame(found.scores, index=adata.obs_names, columns=names)
    best = found.answer.best
    _column(adata, "cell_type", [each.name for each in some], best, empty, absent="unknown")
    _column(adata, "cell_type_ontology_term_id", [each.term_id for each in some], best, empty, absent="")
    adata.obs["okrcell_confidence"] = found.answer.confidence
    adata.obs["okrcell_status"] = pd.Categorical(found.answer.status, categories=["confident", "broad", "unknown"])
    adata.obs["okrcell_broader_cell_type_ontology_term_id"] = pd.Categorical(found.answer.broader)
    leave_receipt(
        adata,
        "annotate",
        model,
        expression,
        method="zero-shot",
        candidates=[each.name for each in some],
        candidates_named_by="user" if candidates is not None else "the model's own cell types",
        candidate_texts=json.dumps({each.name: each.texts for each in some}, ensure_ascii=False),
        temperature=found.temperature,
        layer=layer or "",
        orthologs=orthologs,
    )


def _column(
    adata: "AnnData",
    name: str,
    values: Sequence[str],
    best: "NDArray[np.intp]",
    empty: "NDArray[np.bool_]",
    *,
    absent: str,
) -> None:
    written = np.array(values, dtype=object)[best]
    written[empty] = absent
    adata.obs[f"okrcell_{name}"] = pd.Categorical(written)
