"""Signature scores of cells on the measured genes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from okrcell.errors import CheckpointError
from okrcell.model.cell_encoder import MAX_Z_SCORE, MIN_SPREAD
from okrcell.model.signatures import SignatureHead, TypeVariation
from okrcell.ontology.relations import related

PRIOR_CELLS = 50.0
"""Weight of the corpus background, in cells of the sample: a single cell is compared with the corpus."""
MIN_PRIOR_WEIGHT = 0.05
"""Minimum weight of the corpus background, because a sample of one type does not show the background."""


ODDS_EPSILON = 1e-4
"""Bounds the odds of a probability at ten thousand to one."""
CONFIDENCE_COEFFICIENTS = ("top", "lead", "bias")
"""Keys of the fitted coefficients: of the log odds of the probability, of the margin, and the intercept."""
MIN_NORM = 0.2
"""Minimum divisor in normalization: a signature of which little was measured stays shorter, because its rest is noise."""
BACKGROUND_ITERATIONS = 2
"""Number of times the background is estimated again, with equal weight for all candidates."""
ASSIGNMENT_SHARPNESS = 8.0
"""Sharpness of the soft assignment of cells to candidates in this estimate, per standard deviation of scores."""
MIN_SPARSE_ROWS, MAX_SPARSE_DENSITY = 50, 0.2
"""With fewer signatures, or a larger fraction of nonzero weights, the dense product is faster."""
PSEUDOCOUNT_FRACTION = 0.02
"""Pseudocount of each candidate, as a fraction of the cells; bounds the weight of rare candidates."""


@dataclass(frozen=True)
class GenePanel:
    """The model's genes that a file measured, and how its rows are mapped onto them."""

    columns: NDArray[np.intp]
    """For each gene of the model its row in the gene table."""
    measured: Bool[np.ndarray, " gene"]
    target_sum: float
    """Sum that the measured genes of a cell are scaled to: their mean sum in a cell of the corpus."""

    @classmethod
    def from_measured(
        cls, head: SignatureHead, columns: NDArray[np.intp], measured: Bool[np.ndarray, " gene"]
    ) -> "GenePanel":
        """Build the panel of the genes of ``head`` that were measured."""
        return cls(columns, measured, float(head.linear.numpy()[measured].sum()))

    def log_normalize(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return log1p of scaled expression, float32 (cell, gene of the model); a row without expression stays empty."""
        selected = sparse.csr_matrix(block[:, self.columns], dtype=np.float32)
        sums = np.asarray(selected.sum(axis=1), dtype=np.float64).ravel()
        scale = np.divide(self.target_sum, sums, out=np.zeros_like(sums), where=sums > 0)
        selected.data = np.log1p(selected.data * np.repeat(scale, np.diff(selected.indptr)).astype(np.float32))
        selected.eliminate_zeros()
        return selected


@dataclass(frozen=True)
class Background:
    """Mean and spread of each gene in the background: the corpus, combined with the sample if there is one."""

    level: Float[np.ndarray, " gene"]
    spread: Float[np.ndarray, " gene"]
    """At least `MIN_SPREAD`."""

    def clip(self, log_expr: sparse.csr_matrix) -> sparse.csr_matrix:
        """Clip values more than `MAX_Z_SCORE` spreads above the level."""
        upper = (self.level + MAX_Z_SCORE * self.spread).astype(np.float32)
        return sparse.csr_matrix(
            (np.minimum(log_expr.data, upper[log_expr.indices]), log_expr.indices, log_expr.indptr),
            shape=log_expr.shape,
        )

    def z_scores(self, log_expr: sparse.csr_matrix) -> Float[np.ndarray, "cell gene"]:
        """Return standard scores as a dense matrix; meant for a few cells."""
        return ((self.clip(log_expr).toarray() - self.level) / self.spread).astype(np.float32)


def estimate_background(
    head: SignatureHead, blocks: Iterable[sparse.csr_matrix], weights: Iterator[NDArray[np.float64]] | None = None
) -> Background:
    """Estimate the background of the sample, shrunk towards that of the corpus (`PRIOR_CELLS`, `MIN_PRIOR_WEIGHT`).

    Parameters
    ----------
    blocks
        Log expression of the sample's cells, (cell, gene of the model), block by block; empty rows do not count.
    weights
        For each block, the weights of its cells in the level; equal by default. The spread always weights all cells
        equally.
    """
    n_genes = len(head.level)
    total, weighted, squares = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    n_cells, weight_sum = 0, 0.0
    for log_expr in blocks:
        nonempty = np.diff(log_expr.indptr) > 0
        weight = nonempty.astype(np.float64) if weights is None else np.where(nonempty, next(weights), 0.0)
        total += np.asarray(log_expr.sum(axis=0)).ravel()
        weighted += np.asarray(log_expr.T @ weight).ravel()
        squares += np.asarray(log_expr.multiply(log_expr).sum(axis=0)).ravel()
        n_cells, weight_sum = n_cells + int(nonempty.sum()), weight_sum + float(weight.sum())
    corpus_level, corpus_spread = head.level.numpy().astype(np.float64), head.spread.numpy().astype(np.float64)
    if n_cells == 0 or weight_sum <= 0:
        return Background(corpus_level, np.sqrt(corpus_spread**2 + MIN_SPREAD**2))
    prior_weight = (PRIOR_CELLS + MIN_PRIOR_WEIGHT * n_cells) / (PRIOR_CELLS + n_cells)
    variance = np.maximum(squares / n_cells - (total / n_cells) ** 2, 0)
    level = (1 - prior_weight) * weighted / weight_sum + prior_weight * corpus_level
    return Background(level, np.sqrt((1 - prior_weight) * variance + prior_weight * corpus_spread**2 + MIN_SPREAD**2))


def out_of_candidate_types(known_types: Sequence[str], candidates: Sequence[str]) -> Bool[np.ndarray, " type"]:
    """Mark the known types outside the candidates: those that are neither a candidate nor related to one.

    A subtype or an ancestor of a candidate may be what the candidate means.

    Parameters
    ----------
    known_types, candidates
        Cell Ontology ids; "" for a candidate whose text names no type.
    """
    return np.asarray(~related(known_types, candidates).any(axis=1))


def open_set_margin(
    best: Float[np.ndarray, " cell"], scores: Float[np.ndarray, "cell competitor"]
) -> Float[np.ndarray, " cell"]:
    """Margin of the best candidate over the best known type outside the candidates, in units of the scores (ours).

    The nearest candidate may still be wrong (liver types offered for blood). If a known type outside the list scores
    higher, no candidate fits.

    Parameters
    ----------
    best
        Score of each cell's best candidate, on the same scale as ``scores``.
    scores
        Scores of the known types outside the candidates (`out_of_candidate_types`).

    Returns
    -------
    Below 0 where an outside type scores higher; 0 if there is no outside type; NaN for a cell without expression.
    """
    if not scores.shape[1]:
        return np.where(np.isnan(best), np.nan, 0.0).astype(np.float32)
    return (best - scores.max(axis=1)).astype(np.float32)


def log_odds(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    """Log odds of a probability, kept finite by `ODDS_EPSILON`."""
    return np.log((probability + ODDS_EPSILON) / (1 - probability + ODDS_EPSILON))


def sigmoid(odds: NDArray[np.floating]) -> NDArray[np.floating]:
    """Probability from log odds."""
    return 1 / (1 + np.exp(-odds))


def signed_sqrt(margin: NDArray[np.floating]) -> NDArray[np.floating]:
    """Signed square root of a margin: the first few standard scores carry most of the information."""
    return np.sign(margin) * np.sqrt(np.abs(margin))


def confidence_from_margin(
    probability: Float[np.ndarray, " cell"], margin: Float[np.ndarray, " cell"], coefficients: Mapping[str, Any]
) -> Float[np.ndarray, " cell"]:
    """Probability that the best candidate is right: ``logit P = top logit(p) + lead sqrt(m) + bias``.

    p is the candidate's probability and m its margin, whose root has the sign of m.

    The three coefficients are fitted on held-out studies, with all their types among the candidates, with one type removed,
    and with the types of other studies (`okrcell.training.calibration`). NaN for a cell without expression.

    Raises
    ------
    CheckpointError
        If a coefficient is missing or not a number.
    """
    try:
        top, margin_weight, bias = (float(coefficients[name]) for name in CONFIDENCE_COEFFICIENTS)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.") from None
    return sigmoid(top * log_odds(probability) + margin_weight * signed_sqrt(margin) + bias).astype(np.float32)


@dataclass(frozen=True)
class SignatureContrast:
    """Signatures of the candidates on the measured genes, their mean, which scores subtract, and the variation within types.

    With main axes V of the variation within types and their variances L (`okrcell.model.signatures.TypeVariation`), the score
    of signature u for relative expression z is ``z A d / sqrt(d A d)``, with d = u - mean and
    ``A = 1 - V (1 / L + V' V)^-1 V'``: the inverse of the covariance ``1 + V L V'``, as in linear discriminant analysis. What
    varies among the cells of one type, such as the cell cycle, then counts less.
    """

    signatures: sparse.csr_matrix
    """(candidate, gene): unit rows; a row of which little was measured is shorter."""
    mean_signature: Float[np.ndarray, " gene"]
    """Mean of the candidates' rows, which separates no two of them. Zero for a single candidate."""
    axes: Float[np.ndarray, "gene axis"] | None = None
    """Main axes of the variation within types, 0 for a gene that was not measured; None without them."""
    damping: Float[np.ndarray, "axis axis"] | None = None
    """``(1 / L + V' V)^-1``."""

    @classmethod
    def from_signatures(
        cls,
        signatures: sparse.csr_matrix,
        measured: Bool[np.ndarray, " gene"],
        variation: TypeVariation | None = None,
    ) -> Self:
        """Restrict signatures and axes to the measured genes and compute the mean over candidates."""
        restricted = restrict_to_panel(signatures, measured)
        several = len(restricted.indptr) > 2
        mean = np.asarray(restricted.mean(axis=0)).ravel() if several else np.zeros(len(measured))
        if variation is None:
            return cls(restricted, mean)
        axes = variation.axes * measured[:, None]
        return cls(restricted, mean, axes, np.linalg.inv(np.diag(1 / variation.variances) + axes.T @ axes))

    def scores(
        self, log_expr: sparse.csr_matrix, background: Background, other_signatures: sparse.csr_matrix | None = None
    ) -> Float[np.ndarray, "cell candidate"]:
        """Score cells for the candidates, or for ``other_signatures``, relative to the candidates' mean.

        Rows of ``other_signatures`` are from `restrict_to_panel`.
        """
        signatures = self.signatures if other_signatures is None else other_signatures
        products = _standardized_products(
            log_expr, background, sparse.csr_matrix(sparse.vstack([signatures, sparse.csr_matrix(self.mean_signature)]))
        )
        products = products[:, :-1] - products[:, -1:]
        # Norm of own - common, computed without a dense copy of own.
        squared = np.asarray(signatures.multiply(signatures).sum(axis=1)).ravel() + (self.mean_signature**2).sum()
        squared = squared - 2 * (signatures @ self.mean_signature)
        if self.axes is not None and self.damping is not None:
            loadings = signatures @ self.axes - self.mean_signature @ self.axes
            damped = loadings @ self.damping
            products -= _standardized_products(log_expr, background, sparse.csr_matrix(self.axes.T)) @ damped.T
            squared = squared - (damped * loadings).sum(axis=1)
        return products / np.maximum(np.sqrt(np.maximum(squared, 0)), MIN_NORM)

    def gene_weights(self, difference: Float[np.ndarray, " gene"]) -> tuple[Float[np.ndarray, " gene"], float]:
        """Weights of the genes for a difference d of signature and mean, ``A d``, and the norm that scores are divided by."""
        weights = difference
        if self.axes is not None and self.damping is not None:
            weights = difference - self.axes @ (self.damping @ (self.axes.T @ difference))
        return weights, max(float(np.sqrt(max(difference @ weights, 0.0))), MIN_NORM)


def restrict_to_panel(signatures: sparse.csr_matrix, measured: Bool[np.ndarray, " gene"]) -> sparse.csr_matrix:
    """Restrict signatures to the measured genes and normalize rows to unit length (norms below `MIN_NORM` stay shorter)."""
    restricted = sparse.csr_matrix(signatures.multiply(measured.astype(np.float32)[None, :]))
    restricted.eliminate_zeros()
    length = np.sqrt(np.asarray(restricted.multiply(restricted).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, MIN_NORM)) @ restricted)


def balanced_background(head: SignatureHead, log_expr: sparse.csr_matrix, contrast: SignatureContrast) -> Background:
    """Background of a sample if all candidates in it were equally frequent (ours).

    The mean of a sample of 90 % T cells is close to a T cell, and no gene then marks one. Cells are therefore scored and
    weighted by the inverse frequency of their type, and the mean is estimated again.
    """
    background = estimate_background(head, [log_expr])
    nonempty = np.diff(log_expr.indptr) > 0
    if len(contrast.signatures.indptr) < 3 or nonempty.sum() < 2:
        return background
    for _ in range(BACKGROUND_ITERATIONS):
        scores = contrast.scores(log_expr, background)
        assignment = softmax(scores * (ASSIGNMENT_SHARPNESS / max(float(scores[nonempty].std()), 1e-9)), axis=1)
        effective_counts = assignment[nonempty].sum(axis=0) + PSEUDOCOUNT_FRACTION * int(nonempty.sum())
        background = estimate_background(head, [log_expr], iter([(assignment / effective_counts).sum(axis=1)]))
    return background


def _standardized_products(
    log_expr: sparse.csr_matrix, background: Background, signatures: sparse.csr_matrix
) -> NDArray[np.float64]:
    # Sum of (x - level) / spread * w, computed without a dense copy of x.
    weights = sparse.csr_matrix(signatures.multiply((1 / background.spread)[None, :]))
    at_zero = weights @ background.level
    clipped = background.clip(log_expr)
    n_types, n_genes = cast("tuple[int, int]", weights.shape)
    use_dense = n_types < MIN_SPARSE_ROWS or weights.nnz > MAX_SPARSE_DENSITY * n_types * n_genes
    product = clipped @ weights.T.toarray() if use_dense else cast("sparse.csr_matrix", clipped @ weights.T).toarray()
    return np.asarray(product, dtype=np.float64) - at_zero
