"""Zero-shot annotation: cell types from candidate texts or from all known types."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.tl.annotation_slots import write_annotation
from okrcell.tl._anndata import EMBEDDING_KEY, embed_and_store, read_counts, write_provenance

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


def run_zero_shot(
    adata: "AnnData",
    model: "Embedder",
    candidates: Sequence[str] | None,
    *,
    seed: int = 0,
    layer: str | None,
    orthologs: bool,
    progress: "Progress | None",
) -> None:
    """Annotate among ``candidates``, or among all types the model knows, and write the slots of `okrcell.tl.annotate`."""
    from okrcell.tasks.candidates import parse_candidates as read_candidates
    from okrcell.tasks.open_types import annotate_open_vocabulary
    from okrcell.tasks.tissue_prior import read_tissues
    from okrcell.tasks.zero_shot import annotate_zero_shot

    # Parse the candidates first, so that a typing error is reported before any cell is embedded.
    parsed_candidates = None if candidates is None else read_candidates(candidates)
    expression = read_counts(adata, layer, orthologs=orthologs)
    embeddings = embed_and_store(adata, model, expression, EMBEDDING_KEY, progress)
    if parsed_candidates is None:
        tissue = read_tissues(pd.DataFrame(adata.obs))
        result = annotate_open_vocabulary(expression, model, tissue.tolist(), vectors=embeddings, seed=seed)
    else:
        result = annotate_zero_shot(expression, parsed_candidates, model, vectors=embeddings, seed=seed)
    parsed_candidates = result.candidates
    write_annotation(adata, parsed_candidates, result.scores, result.prediction)
    write_provenance(
        adata,
        "annotate",
        model,
        expression,
        method="zero-shot",
        candidates=[candidate.name for candidate in parsed_candidates],
        candidate_ids=[candidate.term_id for candidate in parsed_candidates],
        candidates_named_by="user" if candidates is not None else "the model, out of the types that it knows",
        candidate_texts=json.dumps(
            {candidate.name: candidate.texts for candidate in parsed_candidates}, ensure_ascii=False
        ),
        **result.facts,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )
