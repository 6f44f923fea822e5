"""Select the Cell Ontology types that are present in a sample, out of all types that a model knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression, iter_rows
from okrcell.cells.neighbors import knn_graph, smooth_over_knn
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.errors import CheckpointError, InputError
from okrcell.knowledge.cell_type_tissues import CellTypeTissues
from okrcell.model.embedder import Embedder, Progress
from okrcell.model.marker_scores import MIN_SPREAD, Background, GenePanel, SignatureContrast, estimate_background
from okrcell.model.sample_scores import background_rows
from okrcell.model.signatures import SignatureHead
from okrcell.ontology.ontology import ontology
from okrcell.ontology.standardise import resolve_tissue
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate, default_candidates, parse_candidates
from okrcell.tasks.confidence import Prediction, concat, estimate_confidence, predict, probabilities
from okrcell.tasks.zero_shot import CELL_CHUNK_SIZE, MIN_SMOOTHING_CELLS, annotate_zero_shot

TISSUE_COLUMNS = ("tissue", "tissue_ontology_term_id")
MAX_TISSUES = 200
"""A column with more distinct values is taken for sample names or positions, and is ignored."""
TYPE_TISSUES_KEY = "type_places"
"""Key of the tissues of each type in the metadata of a model (`okrcell.knowledge.cell_type_tissues`)."""


MIN_TYPE_FRACTION = 0.005
"""A type is selected if at least this fraction of cells has it as prediction."""
MIN_MEAN_PROBABILITY = 0.02
"""A type is also selected if its mean probability is at least this; it matters in small samples."""
STEP_UTILITY = (1.0, 0.5, 0.2)
"""Utility of a prediction that is right, or one or two steps broader or narrower than the truth."""


@dataclass(frozen=True)
class OpenVocabularyWeights:
    """Weights of annotation without candidates, which the model brings under ``calibration.open_vocabulary``.

    ``scripts/fit_open_vocabulary.py`` chooses them on pretraining studies with signatures that were fitted without the study.
    The defaults are for models that do not have them, such as the bundled one: they were chosen likewise for the model before.
    """

    similarity: float = 10.0
    """Weight of the similarity relative to the signature score."""
    temperature: float = 1.5
    """Softmax temperature of the scores."""
    prior: float = 0.75
    """Weight of the log prior of types."""
    corpus: float = 0.25
    """Additional weight of the corpus background. Without candidates the cells may all be of one type, and a sample of one type
    does not give a background."""
    top: float = 0.41
    bias: float = 0.09
    """Coefficients of the confidence: of the log odds of the probability, and the intercept."""

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Read the weights from the metadata of a model.

        Raises
        ------
        CheckpointError
            If a weight is unknown or not a number.
        """
        values = facts.get("calibration", {}).get("open_vocabulary", {})
        try:
            weights = cls(**{name: float(value) for name, value in values.items()})
        except (AttributeError, TypeError, ValueError):
            raise CheckpointError("The model's calibration is damaged; fetch the model again.") from None
        return weights

    @property
    def confidence(self) -> dict[str, float]:
        """Coefficients for `estimate_confidence`; there are no types outside the candidates, and no margin."""
        return {"top": self.top, "lead": 0.0, "bias": self.bias}


@dataclass(frozen=True)
class TissuePrior:
    """Log prior of each cell type, for the cells of a file."""

    tissues: tuple[str, ...]
    """Uberon ids, "" for none."""
    tissue_idx: NDArray[np.intp]
    """Index of each cell's tissue."""
    log_prob: Float[np.ndarray, "tissue type"]

    @classmethod
    def from_facts(
        cls, facts: Mapping[str, Any], types: Sequence[str], tissue: str | Sequence[str] | None, n_cells: int
    ) -> Self:
        """Build the prior from the metadata of a model; it is uniform if the model has no tissues of types.

        Parameters
        ----------
        facts
            Metadata of the model.
        types
            Cell Ontology ids of the types.
        tissue
            Uberon id of all cells or of each cell; "" or None if unknown.
        n_cells
            Number of cells.

        Raises
        ------
        InputError
            If there are not as many tissues as cells.
        """
        values = (
            [tissue or ""] * n_cells if tissue is None or isinstance(tissue, str) else [str(name) for name in tissue]
        )
        if len(values) != n_cells:
            raise InputError(
                f"tissue has {len(values):,} values, but there are {n_cells:,} cells. Pass one per cell, or one for all."
            )
        tissues, tissue_idx = np.unique(np.array(values, dtype=np.str_), return_inverse=True)
        type_tissues = CellTypeTissues.from_dict(facts.get(TYPE_TISSUES_KEY))
        log_prob = [np.log(type_tissues.prior(types, str(name))) for name in tissues]
        return cls(
            tuple(tissues.tolist()), tissue_idx.astype(np.intp), np.array(log_prob).reshape(len(tissues), len(types))
        )

    def at(self, rows: NDArray[np.intp] | slice, types: NDArray[np.intp] | slice) -> Float[np.ndarray, "cell type"]:
        """Return the log prior of a subset of cells and types."""
        return self.log_prob[self.tissue_idx[rows]][:, types]


def read_tissues(obs: pd.DataFrame) -> NDArray[np.str_]:
    """Read each cell's tissue from the columns "tissue" and "tissue_ontology_term_id": Uberon id, "" if unknown.

    Names are mapped to their terms (`okrcell.ontology.standardise`); a name that is no tissue gives "".
    """
    if not len(obs) or not any(column in obs for column in TISSUE_COLUMNS):
        return np.full(len(obs), "", dtype="<U16")
    values = [
        obs[column].astype(object).fillna("").astype(str) if column in obs else [""] * len(obs)
        for column in TISSUE_COLUMNS
    ]
    code, distinct = pd.factorize(pd.MultiIndex.from_arrays(values))
    if len(distinct) > MAX_TISSUES:
        return np.full(len(obs), "", dtype="<U16")
    terms = [resolve_tissue(label, term_id) for label, term_id in distinct]
    return np.array([term.id if term else "" for term in terms], dtype="<U16")[code]


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
    weights: OpenVocabularyWeights,
) -> SelectedTypes:
    """Select the types that fit a sample (ours).

    A subset of cells is compared with every type that has a signature, by signature score, similarity and the prior of the
    type in the tissue. The prediction of a cell is the type with the highest expected utility (`ontology_utility`): a
    prediction one step away from the truth has half the utility of a right one, so a type that is too fine is replaced by
    its parent.

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
    weights
        Weights of the model.
    """
    rows = background_rows(len(cell_vectors))
    rows = rows[~np.isnan(cell_vectors[rows]).any(axis=1)]
    signatures = head.combined
    informative = np.flatnonzero(np.diff(sparse.csr_matrix(signatures.multiply(panel.measured[None, :])).indptr) > 0)
    contrast = SignatureContrast.from_signatures(
        sparse.csr_matrix(signatures[informative]), panel.measured, head.variation
    )
    log_expr = sparse.csr_matrix(sparse.vstack([panel.log_normalize(block) for block in iter_rows(expression, rows)]))
    background = shrink_to_corpus(estimate_background(head, [log_expr]), head, weights.corpus)
    if not len(rows) or not len(informative):
        return SelectedTypes(np.zeros(0, dtype=np.intp), contrast.signatures[:0], contrast, background)
    scores = contrast.scores(log_expr, background) + weights.similarity * (cell_vectors[rows] @ vectors[informative].T)
    if smoother is not None:
        scores = smoother.smooth(scores, rows)
    type_prob = probabilities(
        scores + weights.temperature * weights.prior * prior.at(rows, informative), weights.temperature
    )
    best_idx = (type_prob @ ontology_utility([head.types[idx] for idx in informative])).argmax(axis=1)
    frequency = np.bincount(best_idx, minlength=len(informative)) / len(rows)
    mean_prob = type_prob.mean(axis=0)
    selected = np.flatnonzero((frequency >= MIN_TYPE_FRACTION) | (mean_prob >= MIN_MEAN_PROBABILITY))
    selected = selected[np.lexsort((-mean_prob[selected], -frequency[selected]))]
    return SelectedTypes(informative[selected], sparse.csr_matrix(contrast.signatures[selected]), contrast, background)


def shrink_to_corpus(background: Background, head: SignatureHead, weight: float) -> Background:
    """Shrink the background of a sample further to that of the corpus, which gets ``weight``, in [0, 1]."""
    level, corpus_spread = head.level.numpy().astype(np.float64), head.spread.numpy().astype(np.float64)
    spread = (1 - weight) * background.spread**2 + weight * (corpus_spread**2 + MIN_SPREAD**2)
    return Background((1 - weight) * background.level + weight * level, np.sqrt(spread))


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


@dataclass(frozen=True)
class OpenVocabularyPrediction:
    """Predictions without given candidates, with the types selected for the sample."""

    candidates: tuple[Candidate, ...]
    """Types selected for the sample, most frequent first."""
    scores: Float[np.ndarray, "cell candidate"]
    """Scores from which the probabilities are computed; NaN for a cell without expression."""
    probability: Float[np.ndarray, "cell candidate"]
    """Rows sum to 1, or are NaN."""
    prediction: Prediction
    """Its confidence is the probability that a cell is of this type or of a descendant."""
    facts: dict[str, Any]
    """Entries of the provenance record."""
    competitor: NDArray[np.int32] | None = None
    """Not computed: the candidates are chosen from all known types."""


def annotate_open_vocabulary(
    expression: Expression,
    embedder: Embedder,
    tissue: str | Sequence[str] | None = None,
    *,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    smooth: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> OpenVocabularyPrediction:
    """Select the Cell Ontology types that fit a sample (`select_types`), and assign one to each cell.

    Parameters
    ----------
    expression
        Expression of the cells.
    embedder
        Model with signatures; a model without signatures compares with the types of its training data.
    tissue
        Uberon id of the sample, or of each cell, "" if unknown. It changes the prior of the types and excludes none.
    vectors
        Unit vectors of the cells from the model; computed if not passed.
    smooth
        Average each cell's scores over its k nearest neighbours.
    seed
        Random seed of the approximate neighbour search in very large samples.
    progress
        Called with the number of embedded cells and their total.

    Raises
    ------
    InputError
        If the model has no signatures and does not list the types it was trained on.
    """
    cell_vectors = embedder.embed_cells(expression, progress) if vectors is None else vectors
    head = embedder.signatures
    if head is None:
        return _annotate_training_types(expression, embedder, cell_vectors)
    types, weights = parse_candidates(head.types), OpenVocabularyWeights.from_facts(embedder.facts)
    type_vectors = head.vectors.numpy()
    prior = TissuePrior.from_facts(embedder.facts, head.types, tissue, expression.n_cells)
    smoother = KNNSmoother(expression, seed) if smooth else None
    panel = embedder.gene_panel(expression)
    selected_types = select_types(expression, head, panel, cell_vectors, type_vectors, prior, smoother, weights)
    # Without any cell with expression there are no types; one column is kept so that arrays are not empty.
    type_idx = selected_types.type_idx if len(selected_types.type_idx) else np.zeros(1, dtype=np.intp)
    selected_candidates = [types[idx] for idx in type_idx]
    scores = np.full((expression.n_cells, len(selected_candidates)), np.nan, dtype=np.float32)
    start = 0
    for block in expression.blocks() if len(selected_types.type_idx) else ():
        signature_scores = selected_types.signature_scores(panel.log_normalize(block))
        rows = slice(start, start + len(signature_scores))
        scores[rows] = signature_scores + weights.similarity * (cell_vectors[rows] @ type_vectors[type_idx].T)
        start = rows.stop
    if smoother is not None:
        scores = smoother.smooth(scores, np.arange(len(cell_vectors)))
    probability, predictions = np.empty_like(scores), list[Prediction]()
    # In blocks, so that memory is bounded by the scores.
    for start in range(0, max(len(scores), 1), CELL_CHUNK_SIZE):
        block = slice(start, start + CELL_CHUNK_SIZE)
        scores[block] += weights.temperature * weights.prior * prior.at(block, type_idx)
        probability[block] = probabilities(scores[block], weights.temperature)
        no_margin = np.zeros(len(probability[block]), dtype=np.float32)
        confidence = estimate_confidence(probability[block], selected_candidates, no_margin, weights.confidence)
        predictions.append(predict(probability[block], selected_candidates, confidence))
    facts = {
        "temperature": weights.temperature,
        "evidence_of_genes": True,
        "compared_with": "the sample, and the corpus",
        "smoothed_over_neighbours": smoother is not None and smoother.used,
        "types_considered": len(types),
        "tissues_as_prior": [name for name in prior.tissues if name],
    }
    return OpenVocabularyPrediction(tuple(selected_candidates), scores, probability, concat(predictions), facts)


def _annotate_training_types(
    expression: Expression, embedder: Embedder, cell_vectors: Float[np.ndarray, "cell dim"]
) -> OpenVocabularyPrediction:
    """Annotate with the training types of a model without signatures."""
    candidates = default_candidates(embedder)
    result = annotate_zero_shot(expression, candidates, embedder, vectors=cell_vectors)
    return OpenVocabularyPrediction(
        result.candidates,
        result.scores,
        result.probability,
        result.prediction,
        {**result.facts, "types_considered": len(candidates)},
    )
