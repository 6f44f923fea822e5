"""Task retrieval: texts of cells and cells of texts, by similarity."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import LabeledDataset, load_dataset
from okrcell.benchmarking.datasets.splits import hash_order
from okrcell.benchmarking.methods import TextMatcher, select_cells
from okrcell.benchmarking.resources import ResourceUsage, measure_resources
from okrcell.benchmarking.tasks import zero_shot
from okrcell.benchmarking.tasks.task import Item, ItemResult
from okrcell.descriptions.template_writer import describe
from okrcell.metrics.retrieval import hit_rate, ndcg, ontology_gain, recall, reciprocal_rank
from okrcell.ontology.obs_profile import read_profiles

SETS = ("pool",)
"""A pool of the first six data sets with Cell Ontology ids."""
FOLD_SIZE = 1000
"""Cells per fold, as in the paper; each data set contributes an equal part, or all its cells if it has fewer."""
RECALL_RANKS = (1, 5, 10)


def datasets_of(_name: str) -> tuple[str, ...]:
    """Return the data sets of the pool."""
    return zero_shot.FIRST_SETS


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: a fold of cells for each seed."""
    return [Item("", seed) for seed in seeds]


def evaluate(method: TextMatcher, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Score the cells of a fold against their distinct texts, in both directions."""
    for item in pending:
        fold = [_draw_fold(load_dataset(entry, data), item.seed) for entry in datasets_of(name)]
        facts = pd.concat([dataset.facts for dataset in fold], ignore_index=True)
        cell_profiles = read_profiles(facts)
        # Equal profiles share one text, so equal texts do not compete.
        profile_texts = [entry.phrasings[0] for entry in describe(cell_profiles.distinct)]
        texts = list(dict.fromkeys(profile_texts))
        own_text = np.array([texts.index(profile_texts[code]) for code in cell_profiles.codes.tolist()], dtype=np.intp)
        text_terms = np.empty(len(texts), dtype=object)
        term = np.concatenate([dataset.term_ids for dataset in fold])
        text_terms[own_text] = term
        similarities: list[Float[np.ndarray, "cell text"]] = []
        with measure_resources() as usage:
            for dataset in fold:
                similarities.append(method(select_cells(dataset.cells, np.arange(len(dataset))), texts, item.seed))
        similarity = np.concatenate(similarities)
        yield _score(item, similarity, own_text, term, text_terms.astype(np.str_), usage)


def _draw_fold(dataset: LabeledDataset, seed: int) -> LabeledDataset:
    labeled = dataset.subset(np.flatnonzero(dataset.term_ids != ""))
    order = hash_order(labeled.cells.obs_names, f"{dataset.name}|fold {seed}")
    return labeled.subset(np.sort(order[: FOLD_SIZE // len(zero_shot.FIRST_SETS)]))


def _score(
    item: Item,
    similarity: Float[np.ndarray, "cell text"],
    own_text: NDArray[np.intp],
    term: NDArray[np.str_],
    text_terms: NDArray[np.str_],
    usage: ResourceUsage,
) -> ItemResult:
    scores = retrieval_scores(similarity, own_text, term, text_terms)
    # Constant scores give the chance level.
    chance = retrieval_scores(np.zeros_like(similarity), own_text, term, text_terms)
    detail = {"texts": len(text_terms), "chance": chance}
    return ItemResult(item, scores, usage, len(term), detail)


def retrieval_scores(
    similarity: Float[np.ndarray, "cell text"],
    own_text: NDArray[np.intp],
    term: NDArray[np.str_],
    text_terms: NDArray[np.str_],
) -> dict[str, float]:
    """Return strict and type-level metrics of both directions; keys from text to cell begin with ``text_``.

    Parameters
    ----------
    own_text
        Index of each cell's own text.
    term, text_terms
        Cell Ontology ids of the cells and of the texts.
    """
    same_type = term[:, None] == text_terms[None, :]
    gain = ontology_gain(term.tolist(), text_terms.tolist())
    max_rank = max(RECALL_RANKS)
    scores: dict[str, float] = {}
    for k in RECALL_RANKS:
        scores[f"recall_{k}"] = _mean(recall(similarity, own_text, k))
        scores[f"type_recall_{k}"] = _mean(hit_rate(similarity, same_type, k))
        # Several cells may share a text: each of them counts as its own.
        is_own = own_text[None, :] == np.arange(len(text_terms))[:, None]
        scores[f"text_recall_{k}"] = _mean(hit_rate(similarity.T, is_own, k))
        scores[f"text_type_recall_{k}"] = _mean(hit_rate(similarity.T, same_type.T, k))
    scores["mrr"] = _mean(reciprocal_rank(similarity, own_text))
    scores["ndcg"] = _mean(ndcg(similarity, gain, max_rank))
    scores["text_ndcg"] = _mean(ndcg(similarity.T, gain.T, max_rank))
    return scores


def _mean(values: Float[np.ndarray, "query"]) -> float:
    return float(np.nanmean(values)) if len(values) else float("nan")
