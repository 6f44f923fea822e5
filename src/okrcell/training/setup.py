"""Set up a run: devices, corpus, vocabulary, optimizer, run folder."""

import hashlib
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from numpy.typing import NDArray

from okrcell.cells.genes import GeneTable, GeneVocabulary
from okrcell.cells.tokenizer import CellTokenizer, build_tokenizer
from okrcell.data.corpus import Corpus
from okrcell.data.dataloader import PairDataLoader, StreamSettings, TokenCache
from okrcell.data.dataset import PairDataset
from okrcell.data.simulated_pairs import SimulatedPairs
from okrcell.data.split import Split, exclude_types, train_validation_split
from okrcell.descriptions.ontology_markers import load_markers
from okrcell.errors import CheckpointError, InputError, SettingsError
from okrcell.knowledge.cell_type_markers import MarkerConsensus, gene_texts
from okrcell.model.cell_text_model import CellTextModel, ModelSettings
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.gene_init import MAX_WORD_PIECES, cached_embed, gene_vectors, init_gene_embeddings
from okrcell.model.text_encoder import SentenceEncoder
from okrcell.settings import parse_settings
from okrcell.storage import recover_dir
from okrcell.training.cell_type_profiles import KnownTypes, fit_known_types
from okrcell.training.settings import ComputeSettings, PretrainSettings
from okrcell.training.signature_init import init_from_signatures
from okrcell.training.state import STATE_FILE, read_resume_point
from okrcell.training.step import FrozenTextCache, TrainingStep

LATEST_DIR, MODEL_DIR, LOG_FILE, RELIABILITY_FILE = "latest", "model", "log.jsonl", "reliability.parquet"
"""Names of the contents of a run's folder."""


def launch_fabric(settings: PretrainSettings) -> Fabric:
    """Launch the processes of ``settings.compute``.

    Raises
    ------
    SettingsError
        If this machine lacks the accelerator, or several devices would each hold a bank or reliability table.
    """
    compute = settings.compute
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    if (compute.accelerator == "cuda" and not torch.cuda.is_available()) or (
        compute.accelerator == "mps" and not torch.backends.mps.is_available()
    ):
        raise SettingsError(
            f"compute.accelerator is {compute.accelerator}, but this machine has none. Set it to auto or cpu, with "
            "devices and nodes to fit."
        )
    fabric = Fabric(
        accelerator=compute.accelerator,
        devices=compute.devices,
        num_nodes=compute.nodes,
        strategy=_strategy(compute),
        precision=compute.precision,
    )
    fabric.launch()
    if (
        fabric.world_size > 1
        and not compute.gather
        and (settings.objective.uses_reliability or settings.objective.bank.size > 0)
    ):
        raise SettingsError(
            f"compute.gather is false, so each of the {fabric.world_size} devices would have its own bank and "
            "reliability table, and only one device's are saved. Set it to true, or objective.preset to control."
        )
    return fabric


def _strategy(compute: ComputeSettings) -> str:
    devices = torch.cuda.device_count() if compute.devices == "auto" else compute.devices
    multi_device = devices > 1 or compute.nodes > 1
    if compute.strategy == "ddp" or (compute.strategy == "auto" and multi_device):
        # In stage 1 the text encoder's adapted layer has no gradient, which plain ddp reports as an error.
        return "ddp_find_unused_parameters_true"
    return compute.strategy


def build_dataset(settings: PretrainSettings) -> tuple[PairDataset, Split]:
    """Open the corpus, describe its cells and split it.

    Raises
    ------
    InputError
        If there are no cells, or no texts to align them with.
    """
    corpus = Corpus.open(settings.corpus, GeneTable.bundled())
    if len(corpus) == 0:
        raise InputError(f"The corpus {settings.corpus} has no cells; add some with `okrcell prepare`.")
    pairs = PairDataset.from_corpus(corpus, settings.texts)
    if settings.objective.alignment != "none" and not pairs.has_text.any():
        raise InputError(
            f"No cell of the corpus {settings.corpus} has a text of its cell type, so there is nothing to align with. Add "
            "an obs column cell_type before `okrcell prepare`"
            + (f", check why {settings.texts.descriptions} rejects all texts" if settings.texts.descriptions else "")
            + ", or set objective.alignment to none."
        )
    partition = train_validation_split(corpus.obs, settings.split)
    cell_types = pairs.cell_type[pairs.description]
    return pairs, exclude_types(partition, cell_types, pairs.cell_type_names, settings.split.leave_types)


def read_markers(settings: PretrainSettings) -> MarkerConsensus | None:
    """Read the marker knowledge of the settings, without leak-prone rows; None if they have none.

    Raises
    ------
    InputError
        If the folder of the settings has no statement on markers of these licences.
    """
    knowledge = settings.knowledge
    return None if knowledge is None else load_markers(knowledge.folder, knowledge.markers)


def build_gene_init(
    settings: PretrainSettings, vocabulary: GeneVocabulary, markers: MarkerConsensus | None
) -> Float[np.ndarray, "gene width"] | None:
    """Return initial gene embeddings; None for random initialization, and for the linear encoder, which starts from signatures.

    Raises
    ------
    InputError
        If there are no texts of genes in the folder of the settings.
    """
    knowledge = settings.knowledge
    if knowledge is None or not knowledge.gene_start or settings.model.cell_encoder.kind == "linear":
        return None
    symbols: list[str] = vocabulary.symbol.tolist()
    texts = gene_texts(symbols, knowledge.folder, markers)
    encoder = SentenceEncoder(
        settings.model.text_encoder.name, limit=min(MAX_WORD_PIECES, settings.model.text_encoder.limit)
    )
    embed = cached_embed(encoder.name, encoder.embed_texts)
    return gene_vectors(symbols, texts, embed, settings.model.cell_encoder.width, knowledge.seed)


def build_vocabulary(corpus: Corpus, settings: PretrainSettings) -> GeneVocabulary:
    """Select the genes of the model: those that enough cells express.

    Raises
    ------
    InputError
        If there are none.
    """
    rows = np.flatnonzero(corpus.gene_count() >= settings.genes_in_cells)
    if len(rows) == 0:
        raise InputError(
            f"No gene of the corpus {settings.corpus} is expressed in {settings.genes_in_cells} cells; lower "
            "genes_in_cells."
        )
    return GeneVocabulary.from_table(GeneTable.bundled(), rows, corpus.gene_scale())


def build_optimizer(step: TrainingStep, settings: PretrainSettings) -> torch.optim.Optimizer:
    """AdamW over cell and text parameters; the adapted text layer has no gradient in stage 1."""
    schedule, model = settings.schedule, step.model
    adapted = model.text_encoder.adapted_parameters()
    for parameter in adapted:
        parameter.requires_grad_()
    text = [*model.text_projector.parameters(), *adapted]
    text_param_ids = {id(parameter) for parameter in text}
    cell = [param for param in step.parameters() if param.requires_grad and id(param) not in text_param_ids]
    groups = [{"params": cell, "full_rate": schedule.learning_rate}]
    if text:
        groups.append({"params": text, "full_rate": schedule.text_learning_rate or schedule.learning_rate})
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)


def prepare_run_dir(settings: PretrainSettings, fingerprint: str, *, resume: bool) -> int:
    """Create the run's folder, or read the progress of the run to resume; return the first step.

    ``fingerprint`` is that of all training inputs (`RunInputs.fingerprint`).

    Raises
    ------
    InputError
        If the folder contains a run and ``resume`` is false, or the corpus, its descriptions or the knowledge have changed
        since.
    SettingsError
        If the run was started with other settings; the message names them.
    CheckpointError
        If there is nothing to resume, or it is damaged.
    """
    latest = settings.output / LATEST_DIR
    recover_dir(latest)
    for stale_draft in settings.output.glob(f".{LATEST_DIR}.*"):
        # Left behind by a process that was killed while saving.
        shutil.rmtree(stale_draft, ignore_errors=True)
    if not resume:
        if latest.exists() or (settings.output / MODEL_DIR).exists():
            raise InputError(
                f"{settings.output} already holds a run. Continue it with --resume, or choose another output folder."
            )
        try:
            settings.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot create the run's folder {settings.output}: {error.strerror}.") from None
        # An empty log is left by a run that was killed before its first checkpoint.
        log = settings.output / LOG_FILE
        if log.exists() and log.stat().st_size > 0:
            raise InputError(
                f"{settings.output} contains a {LOG_FILE} but no run to resume; choose another output folder."
            )
        return 0
    resume_point = read_resume_point(latest)
    try:
        previous = parse_settings(PretrainSettings, resume_point.settings, str(latest / STATE_FILE))
    except SettingsError as error:
        raise CheckpointError(f"{latest / STATE_FILE} does not hold settings of this version: {error}") from None
    changed = sorted(
        _changed_settings(settings.model_dump(mode="json"), previous.model_dump(mode="json"))
        - {"output", "corpus", "texts.descriptions", "knowledge.folder"}
    )
    if changed:
        raise SettingsError(
            f"The run in {settings.output} was started with other settings ({', '.join(changed)}); resume with the same "
            "ones, or choose another output folder."
        )
    if resume_point.corpus != fingerprint:
        raise InputError(
            f"The corpus {settings.corpus}, its descriptions or the knowledge files have changed since the run in "
            f"{settings.output} was started. Restore them, or start a new run."
        )
    return resume_point.step


def _changed_settings(current: dict[str, Any], previous: dict[str, Any]) -> set[str]:
    """Return the dotted names of the settings that differ, such as ``schedule.learning_rate``."""
    names: set[str] = set()
    for key in current.keys() | previous.keys():
        current_value, previous_value = current.get(key), previous.get(key)
        if isinstance(current_value, dict) and isinstance(previous_value, dict):
            names |= {f"{key}.{name}" for name in _changed_settings(current_value, previous_value)}
        elif current_value != previous_value:
            names.add(key)
    return names


@dataclass(frozen=True)
class RunInputs:
    """A corpus with its texts, before any noise, and what is derived from them."""

    settings: PretrainSettings
    pairs: PairDataset
    partition: Split
    vocabulary: GeneVocabulary
    tokenizer: CellTokenizer
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
        tokenizer = build_tokenizer(settings.model.tokeniser, vocabulary, GeneTable.bundled())
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
        if settings.cell_encoder.kind == "linear":
            init_from_signatures(model, self.known_types[0], Checkpoint(model, self.vocabulary, {}), self.settings.seed)
        return model

    @cached_property
    def known_types(self) -> tuple[KnownTypes, tuple[str, ...], NDArray[np.intp]]:
        """Signatures of the known types, the studies that were left out, and the rows of the genes (`fit_known_types`)."""
        return fit_known_types(
            self.pairs, self.partition.train, self.vocabulary, self.markers, self.settings.split.overlapping
        )

    @property
    def fingerprint(self) -> str:
        """The sha256 of all training inputs: the corpus with its descriptions, and the knowledge tables."""
        if self.markers is None:
            return self.pairs.fingerprint
        return hashlib.sha256("\n".join([self.pairs.fingerprint, *self.markers.tables]).encode()).hexdigest()

    def loaders(self, pairs: PairDataset, settings: StreamSettings) -> tuple[PairDataLoader, PairDataLoader]:
        """Return the loader of training batches of ``pairs``, which may have noise, and that of the validation cells."""
        # Validation cells keep all their genes.
        all_genes = settings.model_copy(update={"min_gene_fraction": 1.0})
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
