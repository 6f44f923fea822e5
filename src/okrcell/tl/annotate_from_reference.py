"""Label transfer: cell types from a labelled reference."""

import json
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from okrcell.tl.annotation_slots import write_names
from okrcell.tl.vectors import VECTORS, expression_of, has_vectors_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


def from_reference(
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
    from okrcell.tasks.auditing.study_labels import as_written
    from okrcell.tasks.examples.column_labels import column_labels, known_column
    from okrcell.tasks.reference import annotate_from_reference

    obs = pd.DataFrame(reference.obs)
    labels = column_labels(obs, label_key, "--label-key (label_key=...)")
    donors = None
    if donor_key is not None:
        known_column(obs, donor_key, "--donor-key (donor_key=...)")
        donors = as_written(obs, donor_key).astype(str)
    taught = expression_of(reference, None, orthologs=orthologs)
    expression = expression_of(adata, layer, orthologs=orthologs)
    vectors = vectors_of(adata, model, expression, layer, progress)
    found = annotate_from_reference(
        taught,
        labels.label,
        expression,
        model,
        label_texts=labels.texts,
        label_ids=labels.term_id,
        method=method,
        donors=donors,
        seed=seed,
        vectors=vectors,
        reference_vectors=np.asarray(reference.obsm[VECTORS]) if has_vectors_of(reference, model) else None,
    )
    write_names(adata, found.candidates, found.probability, found.answer)
    leave_receipt(
        adata,
        "annotate",
        model,
        expression,
        method=f"reference, {method}",
        reference={"cells": reference.n_obs, "matrix": taught.source, "kind": taught.kind},
        label_key=label_key,
        donor_key=donor_key or "",
        candidates=list(found.names),
        examples=[int(number) for number in found.examples],
        learned_from=found.learned_from,
        candidate_texts=json.dumps({each.name: each.texts for each in found.candidates}, ensure_ascii=False),
        weight_of_words=found.weight_of_words,
        weight_of_model=found.weight_of_model,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )
