"""What several runs on one corpus have in common, made once."""

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
    """A corpus with its texts, before any noise, and what was computed of them."""

    settings: PretrainSettings
    pairs: Pairs
    sides: Split
    vocabulary: GeneVocabulary
    tokeniser: BinTokeniser
    texts: FrozenTexts
    """Texts as the frozen encoder reads them; filled by the runs."""
    kept: KeptTokens | None
    """Tokens of cells, where the settings keep them; filled by the runs."""
    knowledge: KnowledgePairs | None = None
    """What draws knowledge pairs; None where they have no share."""
    known: TypeGenes | None = None
    """The marker knowledge that they and the genes' start are made of."""
    gene_start: Float[np.ndarray, "gene width"] | None = None
    """What gene vectors start from; None for chance."""

    @classmethod
    def of(cls, settings: PretrainSettings) -> Self:
        """Open the corpus, describe its cells, set some aside, choose the genes.

        Raises
        ------
        InputError
            If the corpus is missing or empty, or nothing can be learned from it; or knowledge is asked for that is not
            at hand.
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
        """Build a model that has not learned yet; by torch's seed, but for the genes that start from knowledge."""
        model = CellTextModel(settings, genes=len(self.vocabulary))
        if self.gene_start is not None:
            start_genes(model, self.gene_start)
        return model

    @property
    def fingerprint(self) -> str:
        """A sha256 of all that is learned from: the corpus with its descriptions, and the knowledge tables."""
        if self.known is None:
            return self.pairs.fingerprint
        return hashlib.sha256("\n".join([self.pairs.fingerprint, *self.known.tables]).encode()).hexdigest()

    def streams(self, pairs: Pairs, settings: StreamSettings) -> tuple[PairStream, PairStream]:
        """Return what draws batches of ``pairs``, which may be harmed, and what goes through the validation cells."""
        # Validation cells are shown whole.
        whole = settings.model_copy(update={"fewest_genes": 1.0})
        return (
            PairStream(pairs, self.sides.train, self.tokeniser, settings, self.kept, self.knowledge),
            PairStream(self.pairs, self.sides.validation, self.tokeniser, whole, self.kept),
        )

    def serves(self, settings: PretrainSettings) -> None:
        """Make sure that a run of these settings stands on the same ground.

        Raises
        ------
        SettingsError
            If it needs another corpus, other texts, genes or held-out cells; what differs is named.
        """
        mine, other = self._needs(self.settings), self._needs(settings)
        differing = sorted(name for name in mine if mine[name] != other[name])
        if differing:
            raise SettingsError(f"The run needs another ground: {', '.join(differing)} differ.")

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
