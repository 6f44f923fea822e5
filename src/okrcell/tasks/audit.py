"""How far each label can be trusted, and which is the likely one."""

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
"""Below this a label is more likely wrong than right."""
OWN_DIRECTIONS = 1.5
"""What the study's own directions count for beside the model's vectors, in a logistic regression on both."""


class AuditSettings(Settings):
    """How labels are looked over (ours; chosen on pretraining studies, docs/results/audit.md)."""

    rounds: Annotated[int, Field(ge=0)] = 2
    """How often the cells are asked again, each counting by how likely its label is by then beside the likeliest one."""
    words: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.1, 0.25, 0.5, 1.0)
    """What the words may count for beside the other cells; of these the one is taken for each study that foretells its
    labels best. (0,) leaves the words out."""
    sharpness: Annotated[float, Field(gt=0)] = 0.05
    """sigma of the agreement of cells and words (E9)."""
    fewest: Annotated[int, Field(ge=1)] = 5
    """A label with fewer cells in its study cannot be learned from them: for its cells only the words speak."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed deals the cells into other folds."""


@dataclass(frozen=True)
class Audit:
    """What is thought of the labels of a study; arrays over cells."""

    trust: Float[np.ndarray, "cell"]
    """Probability that the label, or a broader or narrower name for it, is right, in [0, 1]; NaN where there is no label or
    no expression."""
    likely: NDArray[np.intp]
    """The likeliest label; -1 for a cell without expression."""
    share: Float[np.ndarray, "cell"]
    """Probability of ``likely``, whatever the cell's own label; NaN for a cell without expression."""
    doubtful: NDArray[np.bool_]
    """Whether trust is below one half, and ``likely`` neither the label nor a broader or narrower name for it."""
    agreed: Float[np.ndarray, "cell"]
    """r of the cell with the words of its label, in [0, 1] (E9); NaN where there is none."""
    weight_of_words: float
    """What the words counted for, beside 1 for the other cells."""
    slips: Slips | None
    """Who is mistaken for whom; None where there was nothing to learn from."""

    @property
    def expected_wrong(self) -> float:
        """How many labels are expected to be wrong, judging by the trust in them."""
        return float(np.nansum(1 - self.trust))


def audit(
    cells: Float[np.ndarray, "cell dim"],
    own: Float[np.ndarray, "cell direction"],
    labels: Float[np.ndarray, "label dim"],
    given: NDArray[np.integer],
    related: Bool[np.ndarray, "label label"],
    groups: NDArray[np.str_] | None = None,
    settings: AuditSettings | None = None,
) -> Audit:
    """Look over the labels of one study.

    Two witnesses are heard who do not know the label that was written: the cells of other folds (`foretold`) and the words
    of the labels (`agreement`). From what they say and what was written follows who is mistaken for whom (`slips`), and so
    the probability that a label is right. The cells are asked several times, those whose own label is unlikely having less of
    a say each time.

    Parameters
    ----------
    cells
        The model's unit vectors, NaN for a cell without expression.
    own
        What sets the cells of the study apart (`okrcell.tasks.auditing.directions`).
    labels
        Unit vector of the words of each label.
    given
        For each cell its place in ``labels``, -1 where it has none.
    related
        Which labels are names of different breadth for the same cells; true on the diagonal.
    groups
        Donor or batch of each cell: no cell is then judged by cells of its own group.
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
    # Cells without a label are nobody's example: each fold judges some of them, and it does not matter which.
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
        # Not by trust: where many labels are wrong the first answer is blurred by them, and trust would keep it so.
        own_label = (evidence[known] * related[some[known]]).max(axis=1)
        say[known] = np.maximum(own_label / evidence[known].max(axis=1), LEAST)
    return _answers(here, labelled, given, trust, evidence, agreed, related, weight, found)


def _features(
    cells: Float[np.ndarray, "cell dim"], own: Float[np.ndarray, "cell direction"]
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
    """Choose the weight of the words with which the labels that were written are likeliest."""
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
    trust: Float[np.ndarray, "some"],
    evidence: Float[np.ndarray, "some label"],
    agreed: Float[np.ndarray, "some label"],
    related: Bool[np.ndarray, "label label"],
    weight: float,
    found: Slips | None,
) -> Audit:
    """Bring what was found of the cells with expression back to the rows of all cells."""
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
