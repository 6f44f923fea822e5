"""Select the Cell Ontology types that are present in a sample, out of all types that a model knows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.neighbors import knn_graph, smooth_over_knn
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.cells.samples.some_cells import iter_rows
from okrcell.ontology.ontology import ontology
from okrcell.model.marker_scores import SignatureContrast
from okrcell.model.relative_expression import MIN_SPREAD, Background, GenePanel, estimate_background
from okrcell.model.signatures import SignatureHead
from okrcell.tasks.candidates import CELL_ONTOLOGY
from okrcell.tasks.confidence import probabilities
from okrcell.model.sample_scores import background_rows
from okrcell.tasks.tissue_prior import TissuePrior
from okrcell.tasks.zero_shot import MIN_SMOOTHING_CELLS

SIMILARITY_WEIGHT = 10.0
"""Weight of the similarity relative to the signature score; higher for hundreds of types than for ten candidates."""
TEMPERATURE = 1.5
PRIOR_WEIGHT = 0.75
"""Weight of the log prior of types. These three values were chosen on held-out pretraining studies
(docs/results/bundled-model.md)."""
CORPUS_WEIGHT = 0.25
"""Additional weight of the corpus background. Without candidates the cells may all be of one type, and a sample of one type
does not give a background. Chosen on the same studies."""
MIN_TYPE_FRACTION = 0.005
"""A type is selected if at least this fraction of cells has it as prediction."""
MIN_MEAN_PROBABILITY = 0.02
"""A type is also selected if its mean probability is at least this; it matters in small samples."""
STEP_UTILITY = (1.0, 0.5, 0.2)
"""Utility of a prediction that is right, or one or two steps broader or narrower than the truth."""


@dataclass(frozen=True)
class SelectedTypes:
    """Types selected for a sample, with the parameters to score its cells."""

    type_idx: NDArray[np.intp]
    """Indices of the selected types among the known types, most frequent first; empty for a sample without expression."""
    signatures: sparse.csr_matrix
    """(type, gene): signatures of the selected types, on the measured genes."""
    contrast: SignatureContrast
    """Contrast of all known types."""
    background: Background

    def signature_scores(self, log_expr: sparse.csr_matrix) -> Float[np.ndarray, "cell type"]:
        """Signature scores of cells for the selected types, relative to all known types; NaN for a cell without expression."""
        scores = self.contrast.scores(log_expr, self.background, self.signatures)
        return np.where((np.diff(log_expr.indptr) > 0)[:, None], scores, np.nan).astype(np.float32)


@dataclass
class KNNSmoother:
    """Smoothing over the kNN graph of a sample; sample components are computed on first use."""

    expression: Expression
    seed: int
    _points: NDArray[np.float32] | None = field(default=None, init=False)

    @property
    def used(self) -> bool:
        """Whether any values were smoothed."""
        return self._points is not None

    def smooth(
        self, values: Float[np.ndarray, "cell value"], rows: NDArray[np.intp]
    ) -> Float[np.ndarray, "cell value"]:
        """Smooth the values of the cells ``rows`` over their neighbours; few cells, and empty cells, are not changed."""
        measured_rows = np.flatnonzero(~np.isnan(values).any(axis=1))
        if len(measured_rows) < MIN_SMOOTHING_CELLS:
            return values
        if self._points is None:
            self._points = sample_pca(self.expression, N_COMPONENTS)
        graph = knn_graph(self._points[rows[measured_rows]], seed=self.seed)
        smoothed = values.copy()
        smoothed[measured_rows] = smooth_over_knn(values[measured_rows], graph)
        return smoothed


def select_types(
    expression: Expression,
    head: SignatureHead,
    panel: GenePanel,
    cell_vectors: Float[np.ndarray, "cell dim"],
    vectors: Float[np.ndarray, "type dim"],
    prior: TissuePrior,
    smoother: KNNSmoother | None,
) -> SelectedTypes:
    """Select the types that fit a sample (ours).

    A subset of cells is compared with every type that has a signature, by signature score, similarity and the prior of the
    type in the tissue. The prediction of a cell is the type with the highest expected utility (`ontology_utility`): a prediction one
    step away from the truth has half the utility of a right one, so a type that is too fine is replaced by its parent.

    Parameters
    ----------
    expression
        Expression of the cells.
    head
        Signatures of the known types.
    panel
        Measured genes of the file.
    cell_vectors
        Unit vectors of the cells, NaN for a cell without expression.
    vectors
        Unit vectors of the types of ``head``.
    prior
        Log prior of the types in the tissue of each cell.
    smoother
        Smoothing over neighbours; None for no smoothing.
    """
    rows = background_rows(len(cell_vectors))
    rows = rows[~np.isnan(cell_vectors[rows]).any(axis=1)]
    signatures = head.combined
    informative = np.flatnonzero(np.diff(sparse.csr_matrix(signatures.multiply(panel.measured[None, :])).indptr) > 0)
    contrast = SignatureContrast.from_signatures(sparse.csr_matrix(signatures[informative]), panel.measured)
    log_expr = sparse.csr_matrix(sparse.vstack([panel.log_normalize(block) for block in iter_rows(expression, rows)]))
    background = shrink_to_corpus(estimate_background(head, [log_expr]), head)
    if not len(rows) or not len(informative):
        return SelectedTypes(np.zeros(0, dtype=np.intp), contrast.signatures[:0], contrast, background)
    scores = contrast.scores(log_expr, background) + SIMILARITY_WEIGHT * (cell_vectors[rows] @ vectors[informative].T)
    if smoother is not None:
        scores = smoother.smooth(scores, rows)
    type_prob = probabilities(scores + TEMPERATURE * PRIOR_WEIGHT * prior.at(rows, informative), TEMPERATURE)
    best_idx = (type_prob @ ontology_utility([head.types[idx] for idx in informative])).argmax(axis=1)
    frequency = np.bincount(best_idx, minlength=len(informative)) / len(rows)
    mean_prob = type_prob.mean(axis=0)
    selected = np.flatnonzero((frequency >= MIN_TYPE_FRACTION) | (mean_prob >= MIN_MEAN_PROBABILITY))
    selected = selected[np.lexsort((-mean_prob[selected], -frequency[selected]))]
    return SelectedTypes(informative[selected], sparse.csr_matrix(contrast.signatures[selected]), contrast, background)


def shrink_to_corpus(background: Background, head: SignatureHead) -> Background:
    """Shrink the background of a sample further to that of the corpus (`CORPUS_WEIGHT`)."""
    level, corpus_spread = head.level.numpy().astype(np.float64), head.spread.numpy().astype(np.float64)
    spread = (1 - CORPUS_WEIGHT) * background.spread**2 + CORPUS_WEIGHT * (corpus_spread**2 + MIN_SPREAD**2)
    return Background((1 - CORPUS_WEIGHT) * background.level + CORPUS_WEIGHT * level, np.sqrt(spread))


def ontology_utility(types: Sequence[str]) -> Float[np.ndarray, "truth answer"]:
    """Utility of each predicted type for each true type, by their distance as ancestor and descendant (`STEP_UTILITY`)."""
    cell_ontology = ontology(CELL_ONTOLOGY)
    index = {term: idx for idx, term in enumerate(types)}
    utility = np.eye(len(types), dtype=np.float32)
    for term, idx in index.items():
        for ancestor in cell_ontology.ancestors(term):
            steps = cell_ontology.distance(term, ancestor)
            if ancestor in index and steps is not None and steps < len(STEP_UTILITY):
                utility[idx, index[ancestor]] = utility[index[ancestor], idx] = STEP_UTILITY[steps]
    return utility
