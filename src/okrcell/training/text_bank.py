"""Cache of the frozen text layers' outputs, so that each text is computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from okrcell.model.cell_text_model import CellTextModel
from okrcell.texts.tokenise import TextTokens

TEXTS_AT_ONCE = 16
"""Number of texts of similar length that go through the frozen layers together; the groups are fixed."""


@dataclass
class FrozenTexts:
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

    def __init__(self, model: CellTextModel, texts: Sequence[str], frozen: FrozenTexts | None = None) -> None:
        self._model = model
        self._texts = texts
        self._frozen = FrozenTexts() if frozen is None else frozen
        self._companies = _by_length(texts)
        self._company = {place: number for number, some in enumerate(self._companies) for place in some}

    def vectors(
        self, text: Int[Tensor, "pair"], stage: int, model: CellTextModel | None = None
    ) -> Float[Tensor, "pair dim"]:
        """Return t_i for the text indices ``text``; each distinct text is computed once.

        ``model`` may be an EMA copy, which shares the frozen layers.
        """
        model = self._model if model is None else model
        places, back = text.cpu().unique(return_inverse=True)
        pooled = self._pooled(places.tolist()) if stage == 1 else self._trained(places.tolist(), model)
        return model.project_texts(pooled.to(self._device))[back.to(self._device)]

    @torch.no_grad()
    def _pooled(self, places: list[int]) -> Tensor:
        known = self._frozen.pooled
        for some in self._lacking(places, known):
            pooled = self._model.text_encoder(self._tokens(some))
            known.update(zip(some, pooled.cpu(), strict=True))
        return torch.stack([known[place] for place in places])

    def _trained(self, places: list[int], model: CellTextModel) -> Tensor:
        encoder, known = model.text_encoder, self._frozen.states
        if not encoder.keeps_states:
            return encoder(self._tokens(places))
        for some in self._lacking(places, known):
            tokens = self._tokens(some)
            for place, states, length in zip(some, encoder.states(tokens), tokens.attention.sum(1), strict=True):
                known[place] = states[:length].cpu().clone()
        states = [known[place] for place in places]
        length = torch.tensor([len(state) for state in states])
        attention = (torch.arange(int(length.max())) < length[:, None]).long()
        padded = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        return encoder.last(padded.to(self._device), attention.to(self._device))

    def _lacking(self, places: Sequence[int], kept: Mapping[int, Tensor]) -> list[list[int]]:
        """Return the groups of those ``places`` that are not cached yet."""
        return [self._companies[one] for one in sorted({self._company[place] for place in places if place not in kept})]

    @property
    def _device(self) -> torch.device:
        return self._model.log_sharpness.device

    def _tokens(self, places: Sequence[int]) -> TextTokens:
        tokens = self._model.text_encoder.tokeniser.tokenise([self._texts[place] for place in places])
        return TextTokens(tokens.piece.to(self._device), tokens.attention.to(self._device))


def _by_length(texts: Sequence[str]) -> list[list[int]]:
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    return [order[start : start + TEXTS_AT_ONCE] for start in range(0, len(order), TEXTS_AT_ONCE)]
