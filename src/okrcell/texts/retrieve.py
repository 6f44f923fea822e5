"""Retrieve literature passages for a profile."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.evidence import Evidence
from okrcell.ontology.relations import search_queries
from okrcell.knowledge.passage_index import PassageIndex
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.settings import Settings
from okrcell.ontology.obs_profile import CellProfile
from okrcell.descriptions.metadata_text import NORMAL_ID


class RetrievalSettings(Settings):
    """Settings of the literature retrieval."""

    top_k: Annotated[int, Field(ge=0, le=100)] = 5
    """Number of passages per profile (our reconstruction: the paper does not say; 3 and 10 are the alternatives)."""
    disease: bool = True
    """Include the disease in the query. The paper's query leaves it out, although its prompt requests a passage on it;
    False is `faithful`."""
    widen: bool = True
    """Add a second query with the parents and synonyms of the cell type [ours]; False is `faithful`."""


def build_query(profile: CellProfile, settings: RetrievalSettings) -> str:
    """Build the literature query: cell type, tissue, sex, developmental stage [paper] and disease [ours]."""
    facts = [profile.cell_type, profile.tissue, profile.sex, profile.development_stage]
    if settings.disease and profile.disease_id != NORMAL_ID:
        facts.append(profile.disease)
    return ", ".join(filter(None, facts))


class LiteratureRetriever:
    """Literature search for profiles; each distinct query is searched once."""

    def __init__(
        self, index: PassageIndex, settings: RetrievalSettings, embedder: "CachedTextEmbedder | None" = None
    ) -> None:
        self._index = index
        self._settings = settings
        self._embedder = embedder
        self._cache: dict[tuple[str, ...], tuple[Evidence, ...]] = {}

    def passages(self, profile: CellProfile) -> tuple[Evidence, ...]:
        """Return the passages that match the profile best, best first; empty for a profile without facts."""
        queries = self._queries(profile)
        if not queries or self._settings.top_k == 0:
            return ()
        if queries not in self._cache:
            hits = self._index.search(queries, self._settings.top_k)
            self._cache[queries] = tuple(hit.evidence for hit in hits)
        return self._cache[queries]

    def embed_queries(self, profiles: Sequence[CellProfile]) -> None:
        """Embed the queries of many profiles in one batch, which is several times faster than one by one."""
        if self._embedder is not None:
            self._embedder.precompute([text for profile in profiles for text in self._queries(profile)])

    def _queries(self, profile: CellProfile) -> tuple[str, ...]:
        query = build_query(profile, self._settings)
        if not query:
            return ()
        # Parents and synonyms of the cell type find passages that do not contain its name.
        broad_queries = (
            search_queries(profile.cell_type_id)[-1:] if profile.cell_type_id and self._settings.widen else ()
        )
        return (query, *broad_queries)


class CachedTextEmbedder:
    """A `TextEmbedder` with a cache of precomputed vectors."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def precompute(self, texts: Sequence[str]) -> None:
        """Embed the texts that are not cached yet, and cache their vectors."""
        new_texts = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new_texts:
            self._vectors.update(zip(new_texts, self._embedder.embed_texts(new_texts), strict=True))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length float32 vectors (text, dim), from the cache if all texts are in it."""
        if all(text in self._vectors for text in texts):
            return np.stack([self._vectors[text] for text in texts])
        return self._embedder.embed_texts(texts)
