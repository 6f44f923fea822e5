"""One training step: from a batch of pairs to the loss, and the record that updates the training state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn

from okrcell.data.dataloader import PairBatch
from okrcell.data.dataset import PairDataset
from okrcell.data.simulated_pairs import SimulatedPairs
from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.objective import Loss, MaskedPredictions, contrastive_loss, total_loss
from okrcell.model.cell_text_model import CellTextModel, MaskedCellOutput
from okrcell.model.text_encoder import TextTokens
from okrcell.ontology.relations import related
from okrcell.training.schedule import StepInfo
from okrcell.training.settings import PretrainSettings
from okrcell.training.state import StepRecord, TrainState

TEXT_BATCH_SIZE = 16
"""Number of texts of similar length that go through the frozen layers together; the groups are fixed."""


@dataclass
class FrozenTextCache:
    """Outputs of the frozen layers, by text index; several runs on the same texts may share it."""

    pooled: dict[int, Tensor] = field(default_factory=dict)
    """Pooled vectors of the untrained text encoder."""
    states: dict[int, Tensor] = field(default_factory=dict)
    """Input states of the last layer, without padding."""


class TextBank:
    """Vectors of a corpus' distinct texts.

    While the text encoder is frozen a text's pooled vector is a constant, so it is computed once (method 5.1). In
    stage 2 only the last layer changes: its input is a constant too, and is cached where the encoder supports it.
    Otherwise all layers run at every step.

    The last bits of a text's vector depend on the texts it is batched with. Texts are therefore computed in fixed groups of
    similar length, not in the batch that needs them first: a resumed run gives the same numbers.
    """

    def __init__(self, model: CellTextModel, texts: Sequence[str], cache: FrozenTextCache | None = None) -> None:
        self._model = model
        self._texts = texts
        self._cache = FrozenTextCache() if cache is None else cache
        self._length_buckets = _bucket_by_length(texts)
        self._bucket_of = {i: bucket_id for bucket_id, bucket in enumerate(self._length_buckets) for i in bucket}

    def vectors(
        self, text: Int[Tensor, "pair"], stage: int, model: CellTextModel | None = None
    ) -> Float[Tensor, "pair dim"]:
        """Return t_i for the text indices ``text``; each distinct text is computed once.

        ``model`` may be an EMA copy, which shares the frozen layers.
        """
        model = self._model if model is None else model
        indices, inverse = text.cpu().unique(return_inverse=True)
        pooled = (
            self._frozen_vectors(indices.tolist()) if stage == 1 else self._adapted_vectors(indices.tolist(), model)
        )
        return model.project_texts(pooled.to(self._device))[inverse.to(self._device)]

    @torch.no_grad()
    def _frozen_vectors(self, indices: list[int]) -> Tensor:
        cached = self._cache.pooled
        for bucket in self._missing_buckets(indices, cached):
            pooled = self._model.text_encoder(self._tokens(bucket))
            cached.update(zip(bucket, pooled.cpu(), strict=True))
        return torch.stack([cached[i] for i in indices])

    def _adapted_vectors(self, indices: list[int], model: CellTextModel) -> Tensor:
        encoder, cached = model.text_encoder, self._cache.states
        if not encoder.supports_state_cache:
            return encoder(self._tokens(indices))
        for bucket in self._missing_buckets(indices, cached):
            tokens = self._tokens(bucket)
            for i, states, length in zip(
                bucket, encoder.penultimate_states(tokens), tokens.attention_mask.sum(1), strict=True
            ):
                cached[i] = states[:length].cpu().clone()
        states = [cached[i] for i in indices]
        length = torch.tensor([len(state) for state in states])
        attention = (torch.arange(int(length.max())) < length[:, None]).long()
        padded = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        return encoder.forward_last_layer(padded.to(self._device), attention.to(self._device))

    def _missing_buckets(self, indices: Sequence[int], cached: Mapping[int, Tensor]) -> list[list[int]]:
        """Return the groups of those ``indices`` that are not cached yet."""
        return [
            self._length_buckets[bucket_id]
            for bucket_id in sorted({self._bucket_of[i] for i in indices if i not in cached})
        ]

    @property
    def _device(self) -> torch.device:
        return self._model.log_sharpness.device

    def _tokens(self, indices: Sequence[int]) -> TextTokens:
        tokens = self._model.text_encoder.tokenizer.tokenize([self._texts[i] for i in indices])
        return TextTokens(tokens.input_ids.to(self._device), tokens.attention_mask.to(self._device))


def _bucket_by_length(texts: Sequence[str]) -> list[list[int]]:
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    return [order[start : start + TEXT_BATCH_SIZE] for start in range(0, len(order), TEXT_BATCH_SIZE)]


class StepOutput(NamedTuple):
    """Output of a step."""

    loss: Loss
    record: StepRecord | None
    """None if no pair has a text, or there is no training state."""


class TrainingStep(nn.Module):
    """The model and its objective as one module, so that data-parallel wrappers see a single forward pass.

    Over several devices every pair is a key of every other (`gather`), and each device computes the contrastive loss of all
    pairs; the wrapper's mean over devices is then the gradient of a single device with all pairs.
    """

    related_types: Tensor
    """Cell types that are equal, or of which one is an ancestor of the other: bool (type, type)."""

    def __init__(
        self,
        model: CellTextModel,
        pairs: PairDataset,
        settings: PretrainSettings,
        fabric: Fabric,
        text_cache: FrozenTextCache,
        knowledge_pairs: SimulatedPairs | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.type_head = None
        if settings.objective.type_weight > 0:
            self.type_head = nn.Linear(settings.model.cell_encoder.width, len(pairs.cell_type_names))
        # Texts and types of simulated pairs follow those of the cells, with a common index.
        text_source = pairs if knowledge_pairs is None else knowledge_pairs
        self.register_buffer("related_types", torch.from_numpy(related(text_source.cell_type_names)), persistent=False)
        self._text_bank = TextBank(model, text_source.texts, text_cache)
        self._simulated_weight = 1.0 if knowledge_pairs is None else knowledge_pairs.settings.trust
        self._settings = settings
        self._fabric = fabric
        self._single_device = True

    def forward(self, batch: PairBatch, step_info: StepInfo, state: TrainState | None) -> StepOutput:
        """Return the loss of a batch; without ``state`` all pairs have weight 1 and are compared within the device's batch."""
        settings = self._settings.objective
        self._single_device = state is None or self._fabric.world_size == 1 or not self._settings.compute.gather
        outputs = self.model.encode_masked(batch.cells, batch.masked)
        # Simulated cells have no hidden genes, and are excluded from CLS.
        cell_type = batch.cell_type.masked_fill(batch.row < 0, -1)
        predictions = self._predict_masked(outputs, cell_type)
        if settings.alignment == "none":
            return StepOutput(total_loss(predictions, cell_type, None, batch.weight, settings), None)
        local = PairEmbeddings(outputs.vector, self._text_bank.vectors(batch.text, step_info.stage), batch.cell_type)
        # A cell without a text is only in the generative losses, neither query nor key.
        has_text = self._gather(batch.weight) > 0
        if not bool(has_text.any()):
            return StepOutput(total_loss(predictions, cell_type, None, batch.weight, settings), None)
        pairs = self._gather_pairs(local, has_text)
        rows = self._gather(batch.row)[has_text]
        ema_embeddings = self._ema_embeddings(batch, step_info, state, has_text)
        is_measured = rows >= 0
        weights = match_prob = torch.ones(len(rows), device=rows.device).masked_fill(
            ~is_measured, self._simulated_weight
        )
        keys, active = pairs, False
        if state is not None:
            if bool(is_measured.any()):
                reference = (
                    ema_embeddings if ema_embeddings is not None and settings.reliability.embeddings == "ema" else pairs
                )
                temperature = self.model.temperature.detach()
                pair_weights = state.pair_weights(
                    _select(reference, is_measured), rows[is_measured], step_info.epoch, temperature
                )
                match_prob = match_prob.masked_scatter(is_measured, pair_weights.match_prob)
                weights = weights.masked_scatter(is_measured, pair_weights.weights)
                active = pair_weights.reliability_active
            own_keys = (
                ema_embeddings if ema_embeddings is not None and settings.bank.positive_key == "momentum" else pairs
            )
            if settings.reliability.key_filter == "trusted":
                own_keys, ema_embeddings = (
                    own_keys.mask_untrusted(weights >= 0.5),
                    None if ema_embeddings is None else ema_embeddings.mask_untrusted(weights >= 0.5),
                )
            keys = own_keys.concat(state.bank.entries)
        contrastive = contrastive_loss(
            pairs, keys, weights, self.model.temperature, step_info.progress, self.related_types, settings
        )
        loss = total_loss(predictions, cell_type, contrastive, weights, settings)
        if state is None:
            return StepOutput(loss, None)
        # The training state is updated with measured cells only.
        bank_entries = None if ema_embeddings is None else _select(ema_embeddings, is_measured)
        return StepOutput(
            loss, StepRecord(bank_entries, rows[is_measured], match_prob[is_measured], weights[is_measured], active)
        )

    def _predict_masked(self, outputs: MaskedCellOutput, cell_type: Tensor) -> MaskedPredictions:
        logits = None if self.type_head is None else self.type_head(outputs.state)
        n_bins = self.model.settings.tokeniser.bins
        fractions = self._global_fraction(outputs.hidden), self._global_fraction(cell_type >= 0)
        return MaskedPredictions(outputs.gep, outputs.gepc, outputs.value, outputs.hidden, n_bins, logits, *fractions)

    def _global_fraction(self, local: Tensor) -> Tensor:
        """Number of true values on this device over the mean of all devices."""
        return local.sum() / self._gather(local.sum()[None].float()).mean().clamp_min(1)

    @torch.no_grad()
    def _ema_embeddings(
        self, batch: PairBatch, step_info: StepInfo, state: TrainState | None, has_text: Tensor
    ) -> PairEmbeddings | None:
        """Embed the batch with the EMA model; None without one."""
        if state is None or state.ema_model is None:
            return None
        ema_model = state.ema_model.model
        hidden = batch.masked if self._settings.objective.bank.view == "masked" else None
        cells = ema_model.embed_cells(batch.cells, hidden)
        return self._gather_pairs(
            PairEmbeddings(cells, self._text_bank.vectors(batch.text, step_info.stage, ema_model), batch.cell_type),
            has_text,
        )

    def _gather_pairs(self, local: PairEmbeddings, has_text: Tensor) -> PairEmbeddings:
        """Gather the pairs of all devices that have a text."""
        return PairEmbeddings(*(self._gather(part)[has_text] for part in local))

    def _gather(self, local: Tensor) -> Tensor:
        """Concatenate the devices' tensors, with gradients."""
        if self._single_device:
            return local
        gathered: Any = self._fabric.all_gather(local, sync_grads=local.requires_grad)
        return gathered.flatten(0, 1)


def _select(pairs: PairEmbeddings, mask: Tensor) -> PairEmbeddings:
    """Select the pairs where ``mask`` (bool, pair) is true."""
    return PairEmbeddings(*(part[mask] for part in pairs))
