"""Cache of the frozen text layers' outputs, so that each text is computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from okrcell.model.cell_text_model import CellTextModel
from okrcell.texts.tokenise import TextTokens

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
