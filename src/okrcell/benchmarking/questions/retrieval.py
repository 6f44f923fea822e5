"""Task retrieval: texts of cells and cells of texts, by similarity."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import Took, measured
from okrcell.benchmarking.method import Matches
from okrcell.benchmarking.metrics.retrieval import discounted_gain, hit, ontology_gain, recall, reciprocal_rank
from okrcell.benchmarking.questions import zero_shot
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.sets.draws import shuffled
from okrcell.benchmarking.sets.known_cells import KnownCells, known_cells
from okrcell.texts.describe import describe
from okrcell.texts.profile import profiles

SETS = ("pool",)
"""A pool of all data sets with Cell Ontology ids."""
FOLD = 1000
"""Cells per fold, as in the paper; each data set contributes an equal part, or all its cells if it has fewer."""
PLACES = (1, 5, 10)


def sets_of(_name: str) -> tuple[str, ...]:
    """Return the data sets of the pool."""
    return zero_shot.SETS


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: a fold of cells for each seed."""
    return [Asking("", seed) for seed in seeds]


def ask(answer: Matches, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Score the cells of a fold against their distinct texts, in both directions."""
    for asking in left:
        fold = [_drawn(known_cells(one, data), asking.seed) for one in sets_of(name)]
        facts = pd.concat([known.facts for known in fold], ignore_index=True)
        found = profiles(facts)
        # Equal profiles share one text, so equal texts do not compete.
        words = [one.phrasings[0] for one in describe(found.distinct)]
        texts = list(dict.fromkeys(words))
        own = np.array([texts.index(words[code]) for code in found.code.tolist()], dtype=np.intp)
        of_text = np.empty(len(texts), dtype=object)
        term = np.concatenate([known.term for known in fold])
        of_text[own] = term
        parts: list[Float[np.ndarray, "cell text"]] = []
        with measured() as took:
            for known in fold:
                parts.append(answer(part(known.cells, np.arange(len(known))), texts, asking.seed))
        similarity = np.concatenate(parts)
        yield _scored(asking, similarity, own, term, of_text.astype(np.str_), took)


def _drawn(known: KnownCells, seed: int) -> KnownCells:
    typed = known.some(np.flatnonzero(known.term != ""))
    order = shuffled(typed.cells.obs_names, f"{known.name}|fold {seed}")
    return typed.some(np.sort(order[: FOLD // len(zero_shot.SETS)]))


def _scored(
    asking: Asking,
    similarity: Float[np.ndarray, "cell text"],
    own: NDArray[np.intp],
    term: NDArray[np.str_],
    of_text: NDArray[np.str_],
    took: Took,
) -> Outcome:
    scores = retrieval_scores(similarity, own, term, of_text)
    # Constant scores give the chance level.
    chance = retrieval_scores(np.zeros_like(similarity), own, term, of_text)
    detail = {"texts": len(of_text), "chance": chance}
    return Outcome(asking, scores, took, len(term), detail)


def retrieval_scores(
    similarity: Float[np.ndarray, "cell text"],
    own: NDArray[np.intp],
    term: NDArray[np.str_],
    of_text: NDArray[np.str_],
) -> dict[str, float]:
    """Return strict and type-level metrics of both directions; keys from text to cell begin with ``text_``.

    Parameters
    ----------
    own
        Index of each cell's own text.
    term, of_text
        Cell Ontology ids of the cells and of the texts.
    """
    same = term[:, None] == of_text[None, :]
    gain = ontology_gain(term.tolist(), of_text.tolist())
    most = max(PLACES)
    scores: dict[str, float] = {}
    for k in PLACES:
        scores[f"recall_{k}"] = _mean(recall(similarity, own, k))
        scores[f"type_recall_{k}"] = _mean(hit(similarity, same, k))
        # Several cells may share a text: each of them counts as its own.
        mine = own[None, :] == np.arange(len(of_text))[:, None]
        scores[f"text_recall_{k}"] = _mean(hit(similarity.T, mine, k))
        scores[f"text_type_recall_{k}"] = _mean(hit(similarity.T, same.T, k))
    scores["mrr"] = _mean(reciprocal_rank(similarity, own))
    scores["ndcg"] = _mean(discounted_gain(similarity, gain, most))
    scores["text_ndcg"] = _mean(discounted_gain(similarity.T, gain.T, most))
    return scores


def _mean(values: Float[np.ndarray, "query"]) -> float:
    return float(np.nanmean(values)) if len(values) else float("nan")
