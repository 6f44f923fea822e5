"""Find the labels that are worth a second look."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.tl.vectors import chosen_model, expression_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress
    from okrcell.tasks.audit import AuditSettings


def audit(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    label_key: str = "cell_type",
    batch_key: str | None = None,
    settings: "AuditSettings | None" = None,
    layer: str | None = None,
    orthologs: bool = False,
    progress: "Progress | None" = None,
) -> None:
    """Tell of each label how far it can be trusted, and which of the labels is the likely one.

    Two witnesses are heard that do not know the label: the other cells of the file, and the words of the labels. Nothing is
    trained but a logistic regression. Vectors that `embed` or `annotate` left, by the same model, are used again.

    Parameters
    ----------
    label_key
        Column of ``obs`` with the labels; Cell Ontology ids are read from ``{label_key}_ontology_term_id`` if it is there.
    batch_key
        Column of donors or batches: no cell is then judged by cells of its own. Without it (which found more errors where
        we measured) any other cell may judge.
    settings
        How it is done; the defaults were chosen by measurement.
    adata, model, layer, orthologs, progress
        As for `embed`, whose slot is written too.

    Returns
    -------
    None; ``obs["okrcell_label_trust"]`` the probability that the label is right, in [0, 1]; NaN for a cell without label or
    expression; a broader or narrower name is no error;
    ``obs["okrcell_likely_cell_type"]`` the likeliest of the file's labels, for cells without a label too, "unknown" for one
    without expression; ``obs["okrcell_likely_cell_type_ontology_term_id"]`` its Cell Ontology id, "" where unknown;
    ``obs["okrcell_likely_share"]`` its probability, in [0, 1];
    ``obs["okrcell_label_doubtful"]`` whether trust is below one half and the likely type another one;
    ``uns["okrcell"]["audit"]`` the receipt.

    Raises
    ------
    InputError
        If there is no such column, fewer than two labels, or counts or genes cannot be found.
    """
    from okrcell.tasks.audit import AuditSettings
    from okrcell.tasks.auditing.audit_study import audit_study, check_labels

    model = chosen_model(model)
    settings = AuditSettings() if settings is None else settings
    obs = pd.DataFrame(adata.obs)
    check_labels(obs, label_key, batch_key)
    expression = expression_of(adata, layer, orthologs=orthologs)
    vectors = vectors_of(adata, model, expression, layer, progress)
    study = audit_study(
        obs, expression, model, label_key=label_key, batch_key=batch_key, settings=settings, vectors=vectors
    )
    table = study.table().set_axis(adata.obs_names)
    nothing = np.isnan(study.audit.share)
    adata.obs["okrcell_label_trust"] = table["trust"]
    adata.obs["okrcell_likely_cell_type"] = pd.Categorical(table["likely_cell_type"].where(~nothing, "unknown"))
    adata.obs["okrcell_likely_cell_type_ontology_term_id"] = pd.Categorical(table["likely_cell_type_ontology_term_id"])
    adata.obs["okrcell_likely_share"] = table["likely_share"]
    adata.obs["okrcell_label_doubtful"] = table["doubtful"]
    leave_receipt(
        adata,
        "audit",
        model,
        expression,
        label_key=label_key,
        batch_key=batch_key or "",
        labels=list(study.labels.words),
        labelled=int((study.labels.given >= 0).sum()),
        doubtful=int(table["doubtful"].sum()),
        expected_wrong=study.audit.expected_wrong,
        weight_of_words=study.audit.weight_of_words,
        settings=settings.model_dump_json(),
        layer=layer or "",
        orthologs=orthologs,
    )
