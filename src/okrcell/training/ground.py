"""Inputs shared by runs on one corpus: dataset, split, vocabulary, tokenizer, caches."""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float

from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenise import BinTokeniser
from okrcell.cells.vocabulary import GeneVocabulary
from okrcell.errors import SettingsError
from okrcell.knowledge.type_genes import TypeGenes
from okrcell.model.cell_text_model import CellTextModel, ModelSettings
from okrcell.model.gene_start import start_genes
from okrcell.pairs.kept_tokens import KeptTokens
from okrcell.pairs.knowledge_pairs import KnowledgePairs
from okrcell.pairs.pair import Pairs
from okrcell.pairs.split import Split
from okrcell.pairs.stream import PairStream, StreamSettings
from okrcell.training.settings import PretrainSettings
from okrcell.training.start import gene_start_of, knowledge_of, pairs_of, vocabulary_of
from okrcell.training.text_bank import FrozenTexts


@dataclass(frozen=True)
class Ground:
    """A corpus with its texts, before any noise, and what is derived from them."""

    settings: PretrainSettings
    pairs: Pairs
    sides: Split
    vocabulary: GeneVocabulary
    tokeniser: BinTokeniser
    texts: FrozenTexts
    """Cache of the frozen text encoder's outputs; filled by the runs."""
    kept: KeptTokens | None
    """Cache of cell tokens, if the settings ask for one; filled by the runs."""
    knowledge: KnowledgePairs | None = None
    """Sampler of simulated pairs; None if their fraction is 0."""
    known: TypeGenes | None = None
    """Marker knowledge for simulated pairs and for the initialization of gene embeddings."""
    gene_start: Float[np.ndarray, "gene width"] | None = None
    """Initial gene embeddings; None for random initialization."""

    @classmethod
    def of(cls, settings: PretrainSettings) -> Self:
        """Open the corpus, describe its cells, split it and select the genes.

        Raises
        ------
        InputError
            If the corpus is missing or empty, or has nothing to train on; or if knowledge files are requested but
            missing.
        """
        pairs, sides = pairs_of(settings)
        vocabulary = vocabulary_of(pairs.corpus, settings)
        tokeniser = BinTokeniser(settings.model.tokeniser, vocabulary, GeneTable.bundled())
        kept = KeptTokens(pairs, tokeniser) if settings.stream.keep_tokens else None
        known = knowledge_of(settings)
        knowledge = None
        if settings.knowledge is not None and known is not None and settings.knowledge.share > 0:
            knowledge = KnowledgePairs(pairs, sides.train, known, settings.knowledge)
        gene_start = gene_start_of(settings, vocabulary, known)
        return cls(settings, pairs, sides, vocabulary, tokeniser, FrozenTexts(), kept, knowledge, known, gene_start)

    def new_model(self, settings: ModelSettings) -> CellTextModel:
        """Build an untrained model from torch's seed; gene embeddings may be initialized from knowledge instead."""
        model = CellTextModel(settings, genes=len(self.vocabulary))
        if self.gene_start is not None:
            start_genes(model, self.gene_start)
        return model

    @property
    def fingerprint(self) -> str:
        """The sha256 of all training inputs: the corpus with its descriptions, and the knowledge tables."""
        if self.known is None:
            return self.pairs.fingerprint
        return hashlib.sha256("\n".join([self.pairs.fingerprint, *self.known.tables]).encode()).hexdigest()

    def streams(self, pairs: Pairs, settings: StreamSettings) -> tuple[PairStream, PairStream]:
        """Return the loader of training batches of ``pairs``, which may have noise, and that of the validation cells."""
        # Validation cells keep all their genes.
        whole = settings.model_copy(update={"fewest_genes": 1.0})
        return (
            PairStream(pairs, self.sides.train, self.tokeniser, settings, self.kept, self.knowledge),
            PairStream(self.pairs, self.sides.validation, self.tokeniser, whole, self.kept),
        )

    def serves(self, settings: PretrainSettings) -> None:
        """Check that a run with these settings can use these inputs.

        Raises
        ------
        SettingsError
            If it needs another corpus, other texts, genes or held-out cells; the message names the differences.
        """
        mine, other = self._needs(self.settings), self._needs(settings)
        differing = sorted(name for name in mine if mine[name] != other[name])
        if differing:
            raise SettingsError(
                f"The settings do not fit the shared inputs: {', '.join(differing)} differ. Build the inputs anew."
            )

    @staticmethod
    def _needs(settings: PretrainSettings) -> dict[str, object]:
        return {
            "corpus": settings.corpus,
            "texts": settings.texts,
            "split": settings.split,
            "knowledge": settings.knowledge,
            "genes_in_cells": settings.genes_in_cells,
            "model.tokeniser": settings.model.tokeniser,
            "model.text_encoder": settings.model.text_encoder,
            "stream.keep_tokens": settings.stream.keep_tokens,
        }
