"""What several runs on one corpus have in common, made once."""

from dataclasses import dataclass
from typing import Self

from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenise import BinTokeniser
from okrcell.cells.vocabulary import GeneVocabulary
from okrcell.errors import SettingsError
from okrcell.pairs.kept_tokens import KeptTokens
from okrcell.pairs.pair import Pairs
from okrcell.pairs.split import Split
from okrcell.pairs.stream import PairStream, StreamSettings
from okrcell.training.settings import PretrainSettings
from okrcell.training.start import pairs_of, vocabulary_of
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

    @classmethod
    def of(cls, settings: PretrainSettings) -> Self:
        """Open the corpus, describe its cells, set some aside, choose the genes.

        Raises
        ------
        InputError
            If the corpus is missing or empty, or nothing can be learned from it.
        """
        pairs, sides = pairs_of(settings)
        vocabulary = vocabulary_of(pairs.corpus, settings)
        tokeniser = BinTokeniser(settings.model.tokeniser, vocabulary, GeneTable.bundled())
        kept = KeptTokens(pairs, tokeniser) if settings.stream.keep_tokens else None
        return cls(settings, pairs, sides, vocabulary, tokeniser, FrozenTexts(), kept)

    def streams(self, pairs: Pairs, settings: StreamSettings) -> tuple[PairStream, PairStream]:
        """Return what draws batches of ``pairs``, which may be harmed, and what goes through the validation cells."""
        # Validation cells are shown whole.
        whole = settings.model_copy(update={"fewest_genes": 1.0})
        return (
            PairStream(pairs, self.sides.train, self.tokeniser, settings, self.kept),
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
            "genes_in_cells": settings.genes_in_cells,
            "model.tokeniser": settings.model.tokeniser,
            "model.text_encoder": settings.model.text_encoder,
            "stream.keep_tokens": settings.stream.keep_tokens,
        }
