"""Inputs shared by runs on one corpus: dataset, split, vocabulary, tokenizer, caches."""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float

from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenizer import BinTokenizer
from okrcell.cells.vocabulary import GeneVocabulary
from okrcell.errors import SettingsError
from okrcell.knowledge.cell_type_markers import MarkerConsensus
from okrcell.model.cell_text_model import CellTextModel, ModelSettings
from okrcell.model.gene_init import init_gene_embeddings
from okrcell.pairs.kept_tokens import TokenCache
from okrcell.data.simulated_pairs import SimulatedPairs
from okrcell.data.dataset import PairDataset
from okrcell.data.split import Split
from okrcell.data.dataloader import PairDataLoader, StreamSettings
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import build_dataset, build_gene_init, build_vocabulary, read_markers
from okrcell.training.text_bank import FrozenTextCache


@dataclass(frozen=True)
class RunInputs:
    """A corpus with its texts, before any noise, and what is derived from them."""

    settings: PretrainSettings
    pairs: PairDataset
    partition: Split
    vocabulary: GeneVocabulary
    tokenizer: BinTokenizer
    text_cache: FrozenTextCache
    """Cache of the frozen text encoder's outputs; filled by the runs."""
    token_cache: TokenCache | None
    """Cache of cell tokens, if the settings ask for one; filled by the runs."""
    knowledge_pairs: SimulatedPairs | None = None
    """Sampler of simulated pairs; None if their fraction is 0."""
    markers: MarkerConsensus | None = None
    """Marker knowledge for simulated pairs and for the initialization of gene embeddings."""
    gene_init: Float[np.ndarray, "gene width"] | None = None
    """Initial gene embeddings; None for random initialization."""

    @classmethod
    def from_settings(cls, settings: PretrainSettings) -> Self:
        """Open the corpus, describe its cells, split it and select the genes.

        Raises
        ------
        InputError
            If the corpus is missing or empty, or has nothing to train on; or if knowledge files are requested but
            missing.
        """
        pairs, partition = build_dataset(settings)
        vocabulary = build_vocabulary(pairs.corpus, settings)
        tokenizer = BinTokenizer(settings.model.tokeniser, vocabulary, GeneTable.bundled())
        token_cache = TokenCache(pairs, tokenizer) if settings.stream.keep_tokens else None
        markers = read_markers(settings)
        knowledge_pairs = None
        if settings.knowledge is not None and markers is not None and settings.knowledge.share > 0:
            knowledge_pairs = SimulatedPairs(pairs, partition.train, markers, settings.knowledge)
        gene_init = build_gene_init(settings, vocabulary, markers)
        return cls(
            settings,
            pairs,
            partition,
            vocabulary,
            tokenizer,
            FrozenTextCache(),
            token_cache,
            knowledge_pairs,
            markers,
            gene_init,
        )

    def new_model(self, settings: ModelSettings) -> CellTextModel:
        """Build an untrained model from torch's seed; gene embeddings may be initialized from knowledge instead."""
        model = CellTextModel(settings, n_genes=len(self.vocabulary))
        if self.gene_init is not None:
            init_gene_embeddings(model, self.gene_init)
        return model

    @property
    def fingerprint(self) -> str:
        """The sha256 of all training inputs: the corpus with its descriptions, and the knowledge tables."""
        if self.markers is None:
            return self.pairs.fingerprint
        return hashlib.sha256("\n".join([self.pairs.fingerprint, *self.markers.tables]).encode()).hexdigest()

    def loaders(self, pairs: PairDataset, settings: StreamSettings) -> tuple[PairDataLoader, PairDataLoader]:
        """Return the loader of training batches of ``pairs``, which may have noise, and that of the validation cells."""
        # Validation cells keep all their genes.
        all_genes = settings.model_copy(update={"fewest_genes": 1.0})
        return (
            PairDataLoader(
                pairs, self.partition.train, self.tokenizer, settings, self.token_cache, self.knowledge_pairs
            ),
            PairDataLoader(self.pairs, self.partition.validation, self.tokenizer, all_genes, self.token_cache),
        )

    def check_compatible(self, settings: PretrainSettings) -> None:
        """Check that a run with these settings can use these inputs.

        Raises
        ------
        SettingsError
            If it needs another corpus, other texts, genes or held-out cells; the message names the differences.
        """
        expected, requested = self._requirements(self.settings), self._requirements(settings)
        differences = sorted(name for name in expected if expected[name] != requested[name])
        if differences:
            raise SettingsError(
                f"The settings do not fit the shared inputs: {', '.join(differences)} differ. Build the inputs anew."
            )

    @staticmethod
    def _requirements(settings: PretrainSettings) -> dict[str, object]:
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
