"""Label error detection."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_anndata
from okrcell.tl._anndata import get_embeddings, get_model, read_counts, write_provenance
from okrcell.tl._docs import doc_params

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption
    from okrcell.tasks.label_errors import AuditSettings


@doc_params
def audit(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    label_key: str = "cell_type",
    batch_key: str | None = None,
    settings: "AuditSettings | None" = None,
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    progress: "ProgressOption" = None,
) -> None:
    """Estimate for each label the probability that it is correct, and the most likely label.

    Parameters
    ----------
    {adata}
    {model}
    label_key : str, default "cell_type"
        Column of ``obs`` with the labels. Cell Ontology ids are read from ``<label_key>_ontology_term_id`` if it exists.
        Placeholders such as "unknown" or "NA" are not labels.
    batch_key : str, optional
        Column of ``obs`` with donors or batches. With at least three of them, a cell is predicted only from cells of other
        batches. By default it is predicted from all other folds, which found more errors in our measurements.
    settings : AuditSettings, optional
        Settings of the method (`okrcell.tasks.label_errors.AuditSettings`), including the random seed. The defaults were
        chosen on pretraining studies.
    {layer}
    {orthologs}
    {species}
    {progress}

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``obs["okrcell_label_trust"]`` : float32
            Probability in [0, 1] that the label, or a broader or narrower name of the same type, is correct; NaN for a cell
            without label or without expression.
        ``obs["okrcell_likely_cell_type"]`` : categorical
            Most likely of the labels in the file, also for cells without a label; "unknown" for a cell without expression.
        ``obs["okrcell_likely_cell_type_ontology_term_id"]`` : categorical
            Cell Ontology id of that label; "" if unknown.
        ``obs["okrcell_likely_share"]`` : float32
            Probability of that label in [0, 1], estimated without the label of the cell; NaN for a cell without expression.
        ``obs["okrcell_label_doubtful"]`` : bool
            True if the trust is below 0.5 and the most likely label is neither the label nor a broader or narrower name of it.
            The cells of a group whose label is contradicted as a whole confirm each other, so they are rarely doubtful.
        ``obs["okrcell_label_contradicted"]`` : bool
            True if the markers of all cells with this label contradict it: they resemble another type.
        {embedding_slot}
        ``uns["okrcell"]["audit"]`` : dict
            {provenance}
            Its entry ``groups`` is a DataFrame with one row per label as written: the type that its cells resemble most, the
            contradiction, and the genes behind it (`okrcell.tasks.label_contradictions`).

    Raises
    ------
    InputError
        If there is no such column, or fewer than two distinct labels.
        {unreadable}

    See Also
    --------
    annotate : Cell types for cells without labels.
    standardise : Map labels to ontology terms.
    okrcell.pl.audit : Plot the audit.

    Notes
    -----
    Two predictions that do not use the label of the cell are combined: a cross-validated logistic regression on the embeddings
    and the principal components of the study, and the agreement of the cell with the texts of the labels (E9 at
    ``settings.sharpness``). A noise transition matrix between true and written labels is fitted by expectation maximization
    [2]_, and gives the posterior probability of each label. The joint model is that of confident learning [1]_; the combination
    is ours. Besides the logistic regression nothing is trained.

    A name that is wrong for all cells of a group is learned from the group itself. Groups of at least 10 cells are therefore
    compared with the gene signatures of the types that the model knows, which do not depend on the labels: a label is
    contradicted if the mean of its cells resembles a type of another lineage, or by a larger margin a type of the same lineage.

    References
    ----------
    .. [1] Northcutt et al. (2021), Confident Learning: Estimating Uncertainty in Dataset Labels, arXiv:1911.00068.
    .. [2] Dawid and Skene (1979), doi:10.2307/2346806.

    Examples
    --------
    Five B cells get the label of monocytes, and the audit finds most of them:

    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:200].copy()
    >>> model = okr.load()
    >>> labels = adata.obs["bulk_labels"].astype(str)
    >>> wrong = adata.obs_names[labels == "CD19+ B"][:5]
    >>> adata.obs["cell_type"] = labels.where(~adata.obs_names.isin(wrong), "CD14+ Monocyte")
    >>> okr.tl.audit(adata, model)
    >>> int(adata.obs.loc[wrong, "okrcell_label_doubtful"].sum()) >= 4
    True
    >>> adata.obs.loc[wrong, "okrcell_likely_cell_type"].value_counts().idxmax()
    'CD19+ B'

    All B cells and all monocytes exchange their names, and their markers contradict them:

    >>> adata.obs["cell_type"] = labels.replace({"CD19+ B": "CD14+ Monocyte", "CD14+ Monocyte": "CD19+ B"})
    >>> okr.tl.audit(adata, model)
    >>> groups = adata.uns["okrcell"]["audit"]["groups"]
    >>> sorted(groups.loc[groups["contradicted"], "cell_type"])
    ['CD14+ Monocyte', 'CD19+ B']
    """
    from okrcell.tasks.audit_study import audit_study, check_labels
    from okrcell.tasks.label_errors import AuditSettings

    check_anndata(adata)
    model = get_model(model)
    settings = AuditSettings() if settings is None else settings
    obs = pd.DataFrame(adata.obs)
    check_labels(obs, label_key, batch_key)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = get_embeddings(adata, model, expression, progress)
    result = audit_study(
        obs, expression, model, label_key=label_key, batch_key=batch_key, settings=settings, vectors=embeddings
    )
    table = result.table().set_axis(adata.obs_names)
    empty = np.isnan(result.audit.likely_probability)
    adata.obs["okrcell_label_trust"] = table["trust"]
    adata.obs["okrcell_likely_cell_type"] = pd.Categorical(table["likely_cell_type"].where(~empty, "unknown"))
    adata.obs["okrcell_likely_cell_type_ontology_term_id"] = pd.Categorical(table["likely_cell_type_ontology_term_id"])
    adata.obs["okrcell_likely_share"] = table["likely_share"]
    adata.obs["okrcell_label_doubtful"] = table["doubtful"]
    adata.obs["okrcell_label_contradicted"] = table["contradicted"]
    groups = result.group_table()
    write_provenance(
        adata,
        "audit",
        model,
        expression,
        remarks=result.labels.remarks,
        label_key=label_key,
        batch_key=batch_key or "",
        labels=list(result.labels.author_names),
        labelled=int((result.labels.label_idx >= 0).sum()),
        doubtful=int(table["doubtful"].sum()),
        contradicted=int(groups["contradicted"].sum()),
        groups=groups.set_axis([str(i) for i in range(1, len(groups) + 1)]),
        expected_wrong=result.audit.expected_errors,
        weight_of_words=result.audit.text_weight,
        settings=settings.model_dump_json(),
        layer=layer or "",
        orthologs=orthologs,
    )
