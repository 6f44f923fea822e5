"""Few-shot annotation: cell types from a few labelled cells."""

import json
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.tl.annotation_slots import write_names
from okrcell.tl.vectors import expression_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


def from_examples(
    adata: "AnnData",
    model: "Embedder",
    key: str,
    *,
    seed: int,
    layer: str | None,
    orthologs: bool,
    progress: "Progress | None",
) -> None:
    """Annotate from the labelled cells in ``obs[key]`` and write the slots of `okrcell.tl.annotate`."""
    from okrcell.tasks.examples.column_labels import column_labels
    from okrcell.tasks.few_shot import few_shot

    labels = column_labels(pd.DataFrame(adata.obs), key, "--examples-key (examples=...)")
    expression = expression_of(adata, layer, orthologs=orthologs)
    vectors = vectors_of(adata, model, expression, layer, progress)
    found = few_shot(
        expression,
        labels.label,
        model,
        seed,
        label_texts=labels.texts,
        label_ids=labels.term_id,
        vectors=vectors,
    )
    write_names(adata, found.candidates, found.probability, found.answer)
    leave_receipt(
        adata,
        "annotate",
        model,
        expression,
        method="few-shot",
        examples_key=key,
        candidates=list(found.names),
        examples=[int(number) for number in found.examples],
        candidate_texts=json.dumps({each.name: each.texts for each in found.candidates}, ensure_ascii=False),
        weight_of_words=found.weight_of_words,
        weight_of_model=found.weight_of_model,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )
