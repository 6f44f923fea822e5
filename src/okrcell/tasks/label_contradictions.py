"""Label error detection for whole groups: labels that the markers of their cells contradict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Self, cast

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression, iter_rows
from okrcell.descriptions.metadata_text import join_list
from okrcell.model.embedder import Embedder
from okrcell.model.marker_scores import Background, GenePanel, SignatureContrast, estimate_background
from okrcell.model.signatures import SignatureHead
from okrcell.ontology.ontology import ontology
from okrcell.ontology.relations import ancestors_or_self
from okrcell.tasks.labels import StudyLabels
from okrcell.tasks.rank_genes import QUALITY_GENES

MIN_CELLS = 10
"""Minimum number of cells of a judged group."""
MAX_CELLS_PER_GROUP = 200
"""Maximum number of evenly spaced cells of a group whose mean is compared: more change it little."""
MIN_GENES = 20
"""Minimum number of measured genes of a signature: with fewer, right labels were contradicted."""
MIN_BROAD_TERMS = 200
"""A label with more descendants is broad, as "lymphocyte" is and "T cell" is not: its own signature is that of a mixture."""
MAX_LINEAGE_TERMS = 500
"""Types are of the same lineage if a common ancestor has at most this number of descendants, as lymphocytes and myeloid
leukocytes have (ours)."""
OTHER_LINEAGE_BONUS = 0.5
"""Added to margins of types of another lineage; relatives are harder to separate (ours)."""
OWN_WEIGHT = 0.5
"""Weight of the score of the label's own signature, which speaks for the label (ours)."""
MIN_MARGIN = -1.0
"""Minimum margin of a label of the study with which a group may have exchanged names."""
CONTRADICTION_THRESHOLD = 1.2
"""A larger contradiction is reported; chosen on pretraining studies, where 4 % of the right groups exceed it
(docs/results/audit.md)."""
MAX_NAMED_GENES = 3
ABSENT_FRACTION = 0.05
"""A gene that fewer of the group's cells express is called absent."""
SAME_LINEAGE, OTHER_LINEAGE = "same lineage", "other lineage"


@dataclass(frozen=True)
class LabelGroups:
    """Groups of cells with the same label, as written."""

    group_idx: NDArray[np.int64]
    """Index of each cell's group; -1 for an unlabelled cell."""
    labels: tuple[str, ...]
    """Label of each group, as written."""
    term_ids: tuple[str, ...]
    """Cell Ontology id of each group, "" if its label is no known type."""

    @classmethod
    def from_labels(cls, labels: StudyLabels, raw_labels: NDArray[np.object_]) -> Self:
        """Split the cells of each label by how it was written: "B" and "CD19+ B" are two groups of one type.

        Parameters
        ----------
        labels
            Labels of the cells.
        raw_labels
            Label of each cell as written.
        """
        is_labeled = labels.label_idx >= 0
        texts = [str(text).strip() for text in raw_labels[is_labeled].tolist()]
        table = pd.DataFrame({"index": labels.label_idx[is_labeled], "label": texts})
        keys = sorted(set(table.itertuples(index=False, name=None)))
        group_idx = np.full(len(raw_labels), -1, dtype=np.int64)
        group_idx[is_labeled] = table.groupby(["index", "label"]).ngroup().to_numpy()
        return cls(
            group_idx,
            tuple(label or labels.author_names[index] for index, label in keys),
            tuple(labels.ids[index] for index, _ in keys),
        )


@dataclass(frozen=True)
class GroupAudit:
    """Whether the markers of a group contradict its label."""

    label: str
    term_id: str
    """Cell Ontology id of the label, "" if it is no known type."""
    n_cells: int
    remark: str = ""
    """Why the group was not judged; "" if it was."""
    contradiction: float = float("nan")
    """Evidence against the label in standard scores (`GroupComparison`); NaN if the group was not judged."""
    margin: float = float("nan")
    """Score of the rival type relative to the type of the label, in standard scores."""
    own_score: float = float("nan")
    """Score of the signature of the label's type, in standard scores; 0 in the mean over the study's labels."""
    rival: str = ""
    """Name of the type outside the label's ancestors and descendants that the group resembles most."""
    rival_id: str = ""
    relation: str = ""
    """`SAME_LINEAGE` or `OTHER_LINEAGE`, of the rival and the label."""
    high_genes: tuple[str, ...] = ()
    """Genes of the rival's signature that are high in the group, the strongest first."""
    low_genes: tuple[str, ...] = ()
    """Genes of the label's signature that are low in the group, the strongest first."""
    low_are_absent: bool = False
    """Whether fewer than `ABSENT_FRACTION` of the group's cells express each of ``low_genes``."""

    @property
    def is_contradicted(self) -> bool:
        """Whether the markers contradict the label."""
        return self.contradiction > CONTRADICTION_THRESHOLD

    @property
    def sentence(self) -> str:
        """The group, its rival and the genes behind it, in one sentence.

        Examples
        --------
        >>> genes = {"high_genes": ("MZB1", "JCHAIN"), "low_genes": ("MS4A1",), "low_are_absent": True}
        >>> GroupAudit("B cell", "CL:0000236", 312, rival="plasma cell", **genes).sentence
        "'B cell' (312 cells) looks like plasma cell: MZB1 and JCHAIN are high, MS4A1 is absent"
        """
        low = "absent" if self.low_are_absent else "low"
        clauses = [
            f"{join_list(genes)} {'is' if len(genes) == 1 else 'are'} {state}"
            for genes, state in ((self.high_genes, "high"), (self.low_genes, low))
            if genes
        ]
        reason = f": {', '.join(clauses)}" if clauses else ""
        return f"'{self.label}' ({self.n_cells:,} cells) looks like {self.rival}{reason}"


GROUP_COLUMNS = (
    "cell_type", "cell_type_ontology_term_id", "cells", "contradicted", "contradiction", "rival", "rival_ontology_term_id",
    "relation", "margin", "own_score", "high_genes", "low_genes", "reason", "remark",
)  # fmt: skip
"""Columns of `group_table`."""


def group_table(groups: Sequence[GroupAudit]) -> pd.DataFrame:
    """Return one row per group, the most contradicted first, then those that were not judged."""
    rows = [
        (
            group.label,
            group.term_id,
            group.n_cells,
            group.is_contradicted,
            group.contradiction,
            group.rival,
            group.rival_id,
            group.relation,
            group.margin,
            group.own_score,
            ", ".join(group.high_genes),
            ", ".join(group.low_genes),
            group.sentence if group.is_contradicted else "",
            group.remark,
        )
        for group in groups
    ]
    return sort_groups(pd.DataFrame(rows, columns=pd.Index(GROUP_COLUMNS)))


def sort_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Sort a table of groups: the most contradicted first, those that were not judged last."""
    return table.sort_values("contradiction", ascending=False, kind="stable", na_position="last", ignore_index=True)


@dataclass(frozen=True)
class GroupMeans:
    """Mean expression of groups of cells on the genes of the model."""

    mean: Float[np.ndarray, "group gene"]
    """Mean of clipped log expression."""
    fraction: Float[np.ndarray, "group gene"]
    """Fraction of cells that express the gene."""
    background: Background
    """Background in which all types of the groups have the same weight."""
    measured: Bool[np.ndarray, " gene"]
    """Genes that any of the cells expresses."""


def audit_groups(expression: Expression, groups: LabelGroups, embedder: Embedder) -> tuple[GroupAudit, ...]:
    """Compare each group with the type of its label and with all other types (`GroupComparison`).

    A group is judged if it has `MIN_CELLS` cells and its label is a known type; one pass over the file, and memory is bounded
    by `MAX_CELLS_PER_GROUP` cells per group.

    Parameters
    ----------
    expression
        Expression of the cells.
    groups
        Labels of the cells.
    embedder
        Model with signatures; without, no group is judged.
    """
    n_cells = np.bincount(groups.group_idx[groups.group_idx >= 0], minlength=len(groups.labels)).tolist()
    audits = [
        GroupAudit(
            label, term_id, count, _unjudged_reason(term_id, count, has_signatures=embedder.signatures is not None)
        )
        for label, term_id, count in zip(groups.labels, groups.term_ids, n_cells, strict=True)
    ]
    usable = np.array([i for i, audit in enumerate(audits) if not audit.remark], dtype=np.intp)
    if embedder.signatures is None or not len(usable):
        return tuple(audits)
    term_ids = tuple(groups.term_ids[i] for i in usable.tolist())
    means = group_means(expression, embedder, groups.group_idx, usable, term_ids)
    comparison = GroupComparison(means, term_ids, embedder.signatures, embedder.vocabulary.symbol)
    for row, i in enumerate(usable.tolist()):
        audits[i] = comparison.audit(row, audits[i])
    return tuple(audits)


def _unjudged_reason(term_id: str, n_cells: int, *, has_signatures: bool) -> str:
    if not has_signatures:
        return "the model has no signatures"
    if not term_id:
        return "its label is no known type"
    return f"fewer than {MIN_CELLS} cells" if n_cells < MIN_CELLS else ""


def group_means(
    expression: Expression,
    embedder: Embedder,
    group_idx: NDArray[np.int64],
    groups: NDArray[np.intp],
    term_ids: Sequence[str],
) -> GroupMeans:
    """Average the cells of each group.

    Parameters
    ----------
    group_idx
        Index of each cell's group, -1 for none.
    groups
        Indices of the groups.
    term_ids
        Cell Ontology id of each of ``groups``.
    """
    head, panel = cast(SignatureHead, embedder.signatures), embedder.gene_panel(expression)
    rows = np.sort(np.concatenate([_evenly_spaced(np.flatnonzero(group_idx == group)) for group in groups.tolist()]))
    cells = sparse.csr_matrix(sparse.vstack(list(iter_rows(expression, rows))))
    # A gene that no cell expresses may not have been measured.
    measured = panel.measured & (cells.getnnz(axis=0) > 0)[panel.columns]
    log_expr = GenePanel.from_measured(head, panel.columns, measured).log_normalize(cells)
    members = sparse.csr_matrix((group_idx[rows][None, :] == groups[:, None]) & (np.diff(log_expr.indptr) > 0))
    counts = np.maximum(np.asarray(members.sum(axis=1)).ravel(), 1)
    label_idx = np.unique(np.array(term_ids), return_inverse=True)[1]
    cells_of_type = np.bincount(label_idx, weights=counts)[label_idx]
    background = estimate_background(head, [log_expr], iter([members.T @ (1 / cells_of_type)]))
    shares = sparse.csr_matrix(sparse.diags(1 / counts) @ members)
    expressed = sparse.csr_matrix(log_expr > 0, dtype=np.float32)
    mean, fraction = (sparse.csr_matrix(shares @ values).toarray() for values in (background.clip(log_expr), expressed))
    return GroupMeans(mean, fraction, background, measured)


def _evenly_spaced(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_CELLS_PER_GROUP)).astype(np.intp))]


class GroupComparison:
    """Comparison of the means of groups with the types of their labels and with all other types (ours).

    The margin of a type over that of the label is the score of the group's mean for the difference of both signatures. The
    contradiction is the larger of two numbers. The first is the largest margin, plus `OTHER_LINEAGE_BONUS` for a type of
    another lineage, minus `OWN_WEIGHT` times the score of the label's own signature. The second is for two labels that
    exchanged names: the margins of each group for the other's type, added. Ancestors, descendants and types that share a
    descendant with the label are no rivals. A label without a signature is compared by that of its nearest ancestor. For the
    first number, a label with more than `MIN_BROAD_TERMS` descendants is represented by the one that the group resembles most.

    Parameters
    ----------
    means
        Mean expression of the groups.
    term_ids
        Cell Ontology id of the label of each group.
    head
        Known types with their signatures.
    symbols
        Symbol of each gene of the model.
    """

    def __init__(
        self, means: GroupMeans, term_ids: Sequence[str], head: SignatureHead, symbols: NDArray[np.str_]
    ) -> None:
        self._means, self._head, self._symbols = means, head, symbols
        self._contrast = SignatureContrast.from_signatures(head.combined, means.measured, head.variation)
        has_genes = np.diff(self._contrast.signatures.indptr) >= MIN_GENES
        self._term_ids = np.array(term_ids, dtype=object)
        self._type_idx = np.array([_nearest_type(term_id, head, has_genes) for term_id in term_ids], dtype=np.intp)
        has_cells = np.diff(head.cells.indptr) > 0
        self._labels = np.unique(self._type_idx[self._type_idx >= 0])
        has_cells[self._labels] = True
        self._rivals = np.flatnonzero(has_genes & has_cells)
        self._type_scores = self._scores(np.zeros(len(means.measured)))
        self._best_kind = [self._find_best_kind(row) for row in range(len(term_ids))]
        types = {*self._labels.tolist(), *self._best_kind} - {-1}
        self._margins = {type_idx: self._scores(self._weights(type_idx)) for type_idx in types}

    def _weights(self, type_idx: int) -> Float[np.ndarray, " gene"]:
        """Signature of a type on the measured genes."""
        return sparse.csr_matrix(self._contrast.signatures[[type_idx]]).toarray().ravel()

    def _scores(self, reference: Float[np.ndarray, " gene"]) -> Float[np.ndarray, "group rival"]:
        """Score the groups for the difference of each rival's signature and the reference."""
        contrast = replace(self._contrast, mean_signature=reference)
        signatures = sparse.csr_matrix(self._contrast.signatures[self._rivals])
        return contrast.scores(sparse.csr_matrix(self._means.mean), self._means.background, signatures)

    def _find_best_kind(self, row: int) -> int:
        """Index of the type that represents a group's label: its own, or the descendant of a broad label that fits best."""
        own_id, own = str(self._term_ids[row]), int(self._type_idx[row])
        if ontology("CL").n_descendants.get(own_id, 0) <= MIN_BROAD_TERMS:
            return own
        kinds = ontology("CL").descendants(own_id)
        columns = [
            column
            for column, rival in enumerate(self._rivals.tolist())
            if rival == own or self._head.types[rival] in kinds
        ]
        return int(self._rivals[max(columns, key=lambda column: self._type_scores[row, column])]) if own >= 0 else -1

    def audit(self, row: int, audit: GroupAudit) -> GroupAudit:
        """Complete the audit of a group."""
        own = int(self._type_idx[row])
        if own < 0:
            return replace(audit, remark=f"the model has no signature of its type with {MIN_GENES} measured genes")
        evidence = self._evidence(row)
        best = int(evidence.argmax())
        if len(self._labels) < 2 or not np.isfinite(evidence[best]):
            return replace(audit, remark="there is no other type to compare with")
        rival_id = self._head.types[self._rivals[best]]
        high, low = self._reason_genes(row, int(self._rivals[best]))
        return replace(
            audit,
            contradiction=float(evidence[best]),
            margin=float(self._margins[self._best_kind[row]][row, best]),
            own_score=self._own_score(row),
            rival=ontology("CL").term(rival_id).name,
            rival_id=rival_id,
            relation=SAME_LINEAGE if same_lineage(audit.term_id, rival_id) else OTHER_LINEAGE,
            high_genes=tuple(str(self._symbols[gene]) for gene in high),
            low_genes=tuple(str(self._symbols[gene]) for gene in low),
            low_are_absent=all(self._means.fraction[row, gene] < ABSENT_FRACTION for gene in low),
        )

    def _own_score(self, row: int) -> float:
        return float(self._type_scores[row, np.searchsorted(self._rivals, self._best_kind[row])])

    def _evidence(self, row: int) -> Float[np.ndarray, " rival"]:
        """Contradiction of a group's label by each rival; minus infinity for a type that is no rival."""
        own_id, own = str(self._term_ids[row]), int(self._type_idx[row])
        rival_ids = [self._head.types[rival] for rival in self._rivals.tolist()]
        bonus = [0 if same_lineage(own_id, rival_id) else OTHER_LINEAGE_BONUS for rival_id in rival_ids]
        margins = self._margins[own][row]
        evidence = self._margins[self._best_kind[row]][row] + np.array(bonus) - OWN_WEIGHT * self._own_score(row)
        for label in self._labels.tolist():
            column = int(np.searchsorted(self._rivals, label))
            if margins[column] >= MIN_MARGIN and self._resembles_most(label, own):
                evidence[column] = max(evidence[column], margins[column] + self._label_margins(label)[own])
        overlapping = ontology("CL").overlapping(own_id) | ontology("CL").overlapping(self._head.types[own])
        return np.where([rival_id in overlapping for rival_id in rival_ids], -np.inf, evidence)

    def _label_margins(self, label: int) -> dict[int, float]:
        """Margins of the study's labels over one of them, in the mean of the groups with that label."""
        columns = np.searchsorted(self._rivals, self._labels)
        margins = self._margins[label][self._type_idx == label][:, columns].mean(axis=0)
        return dict(zip(self._labels.tolist(), margins.tolist(), strict=True))

    def _resembles_most(self, label: int, other: int) -> bool:
        """Whether the cells of a label resemble another label of the study more than their own and all others."""
        margins = self._label_margins(label)
        overlapping = ontology("CL").overlapping(self._head.types[label])
        return all(
            margins[other] >= margin
            for rival, margin in margins.items()
            if rival == label or self._head.types[rival] not in overlapping
        )

    def _reason_genes(self, row: int, rival: int) -> tuple[list[int], list[int]]:
        """Genes of the rival that are high, and genes of the label that are low, in the order of their part in the margin."""
        relative = (self._means.mean[row] - self._means.background.level) / self._means.background.spread
        own_weights, rival_weights = self._weights(int(self._type_idx[row])), self._weights(rival)
        parts = (rival_weights - own_weights) * relative
        order = [int(gene) for gene in np.argsort(-parts, kind="stable")[: int((parts > 0).sum())]]
        order = [gene for gene in order if not QUALITY_GENES.fullmatch(str(self._symbols[gene]))]
        high = [gene for gene in order if rival_weights[gene] > 0 and relative[gene] > 0]
        low = [gene for gene in order if own_weights[gene] > 0 and relative[gene] < 0]
        return high[:MAX_NAMED_GENES], low[:MAX_NAMED_GENES]


def _nearest_type(term_id: str, head: SignatureHead, has_genes: Bool[np.ndarray, " type"]) -> int:
    """Index of a type with enough measured genes: the term, or its ancestor with the fewest descendants; -1 for none."""
    n_descendants = {term_id: 0} | {
        term: ontology("CL").n_descendants.get(term, 0) for term in ancestors_or_self(term_id) - {term_id}
    }
    near = sorted((n, term) for term, n in n_descendants.items() if n <= MAX_LINEAGE_TERMS)
    indices = head.index_of([term for _, term in near]).tolist()
    return next((idx for idx in indices if idx >= 0 and has_genes[idx]), -1)


@cache
def same_lineage(term_id: str, other_id: str) -> bool:
    """Whether two cell types have a common ancestor with at most `MAX_LINEAGE_TERMS` descendants."""
    n_descendants = ontology("CL").n_descendants
    common = ancestors_or_self(term_id) & ancestors_or_self(other_id)
    return any(n_descendants.get(ancestor, 0) <= MAX_LINEAGE_TERMS for ancestor in common)
