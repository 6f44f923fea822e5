"""Name the types of cells from words alone."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    layer: str | None,
    orthologs: bool,
    progress: "Progress | None",
) -> None:
    """Write the slots of `okrcell.tl.annotate`, zero-shot."""
    from okrcell.tasks.candidates import candidates as read_candidates
    from okrcell.tasks.candidates import known_candidates
    from okrcell.tasks.zero_shot import zero_shot

    # Candidates are read first: a slip in one of them should not cost the time of a million cells.
    some = known_candidates(model) if candidates is None else read_candidates(candidates)
    expression = expression_of(adata, layer, orthologs=orthologs)
    cells = embedded(adata, model, expression, VECTORS, progress)
    found = zero_shot(cells, some, model, model.measured(expression))
    write_names(adata, some, found.scores, found.answer)
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
