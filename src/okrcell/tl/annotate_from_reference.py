"""Label transfer: cell types from a labelled reference."""

import json
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from okrcell.tl.annotation_slots import write_annotation
from okrcell.tl._anndata import EMBEDDING_KEY, get_embeddings, has_embeddings, read_counts, write_provenance

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


def run_label_transfer(
    adata: "AnnData",
    model: "Embedder",
    reference: "AnnData",
    label_key: str,
    *,
    donor_key: str | None,
    method: Literal["head", "encoder", "lora"],
    seed: int,
    layer: str | None,
    orthologs: bool,
    progress: "Progress | None",
) -> None:
    """Annotate from ``reference.obs[label_key]`` and write the slots of `okrcell.tl.annotate`.

    ``reference`` is not changed; its stored embeddings are used if this model computed them.
    """
    from okrcell.tasks.labels import column_as_text
    from okrcell.tasks.examples.column_labels import check_column, read_column_labels
    from okrcell.tasks.label_transfer import annotate_from_reference

    obs = pd.DataFrame(reference.obs)
    labels = read_column_labels(obs, label_key, "--label-key (label_key=...)")
    donors = None
    if donor_key is not None:
        check_column(obs, donor_key, "--donor-key (donor_key=...)")
        donors = column_as_text(obs, donor_key).astype(str)
    reference_expression = read_counts(reference, None, orthologs=orthologs)
    expression = read_counts(adata, layer, orthologs=orthologs)
    embeddings = get_embeddings(adata, model, expression, layer, progress)
    result = annotate_from_reference(
        reference_expression,
        labels.labels,
        expression,
        model,
        label_texts=labels.texts,
        label_ids=labels.term_ids,
        method=method,
        donors=donors,
        seed=seed,
        vectors=embeddings,
        reference_vectors=np.asarray(reference.obsm[EMBEDDING_KEY]) if has_embeddings(reference, model) else None,
    )
    write_annotation(adata, result.candidates, result.probability, result.prediction)
    write_provenance(
        adata,
        "annotate",
        model,
        expression,
        method=f"reference, {method}",
        reference={"cells": reference.n_obs, "matrix": reference_expression.source, "kind": reference_expression.kind},
        label_key=label_key,
        donor_key=donor_key or "",
        candidates=list(result.names),
        examples=[int(count) for count in result.n_examples],
        learned_from=result.n_train_cells,
        candidate_texts=json.dumps(
            {candidate.name: candidate.texts for candidate in result.candidates}, ensure_ascii=False
        ),
        weight_of_words=result.text_weight,
        weight_of_model=result.model_weight,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )
