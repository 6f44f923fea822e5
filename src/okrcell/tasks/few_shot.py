"""Few-shot annotation: label all cells of a sample from a few labelled cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import softmax

from okrcell.cells.expression import Expression
from okrcell.cells.neighbors import diffuse_over_knn
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.classifier import fit_head, fit_inverse_temperature, fit_text_weight, read_labels, text_logits
from okrcell.tasks.confidence import Prediction, calibrated_temperature, predict
from okrcell.tasks.features import FeatureSet, compute_features, knn_affinity, scale_total_variance

SMOOTHING_ROUNDS = 4
"""Number of smoothing rounds over the kNN affinity; each moves a cell half the way to its neighbours (method 11.5)."""
DETAIL_WEIGHT = 0.5
"""Weight of a cell's own components relative to the smoothed features."""


@dataclass(frozen=True)
class SampleFeatures:
    """Features of a sample that do not depend on the labels; reusable for several sets of examples."""

    feature_set: FeatureSet
    features: Float[np.ndarray, "measured feature"]
    """Input features of the linear head."""
    smoothed_vectors: Float[np.ndarray, "measured dim"]
    """Model vectors, smoothed over neighbours."""
    temperature: float
    """Temperature of the similarity to label texts."""
    embedder: Embedder = field(repr=False)
    seed: int = 0
    text_vector_cache: dict[tuple[Candidate, ...], Float[np.ndarray, "name dim"]] = field(
        default_factory=dict, repr=False
    )
    """Cached text vectors of candidates."""

    def text_vectors(self, candidates: tuple[Candidate, ...]) -> Float[np.ndarray, "name dim"]:
        """Return a unit vector for each candidate; computed once."""
        if candidates not in self.text_vector_cache:
            self.text_vector_cache[candidates] = candidate_vectors(candidates, self.embedder)
        return self.text_vector_cache[candidates]


@dataclass(frozen=True)
class FewShotPrediction:
    """Predictions for all cells, from a few labelled examples."""

    names: tuple[str, ...]
    """Distinct labels of the examples, sorted."""
    candidates: tuple[Candidate, ...]
    """The same labels with their texts and Cell Ontology ids."""
    probability: Float[np.ndarray, "cell name"]
    """Rows sum to 1; NaN for a cell without expression."""
    prediction: Prediction
    n_examples: NDArray[np.intp]
    """Number of examples of each label."""
    text_weight: float
    """Fitted weight of the label texts; 1 is the weight at the model's own temperature."""
    model_weight: float
    """Weight of the model vectors relative to the sample's own components, in [0, 1]."""


def annotate_few_shot(
    expression: Expression,
    examples: Sequence[str] | NDArray[np.str_],
    embedder: Embedder,
    seed: int = 0,
    *,
    label_texts: Mapping[str, Sequence[str]] | None = None,
    label_ids: Mapping[str, str] | None = None,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    sample_features: SampleFeatures | None = None,
    progress: Progress | None = None,
) -> FewShotPrediction:
    """Predict the label of every cell by a linear head with a text prior, semi-supervised over the whole sample.

    Ours. Features are principal components of expression and the model vectors; the weight of the latter is the part of
    their variance that neighbours in the sample explain. Features are smoothed over neighbours, so that one example informs
    its neighbourhood (method 11.5). The head starts from the similarity to the label texts, weighted by how well they
    predict the examples. The result depends on the whole sample: a cell's prediction may change when other cells are added.

    Parameters
    ----------
    expression
        Expression of the cells.
    examples
        Label of each cell, "" for an unlabelled cell. Names, Cell Ontology ids or free text.
    embedder
        Model that embeds cells and label texts.
    seed
        Random seed of the features and of the calibration folds.
    label_texts
        Texts of each label; by default those of the ontology term that it names, else the label itself.
    label_ids
        Cell Ontology id of each label; by default that of the term that it names.
    vectors
        Model vectors of the cells; computed if not passed.
    sample_features
        Features from `compute_sample_features`, to be reused for several sets of examples of one sample.
    progress
        Called with the number of embedded cells and their total.

    Raises
    ------
    InputError
        If there is not one label per cell, no cell has a label, or no labelled cell has expression.
    """
    labels = read_labels(examples, label_texts, label_ids)
    if len(labels.label_idx) != expression.n_cells:
        raise InputError(
            f"There are {len(labels.label_idx):,} labels for {expression.n_cells:,} cells. Pass one per cell, '' for none."
        )
    if sample_features is None:
        sample_features = compute_sample_features(expression, embedder, seed, vectors=vectors, progress=progress)
    has_expression = sample_features.feature_set.has_expression[0]
    label_idx = labels.label_idx[has_expression]
    labeled = np.flatnonzero(label_idx >= 0)
    if not len(labeled):
        raise InputError("No labelled cell expresses a gene of the model's vocabulary. Label other cells.")
    label_text_logits = text_logits(
        sample_features.smoothed_vectors, sample_features.text_vectors(labels.candidates), sample_features.temperature
    )
    text_weight = fit_text_weight(label_text_logits[labeled], label_idx[labeled])
    prior_logits, features = text_weight * label_text_logits, sample_features.features
    head = fit_head(features[labeled], label_idx[labeled], prior_logits[labeled])
    logits = head.logits(features, prior_logits) * fit_inverse_temperature(
        features[labeled], label_idx[labeled], prior_logits[labeled], sample_features.seed
    )
    probability = np.full((expression.n_cells, len(labels.names)), np.nan, dtype=np.float32)
    probability[has_expression] = softmax(logits, axis=1)
    return FewShotPrediction(
        labels.names,
        labels.candidates,
        probability,
        predict(probability, labels.candidates),
        np.bincount(label_idx[labeled], minlength=len(labels.names)),
        text_weight,
        sample_features.feature_set.model_weight,
    )


def compute_sample_features(
    expression: Expression,
    embedder: Embedder,
    seed: int = 0,
    *,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    progress: Progress | None = None,
) -> SampleFeatures:
    """Compute the features of a sample that do not depend on labels."""
    if vectors is None:
        vectors = embedder.embed_cells(expression, progress)
    feature_set = compute_features([expression], [vectors], seed)
    affinity = knn_affinity(feature_set.features, seed)
    features = np.hstack(
        [
            scale_total_variance(diffuse_over_knn(feature_set.features, affinity, SMOOTHING_ROUNDS)),
            DETAIL_WEIGHT * scale_total_variance(feature_set.log_components),
        ]
    )
    softmax_temperature = calibrated_temperature(embedder.facts, embedder.n_measured_genes(expression))
    return SampleFeatures(
        feature_set,
        features,
        diffuse_over_knn(feature_set.vectors, affinity, SMOOTHING_ROUNDS),
        softmax_temperature,
        embedder,
        seed,
    )
