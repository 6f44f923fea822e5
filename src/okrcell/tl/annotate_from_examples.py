"""Few-shot annotation: cell types from a few labelled cells."""

import json
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.tl.annotation_slots import write_annotation
from okrcell.tl._anndata import get_embeddings, read_counts, write_provenance

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


def run_few_shot(
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
    from okrcell.tasks.examples.column_labels import read_column_labels
    from okrcell.tasks.few_shot import annotate_few_shot

    labels = read_column_labels(pd.DataFrame(adata.obs), key, "--examples-key (examples=...)")
    expression = read_counts(adata, layer, orthologs=orthologs)
    embeddings = get_embeddings(adata, model, expression, layer, progress)
    result = annotate_few_shot(
        expression,
        labels.labels,
        model,
        seed,
        label_texts=labels.texts,
        label_ids=labels.term_ids,
        vectors=embeddings,
    )
    write_annotation(adata, result.candidates, result.probability, result.prediction)
    write_provenance(
        adata,
        "annotate",
        model,
        expression,
        method="few-shot",
        examples_key=key,
        candidates=list(result.names),
        examples=[int(count) for count in result.n_examples],
        candidate_texts=json.dumps(
            {candidate.name: candidate.texts for candidate in result.candidates}, ensure_ascii=False
        ),
        weight_of_words=result.text_weight,
        weight_of_model=result.model_weight,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )
