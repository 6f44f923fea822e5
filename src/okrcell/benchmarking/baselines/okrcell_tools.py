"""okrcell's tools as methods of the benchmark."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import named_in_place
from okrcell.benchmarking.baselines.hvg_pca import batch_of
from okrcell.benchmarking.method import Named, Surroundings
from okrcell.benchmarking.remembering import Remembering, remembered
from okrcell.cells.expression import read_expression


class _WithModel:
    """Base class: loads the model, once per process."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._model: Remembering = remembered(surroundings.model)


class Clusters(_WithModel):
    """Representation that `okrcell.tl.cluster` builds its graph from."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return the representation; ``batch_key`` is not used."""
        from okrcell.tasks.cluster import representation

        return representation(read_expression(cells), self._model, seed=seed)


class Integrates(_WithModel):
    """`okrcell.tl.integrate`."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return batch-corrected vectors."""
        from okrcell.tasks.integrate import integrate

        batch = batch_of(cells, batch_key, np.arange(cells.n_obs)) or [""] * cells.n_obs
        return integrate(read_expression(cells), self._model, np.array(batch, dtype=np.str_), seed=seed).vectors


class FromReference(_WithModel):
    """`okrcell.tl.annotate` with a reference."""

    def __call__(self, reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
        """Label each cell of the query, with calibrated probabilities."""
        from okrcell.tasks.reference import annotate_from_reference

        found = annotate_from_reference(
            read_expression(reference), labels, read_expression(query), self._model, seed=seed
        )
        return _named(found.probability, found.names)


class FromExamples(_WithModel):
    """`okrcell.tl.annotate` with examples."""

    def __call__(self, cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
        """Compute the features of the sample once, then label all cells for each draw of examples."""
        from okrcell.tasks.few_shot import few_shot, ground_of

        expression = read_expression(cells)
        ground = ground_of(expression, self._model, seed)
        for labels in draws:
            found = few_shot(expression, labels, self._model, seed, ground=ground)
            yield _named(found.probability, found.names)


class FromWords(_WithModel):
    """`okrcell.tl.annotate` with candidates alone."""

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Label each cell by gene signatures of the candidates and by similarity to their texts."""
        from okrcell.tasks.candidates import candidates as read_candidates
        from okrcell.tasks.zero_shot import name_by_words

        some = read_candidates(candidates)
        place = {word: number for number, each in enumerate(some) for word in (each.name, each.term_id)}
        found = name_by_words(read_expression(query), some, self._model, seed=seed)
        own = found.probability[:, [place[word] for word in candidates]]
        return _sure(_named(own, candidates), found.answer.confidence)


class Openly(_WithModel):
    """`okrcell.tl.annotate` without candidates."""

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Named:
        """Label each cell with any type of the Cell Ontology; the tissue is a prior, not a restriction."""
        from okrcell.tasks.open_types import open_types
        from okrcell.tasks.tissue_prior import tissues_of

        place = tissues_of(pd.DataFrame({"tissue": [tissue or ""]}))[0]
        found = open_types(read_expression(query), self._model, str(place), seed=seed)
        names = [each.term_id for each in found.candidates]
        return _sure(_named(found.probability, names), found.answer.confidence)


class WithTexts(_WithModel):
    """Similarity of `okrcell.tl.find_cells` and `okrcell.tl.find_texts`."""

    def __call__(self, cells: AnnData, texts: Sequence[str], seed: int) -> Float[np.ndarray, "cell text"]:
        """Return the cosine similarity of each cell and each text; ``seed`` is not used."""
        return self._model.embed_cells(read_expression(cells)) @ self._model.embed_texts(texts).T


def _sure(named: Named, confidence: Float[np.ndarray, " cell"]) -> Named:
    return replace(named, confidence=np.where(named.label != "", confidence, np.nan))


def _named(probability: Float[np.ndarray, "cell name"], names: Sequence[str]) -> Named:
    rows = np.flatnonzero(~np.isnan(probability).any(axis=1))
    return named_in_place(probability[rows], names, rows, len(probability))
