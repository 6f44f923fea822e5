"""Few-shot annotation: label all cells of a sample from a few labelled cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import softmax

from okrcell.cells.expression import Expression
from okrcell.cells.samples.neighbours import smoothed
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.confidence import Answer, answer, temperature
from okrcell.tasks.examples.calibration import sharpness
from okrcell.tasks.examples.company import company
from okrcell.tasks.examples.head import fit_head
from okrcell.tasks.examples.views import Views, even, views
from okrcell.tasks.examples.words import read_labels, weight_of_words, word_logits

ROUNDS = 4
"""Number of smoothing rounds over the kNN affinity; each moves a cell half the way to its neighbours (method 11.5)."""
DETAIL = 0.5
"""Weight of a cell's own components relative to the smoothed features."""


@dataclass(frozen=True)
class Ground:
    """Features of a sample that do not depend on the labels; reusable for several sets of examples."""

    views: Views
    features: Float[np.ndarray, "measured feature"]
    """Input features of the linear head."""
    smooth: Float[np.ndarray, "measured dim"]
    """Model vectors, smoothed over neighbours."""
    temperature: float
    """Temperature of the similarity to label texts."""
    embedder: Embedder = field(repr=False)
    seed: int = 0
    read: dict[tuple[Candidate, ...], Float[np.ndarray, "name dim"]] = field(default_factory=dict, repr=False)
    """Cached text vectors of candidates."""

    def words(self, some: tuple[Candidate, ...]) -> Float[np.ndarray, "name dim"]:
        """Return a unit vector for each candidate; computed once."""
        if some not in self.read:
            self.read[some] = candidate_vectors(some, self.embedder)
        return self.read[some]


@dataclass(frozen=True)
class FewShot:
    """Predictions for all cells, from a few labelled examples."""

    names: tuple[str, ...]
    """Distinct labels of the examples, sorted."""
    candidates: tuple[Candidate, ...]
    """The same labels with their texts and Cell Ontology ids."""
    probability: Float[np.ndarray, "cell name"]
    """Rows sum to 1; NaN for a cell without expression."""
    answer: Answer
    examples: NDArray[np.intp]
    """Number of examples of each label."""
    weight_of_words: float
    """Fitted weight of the label texts; 1 is the weight at the model's own temperature."""
    weight_of_model: float
    """Weight of the model vectors relative to the sample's own components, in [0, 1]."""


def few_shot(
    expression: Expression,
    examples: Sequence[str] | NDArray[np.str_],
    embedder: Embedder,
    seed: int = 0,
    *,
    label_texts: Mapping[str, Sequence[str]] | None = None,
    label_ids: Mapping[str, str] | None = None,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    ground: Ground | None = None,
    progress: Progress | None = None,
) -> FewShot:
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
    ground
        Features from `ground_of`, to be reused for several sets of examples of one sample.
    progress
        Called with the number of embedded cells and their total.

    Raises
    ------
    InputError
        If there is not one label per cell, no cell has a label, or no labelled cell has expression.
    """
    labels = read_labels(examples, label_texts, label_ids)
    if len(labels.given) != expression.n_cells:
        raise InputError(
            f"There are {len(labels.given):,} labels for {expression.n_cells:,} cells. Pass one per cell, '' for none."
        )
    if ground is None:
        ground = ground_of(expression, embedder, seed, vectors=vectors, progress=progress)
    here = ground.views.here[0]
    given = labels.given[here]
    known = np.flatnonzero(given >= 0)
    if not len(known):
        raise InputError("No labelled cell expresses a gene of the model's vocabulary. Label other cells.")
    said = word_logits(ground.smooth, ground.words(labels.candidates), ground.temperature)
    weight = weight_of_words(said[known], given[known])
    start, features = weight * said, ground.features
    head = fit_head(features[known], given[known], start[known])
    logits = head.logits(features, start) * sharpness(features[known], given[known], start[known], ground.seed)
    probability = np.full((expression.n_cells, len(labels.names)), np.nan, dtype=np.float32)
    probability[here] = softmax(logits, axis=1)
    return FewShot(
        labels.names,
        labels.candidates,
        probability,
        answer(probability, labels.candidates),
        np.bincount(given[known], minlength=len(labels.names)),
        weight,
        ground.views.model_weight,
    )


def ground_of(
    expression: Expression,
    embedder: Embedder,
    seed: int = 0,
    *,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    progress: Progress | None = None,
) -> Ground:
    """Compute the features of a sample that do not depend on labels."""
    if vectors is None:
        vectors = embedder.embed_cells(expression, progress)
    seen = views([expression], [vectors], seed)
    near = company(seen.together, seed)
    features = np.hstack([even(smoothed(seen.together, near, ROUNDS)), DETAIL * even(seen.logs)])
    divisor = temperature(embedder.facts, embedder.measured(expression))
    return Ground(seen, features, smoothed(seen.vectors, near, ROUNDS), divisor, embedder, seed)
