"""Gene contributions to the annotation of groups of cells or single cells, with marker records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.descriptions.evidence_lookup import EvidenceCache, EvidenceIndex
from okrcell.errors import InputError
from okrcell.evidence import Evidence, KnowledgeSource
from okrcell.model.embedder import Embedder
from okrcell.model.marker_scores import Background, GenePanel
from okrcell.model.sample_scores import candidate_signatures, score_sample
from okrcell.tasks.candidates import Candidate
from okrcell.tasks.expected_signatures import CandidateSignatures, ExpectedSignature

SOURCE_TABLES, SOURCE_CELLS, SOURCE_BOTH = "marker tables", "cells of the corpus", "both"
"""Sources of a gene's weight."""
MIN_BOTH_RATIO = 0.25
"""The source is `SOURCE_BOTH` if the smaller part has the same sign and at least this fraction of the larger part."""
ROUNDING = 1e-5
"""Relative difference of weights that is rounding."""
MAX_RECORDS = 3
MAX_SIGNATURE_TYPES = 3
"""Maximum number of known types of a signature mixture whose records are searched."""
Progress = Callable[[int, int], None]
"""Callback with the number of finished groups and their total."""


@dataclass(frozen=True)
class GeneContribution:
    """Contribution of one gene to the margin between the predicted type and the runner-up, for one group."""

    gene_idx: int
    """Index in the gene vocabulary."""
    value: float
    """Part of the margin in signature score; negative if the gene supports the runner-up."""
    relative_expression: float
    """Mean relative expression of the group's cells; positive if above the background."""
    predicted_weight: float
    """Weight of the gene in the contrasted signature of the predicted type, signed."""
    runner_up_weight: float
    """Weight of the gene in the contrasted signature of the runner-up, signed; 0 without runner-up."""
    source: str
    """`SOURCE_TABLES`, `SOURCE_CELLS` or `SOURCE_BOTH`."""

    @property
    def from_prediction(self) -> bool:
        """Whether the weight of the predicted type is at least as large as that of the runner-up."""
        return abs(self.predicted_weight) >= (1 - ROUNDING) * abs(self.runner_up_weight)

    @property
    def expects_presence(self) -> bool:
        """Whether the type with the larger weight predicts high expression of the gene rather than low expression."""
        return (self.predicted_weight if self.from_prediction else self.runner_up_weight) > 0


def gene_contributions(
    relative: Float[np.ndarray, " gene"], predicted: ExpectedSignature, runner_up: ExpectedSignature, top: int
) -> tuple[GeneContribution, ...]:
    """Return the ``top`` genes with the largest absolute contribution, largest first.

    The contribution of a gene is the difference of its two signature weights times its relative expression. A signature
    score is the scalar product of weights and relative expression, so the contributions of all genes sum to the margin in
    signature score. Ours.

    Parameters
    ----------
    relative
        Mean relative expression of the group's cells.
    predicted
        Contrasted signature of the predicted type.
    runner_up
        Contrasted signature of the runner-up.
    top
        Maximum number of genes.
    """
    weights, from_tables, from_cells = (
        predicted.weights - runner_up.weights,
        predicted.from_tables - runner_up.from_tables,
        predicted.from_cells - runner_up.from_cells,
    )
    contributions = weights * relative
    order = np.argsort(-np.abs(contributions), kind="stable")[:top]
    return tuple(
        GeneContribution(
            int(gene),
            float(contributions[gene]),
            float(relative[gene]),
            float(predicted.weights[gene]),
            float(runner_up.weights[gene]),
            source_of(float(from_tables[gene]), float(from_cells[gene]), float(weights[gene])),
        )
        for gene in order
        if contributions[gene] != 0
    )


def source_of(from_tables: float, from_cells: float, weight: float) -> str:
    """Source of a gene's weight: the larger part with the sign of the whole, or `SOURCE_BOTH` (see `MIN_BOTH_RATIO`)."""
    parts = np.array([from_tables, from_cells]) * np.sign(weight)
    if parts.max() <= 0:
        return SOURCE_BOTH
    if parts.min() >= MIN_BOTH_RATIO * parts.max():
        return SOURCE_BOTH
    return SOURCE_TABLES if parts[0] > parts[1] else SOURCE_CELLS


@dataclass(frozen=True)
class DetectionRate:
    """Fractions of cells in which a gene was detected."""

    inside: Float[np.ndarray, "group gene"]
    """Fraction of the group's cells with expression, in [0, 1]; NaN for a group without such cells."""
    outside: Float[np.ndarray, "group gene"]
    """Fraction of all other cells with expression, in any group or none, in [0, 1]; NaN if there are none."""


def detection_rates(
    expression: Expression, group: NDArray[np.intp], n_groups: int, rows: Sequence[int] | NDArray[np.integer]
) -> DetectionRate:
    """Compute the detection rates of genes, in one pass over the file.

    Parameters
    ----------
    expression
        Expression of all cells.
    group
        Group index of each cell, -1 for none.
    n_groups
        Number of groups.
    rows
        Rows of the genes in the gene table.
    """
    genes = np.asarray(rows, dtype=np.intp)
    n_detected = np.zeros((n_groups + 1, len(genes)))
    n_cells = np.zeros(n_groups + 1)
    start = 0
    for block in expression.blocks():
        measured: NDArray[np.bool_] = block.getnnz(axis=1) > 0
        n_rows = len(measured)
        # The last row counts the cells without group.
        block_group = np.where(group[start : start + n_rows] < 0, n_groups, group[start : start + n_rows])
        start += n_rows
        n_cells += np.bincount(block_group[measured], minlength=n_groups + 1)
        membership = sparse.csr_matrix(
            (np.ones(n_rows), (block_group, np.arange(n_rows))), shape=(n_groups + 1, n_rows)
        )
        n_detected += np.asarray((membership @ (block[:, genes] > 0).astype(np.float64)).todense())
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = n_detected[:n_groups] / n_cells[:n_groups, None]
        outside = (n_detected.sum(axis=0) - n_detected[:n_groups]) / (n_cells.sum() - n_cells[:n_groups])[:, None]
    return DetectionRate(inside, outside)


def supporting_records(
    symbol: str,
    contribution: GeneContribution,
    predicted_terms: Sequence[str],
    runner_up_terms: Sequence[str],
    evidence_cache: EvidenceCache,
) -> tuple[Evidence, ...]:
    """Find up to three records which state that the gene marks the type that it supports, or is absent from it.

    Parameters
    ----------
    symbol
        Gene symbol.
    contribution
        Contribution of the gene.
    predicted_terms
        Cell Ontology ids of the predicted type's signature, largest weight first.
    runner_up_terms
        Cell Ontology ids of the runner-up's signature, largest weight first.
    evidence_cache
        Cached access to the knowledge sources.

    Returns
    -------
    Empty if no available source mentions the gene, or if the weight was learned from cells alone.
    """
    if contribution.source == SOURCE_CELLS:
        return ()
    aspect = "marker" if contribution.expects_presence else "absent_marker"
    for term in predicted_terms if contribution.from_prediction else runner_up_terms:
        records = EvidenceIndex(evidence_cache.evidence_for(term)).mentioning_gene(symbol, aspect)
        # A table lists a gene for the type first, then per tissue; the first record of each table is used.
        by_source = {piece.source: piece for piece in reversed(records)}
        if by_source:
            ordered = [piece for piece in records if by_source[piece.source] is piece]
            return tuple(ordered[:MAX_RECORDS])
    return ()


@dataclass(frozen=True)
class ExplainingGene:
    """Contribution of a gene, with its detection rates and supporting records."""

    symbol: str
    contribution: GeneContribution
    inside: float
    """Fraction of the group's cells in which the gene was detected, in [0, 1]."""
    outside: float
    """Fraction of all other cells in which the gene was detected, in [0, 1]; NaN if there are none."""
    records: tuple[Evidence, ...]
    """Supporting records of marker tables; empty if there is none, or if the weight was learned from cells alone."""

    @property
    def supports_prediction(self) -> bool:
        """Whether the gene supports the predicted type rather than the runner-up."""
        return self.contribution.value > 0


@dataclass(frozen=True)
class Explanation:
    """Explanation of the annotation of one group of cells or one cell."""

    group: str
    n_cells: int
    without_expression: int
    prediction: Candidate | None
    """Prediction of most cells of the group; None if no cell has expression."""
    fraction: float
    """Fraction of the cells with expression that have this prediction, in [0, 1]."""
    runner_up: Candidate | None
    """Runner-up: the other candidate with the highest mean score; None with one candidate."""
    scores: tuple[float, float]
    """Mean scores of prediction and runner-up from `okrcell.tl.annotate`; NaN if there is none."""
    genes: tuple[ExplainingGene, ...]
    """Genes with the largest absolute contribution, largest first."""


def explain_groups(
    expression: Expression,
    group: NDArray[np.intp],
    names: Sequence[str],
    candidates: Sequence[Candidate],
    scores: Float[np.ndarray, "cell candidate"],
    best_idx: NDArray[np.intp],
    embedder: Embedder,
    *,
    sources: Sequence[KnowledgeSource] = (),
    top: int = 20,
    progress: Progress | None = None,
) -> tuple[Explanation, ...]:
    """Explain the predictions of groups of cells by the genes of the model's signatures.

    The prediction of a group is that of most of its cells; the runner-up is the other candidate with the highest mean score.
    Contributions (`gene_contributions`) explain the signature part of a score (`okrcell.model.sample_scores`), not
    the similarity of vectors and not the smoothing over neighbours.

    Parameters
    ----------
    expression
        Expression of all cells.
    group
        Index of each cell's group in ``names``, -1 for none.
    names
        Names of the groups.
    candidates
        Candidate cell types.
    scores
        Score of each cell for each candidate, NaN for a cell without expression.
    best_idx
        Index of each cell's predicted candidate.
    embedder
        Model with signatures.
    sources
        Knowledge sources searched for records.
    top
        Maximum number of genes of an explanation.
    progress
        Called after each group.

    Raises
    ------
    InputError
        If the model has no signatures.
    """
    if embedder.signatures is None:
        raise InputError(
            f"The model {embedder.name} has no gene signatures, so its annotations cannot be explained. "
            "Use the bundled model or a model trained with signatures."
        )
    panel, head = embedder.gene_panel(expression), embedder.signatures
    term_ids = [candidate.term_id for candidate in candidates]
    signatures = candidate_signatures(term_ids, [candidate.texts for candidate in candidates], embedder)
    sample_scores = score_sample(expression, panel, head, term_ids, signatures.combined, head.combined)
    has_expression = np.asarray(~np.isnan(scores).any(axis=1))
    evidence_cache = EvidenceCache(sources)
    predictions = [
        _predict_group(name, np.flatnonzero(group == idx), has_expression, candidates, scores, best_idx)
        for idx, name in enumerate(names)
    ]
    relative = _mean_relative_expression(
        expression, np.where(has_expression, group, -1), len(names), panel, sample_scores.background
    )
    expected = CandidateSignatures.from_candidates(signatures, head, term_ids, panel.measured)
    explanations: list[Explanation] = []
    for explanation, group_expression in zip(predictions, relative, strict=True):
        genes = (
            _explain_genes(explanation, group_expression, candidates, expected, top, embedder, evidence_cache)
            if explanation.prediction
            else ()
        )
        explanations.append(replace(explanation, genes=genes))
        if progress is not None:
            progress(len(explanations), len(names))
    return _add_detection_rates(explanations, expression, group, embedder)


def _mean_relative_expression(
    expression: Expression, group: NDArray[np.intp], n_groups: int, panel: GenePanel, background: Background
) -> Float[np.ndarray, "group gene"]:
    """Mean relative expression of each group, in one pass over the file; NaN for a group without cells."""
    total, n_cells = np.zeros((n_groups, len(background.level))), np.bincount(group[group >= 0], minlength=n_groups)
    start = 0
    for block in expression.blocks():
        log_expr = background.clip(panel.log_normalize(block))
        block_group = group[start : start + len(log_expr.indptr) - 1]
        start += len(block_group)
        grouped = np.flatnonzero(block_group >= 0)
        membership = sparse.csr_matrix(
            (np.ones(len(grouped)), (block_group[grouped], grouped)), shape=(n_groups, len(block_group))
        )
        total += np.asarray(cast(sparse.csr_matrix, membership @ log_expr).todense())
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / n_cells[:, None] - background.level) / background.spread


def _predict_group(
    name: str,
    rows: NDArray[np.intp],
    has_expression: NDArray[np.bool_],
    candidates: Sequence[Candidate],
    scores: Float[np.ndarray, "cell candidate"],
    best_idx: NDArray[np.intp],
) -> Explanation:
    """Prediction and runner-up of one group, without genes."""
    n_cells, measured_rows = len(rows), rows[has_expression[rows]]
    no_scores = (float("nan"), float("nan"))
    if not len(measured_rows):
        return Explanation(name, n_cells, n_cells, None, 0.0, None, no_scores, ())
    votes = np.bincount(best_idx[measured_rows], minlength=len(candidates))
    mean_scores = np.asarray(scores[measured_rows], dtype=np.float64).mean(axis=0)
    # Ties are broken by the mean score.
    predicted_idx = int(np.lexsort((-mean_scores, -votes))[0])
    other_scores = np.where(np.arange(len(candidates)) == predicted_idx, -np.inf, mean_scores)
    runner_up_idx = int(other_scores.argmax()) if len(candidates) > 1 else None
    return Explanation(
        name,
        n_cells,
        n_cells - len(measured_rows),
        candidates[predicted_idx],
        float(votes[predicted_idx] / len(measured_rows)),
        None if runner_up_idx is None else candidates[runner_up_idx],
        (
            float(mean_scores[predicted_idx]),
            float("nan") if runner_up_idx is None else float(mean_scores[runner_up_idx]),
        ),
        (),
    )


def _explain_genes(
    explanation: Explanation,
    relative: Float[np.ndarray, " gene"],
    candidates: Sequence[Candidate],
    expected: CandidateSignatures,
    top: int,
    embedder: Embedder,
    evidence_cache: EvidenceCache,
) -> tuple[ExplainingGene, ...]:
    """Contributions of the genes for one group; detection rates are added later."""
    candidate_idx = [
        list(candidates).index(candidate)
        for candidate in (explanation.prediction, explanation.runner_up)
        if candidate is not None
    ]
    predicted = expected.of(candidate_idx[0], relative)
    runner_up = (
        expected.of(candidate_idx[1], relative) if len(candidate_idx) > 1 else ExpectedSignature.zeros(len(relative))
    )
    term_ids = [
        _signature_term_ids(candidates[idx], expected.signatures.type_weights[idx], embedder) for idx in candidate_idx
    ] + [()]
    nan = float("nan")
    return tuple(
        ExplainingGene(
            symbol,
            contribution,
            nan,
            nan,
            supporting_records(symbol, contribution, term_ids[0], term_ids[1], evidence_cache),
        )
        for contribution in gene_contributions(relative, predicted, runner_up, top)
        for symbol in (str(embedder.vocabulary.symbol[contribution.gene_idx]),)
    )


def _signature_term_ids(
    candidate: Candidate, weights: Float[np.ndarray, " type"], embedder: Embedder
) -> tuple[str, ...]:
    """Term ids of the candidate and of the known types in its signature mixture, largest weight first."""
    known_types = () if embedder.signatures is None else embedder.signatures.types
    nearest = [int(idx) for idx in np.argsort(-weights, kind="stable")[:MAX_SIGNATURE_TYPES] if weights[idx] > 0]
    return tuple(dict.fromkeys(filter(None, (candidate.term_id, *(known_types[idx] for idx in nearest)))))


def _add_detection_rates(
    explanations: Sequence[Explanation], expression: Expression, group: NDArray[np.intp], embedder: Embedder
) -> tuple[Explanation, ...]:
    """Add the detection rates of the genes, in one pass over the file for all groups."""
    genes = sorted({gene.contribution.gene_idx for explanation in explanations for gene in explanation.genes})
    if not genes:
        return tuple(explanations)
    tokens = embedder.vocabulary.tokens(expression.table)
    gene_rows = np.zeros(len(embedder.vocabulary), dtype=np.intp)
    gene_rows[tokens[tokens > 0] - 1] = np.flatnonzero(tokens > 0)
    rates = detection_rates(expression, group, len(explanations), gene_rows[genes])
    column = {gene: idx for idx, gene in enumerate(genes)}
    return tuple(
        replace(
            explanation,
            genes=tuple(
                replace(
                    gene,
                    inside=float(rates.inside[idx, column[gene.contribution.gene_idx]]),
                    outside=float(rates.outside[idx, column[gene.contribution.gene_idx]]),
                )
                for gene in explanation.genes
            ),
        )
        for idx, explanation in enumerate(explanations)
    )
