"""Name all cells of a sample from a few that are labelled."""

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
"""How often a cell takes after its company, half of it remaining itself (method 11.5)."""
DETAIL = 0.5
"""What a cell's own components count for beside those it has in common with its neighbours."""


@dataclass(frozen=True)
class Ground:
    """What is known of a sample before any example is: made once, it serves any number of draws."""

    views: Views
    features: Float[np.ndarray, "here feature"]
    """What the head learns from."""
    smooth: Float[np.ndarray, "here dim"]
    """The model's vectors, each cell taking after its neighbours."""
    temperature: float
    """What similarities to words are divided by."""
    embedder: Embedder = field(repr=False)
    seed: int = 0
    read: dict[tuple[Candidate, ...], Float[np.ndarray, "name dim"]] = field(default_factory=dict, repr=False)
    """Words that were read already."""

    def words(self, some: tuple[Candidate, ...]) -> Float[np.ndarray, "name dim"]:
        """Return a unit vector for each candidate; they are read once."""
        if some not in self.read:
            self.read[some] = candidate_vectors(some, self.embedder)
        return self.read[some]


@dataclass(frozen=True)
class FewShot:
    """Names for all cells, from a few examples."""

    names: tuple[str, ...]
    """The distinct labels of the examples, sorted."""
    candidates: tuple[Candidate, ...]
    """The same with their texts and Cell Ontology ids."""
    probability: Float[np.ndarray, "cell name"]
    """Rows sum to 1; NaN for a cell without expression."""
    answer: Answer
    examples: NDArray[np.intp]
    """How many examples each name has."""
    weight_of_words: float
    """What the words of the names count for, beside 1 as the model itself would weigh them."""
    weight_of_model: float
    """What the model's vectors count for beside the sample's own components, in [0, 1]."""


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
    """Name every cell by a linear head that starts from the words of the labels and sees all cells, labelled or not.

    Ours. A cell is seen by components of its expression and by the model's vector, the latter weighing as much as the
    sample bears out; each cell takes after its neighbours, so that one example speaks for its company (method 11.5).
    The head begins with what the words of the labels say, as far as the examples bear them out. The result depends on the
    sample as a whole: other cells beside it, and a cell's answer may change.

    Parameters
    ----------
    examples
        For each cell its label, "" where it has none. Names, Cell Ontology ids or any words.
    label_texts, label_ids
        Texts that stand for a label, and its Cell Ontology id; by default what its words name there, else the label itself.
    vectors
        The model's vectors of the cells, if they are there already.
    ground
        From `ground_of`, when several sets of examples are tried on one sample.

    Raises
    ------
    InputError
        If no cell has a label, or none that has one has expression.
    """
    labels = read_labels(examples, label_texts, label_ids)
    if len(labels.given) != expression.n_cells:
        raise InputError(
            f"There are {len(labels.given):,} labels for {expression.n_cells:,} cells; give one for each, or ''."
        )
    if ground is None:
        ground = ground_of(expression, embedder, seed, vectors=vectors, progress=progress)
    here = ground.views.here[0]
    given = labels.given[here]
    known = np.flatnonzero(given >= 0)
    if not len(known):
        raise InputError("None of the labelled cells has expression that the model knows. Label other cells.")
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
    """Look at a sample before any example is known."""
    if vectors is None:
        vectors = embedder.embed_cells(expression, progress)
    seen = views([expression], [vectors], seed)
    near = company(seen.together, seed)
    features = np.hstack([even(smoothed(seen.together, near, ROUNDS)), DETAIL * even(seen.logs)])
    divisor = temperature(embedder.facts, embedder.measured(expression))
    return Ground(seen, features, smoothed(seen.vectors, near, ROUNDS), divisor, embedder, seed)
