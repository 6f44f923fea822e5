"""Retrieve literature passages for a profile."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.neighbourhood import questions
from okrcell.knowledge.search.index import PassageIndex
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.settings import Settings
from okrcell.texts.profile import CellProfile
from okrcell.texts.template.original import NORMAL


class RetrievalSettings(Settings):
    """Settings of the literature retrieval."""

    top_k: Annotated[int, Field(ge=0, le=100)] = 5
    """Number of passages per profile (our reconstruction: the paper does not say; 3 and 10 are the alternatives)."""
    disease: bool = True
    """Include the disease in the query. The paper's query leaves it out, although its prompt requests a passage on it;
    False is `faithful`."""
    widen: bool = True
    """Add a second query with the parents and synonyms of the cell type [ours]; False is `faithful`."""


def query_of(profile: CellProfile, settings: RetrievalSettings) -> str:
    """Build the literature query: cell type, tissue, sex, developmental stage [paper] and disease [ours]."""
    facts = [profile.cell_type, profile.tissue, profile.sex, profile.development_stage]
    if settings.disease and profile.disease_id != NORMAL:
        facts.append(profile.disease)
    return ", ".join(filter(None, facts))


class Retriever:
    """Literature search for profiles; each distinct query is searched once."""

    def __init__(self, index: PassageIndex, settings: RetrievalSettings, embedder: "Remembering | None" = None) -> None:
        self._index = index
        self._settings = settings
        self._embedder = embedder
        self._answers: dict[tuple[str, ...], tuple[Evidence, ...]] = {}

    def passages(self, profile: CellProfile) -> tuple[Evidence, ...]:
        """Return the passages that match the profile best, best first; empty for a profile without facts."""
        asked = self._questions(profile)
        if not asked or self._settings.top_k == 0:
            return ()
        if asked not in self._answers:
            hits = self._index.search(asked, self._settings.top_k)
            self._answers[asked] = tuple(hit.evidence for hit in hits)
        return self._answers[asked]

    def prepare(self, profiles: Sequence[CellProfile]) -> None:
        """Embed the queries of many profiles in one batch, which is several times faster than one by one."""
        if self._embedder is not None:
            self._embedder.learn([text for profile in profiles for text in self._questions(profile)])

    def _questions(self, profile: CellProfile) -> tuple[str, ...]:
        query = query_of(profile, self._settings)
        if not query:
            return ()
        # Parents and synonyms of the cell type find passages that do not contain its name.
        widest = questions(profile.cell_type_id)[-1:] if profile.cell_type_id and self._settings.widen else ()
        return (query, *widest)


class Remembering:
    """A `TextEmbedder` with a cache of precomputed vectors."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._known: dict[str, NDArray[np.float32]] = {}

    def learn(self, texts: Sequence[str]) -> None:
        """Embed the texts that are not cached yet, and cache their vectors."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._embedder.embed_texts(new), strict=True))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length float32 vectors (text, dim), from the cache if all texts are in it."""
        if all(text in self._known for text in texts):
            return np.stack([self._known[text] for text in texts])
        return self._embedder.embed_texts(texts)
