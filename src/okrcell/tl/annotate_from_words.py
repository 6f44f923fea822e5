"""Zero-shot annotation: cell types from candidate texts or from all known types."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.tl.annotation_slots import write_names
from okrcell.tl.vectors import VECTORS, embedded, expression_of, leave_receipt

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


def from_words(
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
    from okrcell.tasks.candidates import candidates as read_candidates
    from okrcell.tasks.open_types import open_types
    from okrcell.tasks.tissue_prior import tissues_of
    from okrcell.tasks.zero_shot import name_by_words

    # Parse the candidates first, so that a typing error is reported before any cell is embedded.
    some = None if candidates is None else read_candidates(candidates)
    expression = expression_of(adata, layer, orthologs=orthologs)
    cells = embedded(adata, model, expression, VECTORS, progress)
    if some is None:
        tissue = tissues_of(pd.DataFrame(adata.obs))
        found = open_types(expression, model, tissue.tolist(), vectors=cells, seed=seed)
    else:
        found = name_by_words(expression, some, model, vectors=cells, seed=seed)
    some = found.candidates
    write_names(adata, some, found.scores, found.answer)
    leave_receipt(
        adata,
        "annotate",
        model,
        expression,
        method="zero-shot",
        candidates=[each.name for each in some],
        candidate_ids=[each.term_id for each in some],
        candidates_named_by="user" if candidates is not None else "the model, out of the types that it knows",
        candidate_texts=json.dumps({each.name: each.texts for each in some}, ensure_ascii=False),
        **found.facts,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )
