"""Gene contributions to the annotation of groups of cells or single cells, with marker records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.errors import InputError
from okrcell.evidence import Evidence, KnowledgeSource
from okrcell.model.embedder import Embedder
from okrcell.model.relative_expression import Background, GenePanel
from okrcell.tasks.candidates import Candidate
from okrcell.model.sample_scores import SampleScores, score_sample
from okrcell.tasks.explaining.expectations import ExpectedSignature, expected_signatures
from okrcell.tasks.explaining.presence import detection_rates
from okrcell.tasks.explaining.speakers import GeneContribution, gene_contributions
from okrcell.tasks.explaining.witnesses import supporting_records
from okrcell.texts.gather import EvidenceCache

MAX_SIGNATURE_TYPES = 3
"""Maximum number of known types of a signature mixture whose records are searched."""

Progress = Callable[[int, int], None]
"""Callback with the number of finished groups and their total."""


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
    panel = embedder.gene_panel(expression)
    sample_scores = score_sample(expression, candidates, embedder)
    has_expression = np.asarray(~np.isnan(scores).any(axis=1))
    evidence_cache = EvidenceCache(sources)
    predictions = [
        _predict_group(name, np.flatnonzero(group == idx), has_expression, candidates, scores, best_idx)
        for idx, name in enumerate(names)
    ]
    relative = _mean_relative_expression(
        expression, np.where(has_expression, group, -1), len(names), panel, sample_scores.background
    )
    explanations: list[Explanation] = []
    for explanation, group_expression in zip(predictions, relative, strict=True):
        genes = (
            _explain_genes(
                explanation, group_expression, candidates, sample_scores, panel.measured, top, embedder, evidence_cache
            )
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
    sample_scores: SampleScores,
    measured: NDArray[np.bool_],
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
    signatures = expected_signatures(sample_scores.signatures, measured, candidate_idx)
    predicted = signatures[candidate_idx[0]]
    runner_up = signatures[candidate_idx[1]] if len(candidate_idx) > 1 else ExpectedSignature.zeros(len(relative))
    term_ids = [_signature_term_ids(candidates[idx], sample_scores, idx, embedder) for idx in candidate_idx] + [()]
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
    candidate: Candidate, sample_scores: SampleScores, candidate_idx: int, embedder: Embedder
) -> tuple[str, ...]:
    """Term ids of the candidate and of the known types in its signature mixture, largest weight first."""
    known_types = () if embedder.signatures is None else embedder.signatures.types
    weights = sample_scores.signatures.type_weights[candidate_idx]
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
