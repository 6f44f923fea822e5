"""Label error detection for one study, from its cells to a result table."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.groupings import check_grouping
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.ontology.ontology import ontology
from okrcell.ontology.relations import related
from okrcell.tasks.label_contradictions import GroupAudit, LabelGroups, audit_groups, group_table
from okrcell.tasks.label_errors import AuditSettings, LabelAudit, audit_labels
from okrcell.tasks.labels import StudyLabels, column_as_text, read_study_labels

N_COMPONENTS = 50
N_TOP_GENES = 2_000
"""Number of genes with the highest variance that are used."""
MAX_FIT_CELLS = 10_000
"""Maximum number of evenly spaced cells on which the components are fitted; all cells are then projected."""


OBS_COLUMNS = ("study", "donor", "tissue")
"""Columns of obs copied to the table."""


def pca_features(expression: Expression, seed: int = 0) -> Float[np.ndarray, "cell component"]:
    """Return principal components of log1p counts per 10,000, at most `N_COMPONENTS`, scaled to a mean squared norm of 1.

    They depend on the study alone and not on the model. Memory is bounded by `MAX_FIT_CELLS` times `N_TOP_GENES`, and by the
    result.
    """
    step = -(-max(expression.n_cells, 1) // MAX_FIT_CELLS)
    start, sampled = 0, list[sparse.csr_matrix]()
    for block in expression.blocks():
        n_cells = block.indptr.size - 1
        log_expr = log_cp10k(block)
        sampled.append(sparse.csr_matrix(log_expr[np.arange((-start) % step, n_cells, step)]))
        start += n_cells
    if not sampled:
        return np.zeros((0, 1), dtype=np.float32)
    genes, center, loadings = _fit_components(sparse.csr_matrix(sparse.vstack(sampled, format="csr")), seed)
    projected = [log_cp10k(block)[:, genes] @ loadings - center @ loadings for block in expression.blocks()]
    components = np.concatenate(projected).astype(np.float32)
    return components / max(float(np.sqrt((components**2).sum(axis=1).mean())), 1e-6)


def log_cp10k(block: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return log(1 + counts per 10,000) of linear values (cell, gene); a cell without expression stays empty."""
    values: Any = block.data
    n_values = np.diff(block.indptr)
    total = np.asarray(block.sum(axis=1), dtype=np.float32).ravel()
    scale = np.repeat(10_000 / np.maximum(total, 1e-12), n_values)
    return sparse.csr_matrix((np.log1p(values * scale), block.indices, block.indptr), shape=block.shape)


def _fit_components(
    log_expr: sparse.csr_matrix, seed: int
) -> tuple[NDArray[np.int64], Float[np.ndarray, "gene"], Float[np.ndarray, "gene component"]]:
    """Select genes and fit the components: gene indices, gene means, loadings."""
    from sklearn.utils.extmath import randomized_svd

    mean = np.asarray(log_expr.mean(axis=0)).ravel()
    variance = np.asarray(log_expr.multiply(log_expr).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-variance, kind="stable")[:N_TOP_GENES])
    genes = genes[variance[genes] > 0]
    if not len(genes):
        return np.arange(1), np.zeros(1), np.zeros((1, 1))
    dense = log_expr[:, genes].toarray() - mean[genes]
    n_components = min(N_COMPONENTS, *dense.shape)
    _, _, loadings = randomized_svd(dense, n_components, random_state=seed)
    return genes, mean[genes], loadings.T


@dataclass(frozen=True)
class StudyAudit:
    """Result of label error detection for one study."""

    labels: StudyLabels
    audit: LabelAudit
    obs: pd.DataFrame = field(repr=False)
    label_key: str
    groups: LabelGroups = field(repr=False)
    """Cells by label as written."""
    group_audits: tuple[GroupAudit, ...]
    """Whether the markers of each group contradict its label."""

    @property
    def contradicted(self) -> NDArray[np.bool_]:
        """True for the cells of a group whose markers contradict its label."""
        is_contradicted = [audit.is_contradicted for audit in self.group_audits]
        return np.array([*is_contradicted, False])[self.groups.group_idx]

    def group_table(self) -> pd.DataFrame:
        """Return one row per group (`okrcell.tasks.label_contradictions.group_table`)."""
        return group_table(self.group_audits)

    def table(self) -> pd.DataFrame:
        """Return one row per cell, in the order of the cells.

        Columns: ``cell`` (its name); ``study``, ``donor`` and ``tissue``, "" if unknown; ``cell_type``, the raw label, and
        ``cell_type_ontology_term_id``; ``trust`` in [0, 1]; ``doubtful``; ``likely_cell_type``, the author's name of the most
        likely label, and ``likely_cell_type_ontology_term_id``; ``likely_share``, its probability in [0, 1]; ``relation`` of
        the likely type to the label: same, broader, narrower or other, "" without label; ``agreement``, the match
        probability of the cell and the texts of its label, in [0, 1]; ``contradicted``, whether the markers of all cells
        with this label contradict it.
        """
        audit, label_idx = self.audit, self.labels.label_idx
        author_names, ids = (
            np.array([*entries, ""], dtype=object) for entries in (self.labels.author_names, self.labels.ids)
        )
        table = pd.DataFrame({"cell": self.obs.index.astype(str)})
        for name in OBS_COLUMNS:
            table[name] = self.obs[name].astype(str).to_numpy() if name in self.obs else ""
        table["cell_type"] = column_as_text(self.obs, self.label_key)
        table["cell_type_ontology_term_id"] = ids[label_idx]
        table["trust"] = audit.trust
        table["doubtful"] = audit.doubtful
        table["likely_cell_type"] = author_names[audit.most_likely]
        table["likely_cell_type_ontology_term_id"] = ids[audit.most_likely]
        table["likely_share"] = audit.likely_probability
        table["relation"] = label_relations(self.labels.names)[label_idx, audit.most_likely]
        table["agreement"] = audit.match_probability
        table["contradicted"] = self.contradicted
        return table


def audit_study(
    obs: pd.DataFrame,
    expression: Expression,
    model: Embedder,
    *,
    label_key: str = "cell_type",
    batch_key: str | None = None,
    settings: AuditSettings | None = None,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    progress: Progress | None = None,
) -> StudyAudit:
    """Detect label errors of the cells of one study, and labels that the markers of all their cells contradict.

    Memory holds the cells' vectors and three (cell, label) matrices; expression is read in blocks.

    Parameters
    ----------
    obs
        Annotation of the cells.
    expression
        Expression of the cells.
    model
        Model that embeds cells and label texts.
    label_key
        Column of the labels.
    batch_key
        Column of donors or batches. If passed, a cell is never scored by a classifier that was fitted on its own group.
    settings
        Settings of label error detection.
    vectors
        Model vectors of the cells; computed if not passed.
    progress
        Called with the number of embedded cells and their total.

    Raises
    ------
    InputError
        If a column is missing, or there are fewer than two labels.
    """
    labels = check_labels(obs, label_key, batch_key)
    groups = None if batch_key is None else obs[batch_key].astype(str).to_numpy(dtype=str)
    cell_vectors = model.embed_cells(expression, progress) if vectors is None else vectors
    components = pca_features(expression)
    label_audit = audit_labels(
        cell_vectors, components, labels.vectors(model), labels.label_idx, related(labels.names), groups, settings
    )
    label_groups = LabelGroups.from_labels(labels, column_as_text(obs, label_key))
    group_audits = audit_groups(expression, label_groups, model)
    return StudyAudit(labels, label_audit, obs, label_key, label_groups, group_audits)


def label_relations(names: tuple[str, ...]) -> NDArray[np.object_]:
    """Return the relation of each label (column) to each label (row): same, broader, narrower, other.

    Broader and narrower terms of the Cell Ontology are not errors. The last row and column stand for no label: "".
    """
    cell_ontology = ontology("CL")
    ancestors = [
        cell_ontology.ancestors(name) if name.startswith("CL:") and cell_ontology.current_id(name) else frozenset()
        for name in names
    ]
    relations = np.full((len(names) + 1, len(names) + 1), "", dtype=object)
    for row, name in enumerate(names):
        for column, other_name in enumerate(names):
            relation = (
                "broader" if other_name in ancestors[row] else "narrower" if name in ancestors[column] else "other"
            )
            relations[row, column] = "same" if row == column else relation
    return relations


def check_labels(obs: pd.DataFrame, label_key: str, batch_key: str | None = None) -> StudyLabels:
    """Read the labels and check that label errors can be detected, before any computation.

    Raises
    ------
    InputError
        If a column is missing, or there are fewer than two labels.
    """
    if batch_key is not None and batch_key not in obs:
        raise InputError(f"obs has no column '{batch_key}'; it has {', '.join(map(str, obs)) or 'none'}.")
    if batch_key is not None:
        check_grouping(obs[batch_key], batch_key, "Pass a column with donors or batches: --batch-key (batch_key=...).")
    labels = read_study_labels(obs, label_key)
    if not len(labels.names):
        raise InputError(
            f"No cell has a label: '{label_key}' has only placeholders such as 'unknown', or is empty. "
            "Pass a column with labels: --label-key (label_key=...)."
        )
    if len(labels.names) == 1:
        raise InputError(
            f"All labelled cells are '{labels.author_names[0]}': label errors can only be detected with two or more labels. "
            "Pass a column with several labels: --label-key (label_key=...)."
        )
    return labels
