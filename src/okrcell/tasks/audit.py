"""Label error detection: probability that each label is right, and the most likely label."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from pydantic import Field

from okrcell.settings import Settings
from okrcell.tasks.auditing.agreement import agreement
from okrcell.tasks.auditing.other_cells import LEAST, folds, foretold
from okrcell.tasks.auditing.slips import Slips, slips

EVEN = 0.5
"""A label with a lower trust is more likely wrong than right."""
OWN_DIRECTIONS = 1.5
"""Scale of the study's principal components relative to the model's vectors, in a logistic regression on both."""


class AuditSettings(Settings):
    """Settings of label error detection (ours; chosen on pretraining studies, docs/results/audit.md)."""

    rounds: Annotated[int, Field(ge=0)] = 2
    """Number of refits. Each refit weights a cell by the probability of its label relative to that of its most likely label."""
    words: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.1, 0.25, 0.5, 1.0)
    """Candidate weights of the text similarity relative to the classifier; the weight with the highest likelihood of the
    labels is chosen per study. (0,) ignores the texts."""
    sharpness: Annotated[float, Field(gt=0)] = 0.05
    """sigma of the match probability of cells and texts (E9)."""
    fewest: Annotated[int, Field(ge=1)] = 5
    """A label with fewer cells in its study is not learned by the classifier; its cells are scored by text similarity only."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed of the cross-validation folds."""


@dataclass(frozen=True)
class Audit:
    """Result of label error detection for one study; arrays over cells."""

    trust: Float[np.ndarray, "cell"]
    """Probability that the label, or a broader or narrower term of it, is right, in [0, 1]; NaN for a cell without label or
    expression."""
    likely: NDArray[np.intp]
    """Index of the most likely label; -1 for a cell without expression."""
    share: Float[np.ndarray, "cell"]
    """Probability of ``likely``, computed without the cell's own label; NaN for a cell without expression."""
    doubtful: NDArray[np.bool_]
    """True where trust is below 0.5 and ``likely`` is neither the label nor a broader or narrower term of it."""
    agreed: Float[np.ndarray, "cell"]
    """Match probability r of the cell and the texts of its label, in [0, 1] (E9); NaN for a cell without label."""
    weight_of_words: float
    """Chosen weight of the text similarity; the classifier has weight 1."""
    slips: Slips | None
    """Estimated confusion of true and written labels; None if no cell has a label."""

    @property
    def expected_wrong(self) -> float:
        """Expected number of wrong labels: the sum of 1 - trust."""
        return float(np.nansum(1 - self.trust))


def audit(
    cells: Float[np.ndarray, "cell dim"],
    own: Float[np.ndarray, "cell component"],
    labels: Float[np.ndarray, "label dim"],
    given: NDArray[np.integer],
    related: Bool[np.ndarray, "label label"],
    groups: NDArray[np.str_] | None = None,
    settings: AuditSettings | None = None,
) -> Audit:
    """Estimate for each cell of one study the probability that its label is right.

    Two scores that do not use the cell's own label are combined: cross-validated predictions of a classifier
    (`cross_val_predict_proba`), and the match probability of cells and label texts (`match_probability`). These and the
    written labels give the confusion of true and written labels (`fit_noise_transition`), and from it the probability that a
    label is right. The classifier is refitted several times; cells with an unlikely label get a lower weight in each refit.

    Parameters
    ----------
    cells
        Unit vectors of the cells from the model, NaN for a cell without expression.
    own
        Principal components of the study (`okrcell.tasks.auditing.directions`).
    labels
        Unit vector of the texts of each label.
    given
        Index of each cell's label in ``labels``, -1 for a cell without label.
    related
        True where one label is the same as, broader or narrower than the other; true on the diagonal.
    groups
        Donor or batch of each cell. If passed, a cell is never scored by a classifier that was fitted on its own group.
    """
    settings = AuditSettings() if settings is None else settings
    given = np.asarray(given, dtype=np.int64)
    here = np.asarray(~np.isnan(cells).any(axis=1))
    labelled = here & (given >= 0)
    rng = np.random.default_rng(settings.seed)
    cells_of = np.bincount(given[labelled], minlength=len(labels))
    agreed = agreement(cells[here], labels, cells_of, settings.sharpness)
    some = given[here]
    known = np.flatnonzero(some >= 0)
    rare = (some >= 0) & (cells_of[some] < settings.fewest)
    fold = np.zeros(len(some), dtype=np.int64)
    fold[known] = folds(some[known], None if groups is None else groups[here][known], rng)
    # Cells without a label are never training examples; they are spread over the folds to be scored.
    fold[some < 0] = np.arange((some < 0).sum()) % (fold.max(initial=0) + 1)

    features = _features(cells[here], own[here])
    words = np.log(agreed + LEAST)
    say, trust = np.ones((2, len(some)), dtype=np.float32)
    evidence, weight, found = np.full(words.shape, 1 / len(labels), dtype=np.float32), 0.0, None
    for _ in range(settings.rounds + 1):
        if not len(known):
            break
        others = np.log(foretold(features, np.where(rare, -1, some), say, fold, len(labels), rng))
        others[rare] = 0.0
        weight, found = _weighed(others[known], words[known], some[known], settings.words)
        evidence = _chances(others, words, np.where(rare, max(weight, settings.words[-1]), weight))
        found = slips(evidence[known], some[known])
        trust[known] = np.clip((found.true * related[some[known]]).sum(axis=1), 0, 1)
        # Trust is not used as weight: if many labels are wrong, the first fit is blurred and trust would keep it so.
        own_label = (evidence[known] * related[some[known]]).max(axis=1)
        say[known] = np.maximum(own_label / evidence[known].max(axis=1), LEAST)
    return _answers(here, labelled, given, trust, evidence, agreed, related, weight, found)


def _features(
    cells: Float[np.ndarray, "cell dim"], own: Float[np.ndarray, "cell component"]
) -> Float[np.ndarray, "cell feature"]:
    middled = cells - cells.mean(axis=0) if len(cells) else cells
    size = max(float(np.sqrt((middled**2).sum(axis=1).mean())), 1e-6) if len(cells) else 1.0
    return np.hstack([OWN_DIRECTIONS * own, middled / size]).astype(np.float32)


def _weighed(
    others: Float[np.ndarray, "cell label"],
    words: Float[np.ndarray, "cell label"],
    given: NDArray[np.int64],
    weights: tuple[float, ...],
) -> tuple[float, Slips]:
    """Choose the text weight that maximizes the likelihood of the written labels."""
    tried = [(weight, slips(_chances(others, words, weight), given, rounds=10)) for weight in weights]
    return max(tried, key=lambda one: one[1].likelihood)


def _chances(
    others: Float[np.ndarray, "cell label"],
    words: Float[np.ndarray, "cell label"],
    weight: float | Float[np.ndarray, "cell"],
) -> Float[np.ndarray, "cell label"]:
    logits = others + words * np.reshape(np.asarray(weight, dtype=np.float32), (-1, 1))
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _answers(
    here: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
    given: NDArray[np.int64],
    trust: Float[np.ndarray, "measured"],
    evidence: Float[np.ndarray, "measured label"],
    agreed: Float[np.ndarray, "measured label"],
    related: Bool[np.ndarray, "label label"],
    weight: float,
    found: Slips | None,
) -> Audit:
    """Scatter the results of the cells with expression to the rows of all cells."""
    likely = np.full(len(here), -1, dtype=np.intp)
    trusted, share, agreeing = (np.full(len(here), np.nan, dtype=np.float32) for _ in range(3))
    likely[here] = evidence.argmax(axis=1)
    share[here] = evidence.max(axis=1)
    among = labelled[here]
    trusted[labelled] = trust[among]
    agreeing[labelled] = agreed[among, given[labelled]]
    doubtful = np.zeros(len(here), dtype=bool)
    doubtful[labelled] = (trust[among] < EVEN) & ~related[given[labelled], likely[labelled]]
    return Audit(trusted, likely, share, doubtful, agreeing, weight, found)
