"""One training step: from a batch of pairs to the loss, and the record that updates the training state."""

from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from okrcell.alignment.objective import Guess, Loss, align, objective
from okrcell.alignment.partners import Vectors
from okrcell.model.cell_text_model import CellTextModel, CellView
from okrcell.pairs.kinship import kinship
from okrcell.pairs.knowledge_pairs import KnowledgePairs
from okrcell.pairs.pair import Pairs
from okrcell.pairs.stream import PairBatch
from okrcell.training.calendar import Moment
from okrcell.training.memory import Memory, Visit
from okrcell.training.settings import PretrainSettings
from okrcell.training.text_bank import FrozenTexts, TextBank


class Stepped(NamedTuple):
    """Output of a step."""

    loss: Loss
    visit: Visit | None
    """None if no pair has a text, or there is no training state."""


class TrainingStep(nn.Module):
    """The model and its objective as one module, so that data-parallel wrappers see a single forward pass.

    Over several devices every pair is a key of every other (`gather`), and each device computes the contrastive loss of all
    pairs; the wrapper's mean over devices is then the gradient of a single device with all pairs.
    """

    kin: Tensor
    """Cell types that are equal, or of which one is an ancestor of the other: bool (type, type)."""

    def __init__(
        self,
        model: CellTextModel,
        pairs: Pairs,
        settings: PretrainSettings,
        fabric: Fabric,
        frozen: FrozenTexts,
        knowledge: KnowledgePairs | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.type_head = None
        if settings.objective.type_weight > 0:
            self.type_head = nn.Linear(settings.model.cell_encoder.width, len(pairs.cell_type_names))
        # Texts and types of simulated pairs follow those of the cells, with a common index.
        told = pairs if knowledge is None else knowledge
        self.register_buffer("kin", torch.from_numpy(kinship(told.cell_type_names)), persistent=False)
        self._texts = TextBank(model, told.texts, frozen)
        self._trust = 1.0 if knowledge is None else knowledge.settings.trust
        self._settings = settings
        self._fabric = fabric
        self._alone = True

    def forward(self, batch: PairBatch, moment: Moment, memory: Memory | None) -> Stepped:
        """Return the loss of a batch; without ``memory`` all pairs have weight 1 and are compared within the device's batch."""
        settings = self._settings.objective
        self._alone = memory is None or self._fabric.world_size == 1 or not self._settings.compute.gather
        view = self.model.view_cells(batch.cells, batch.masked)
        # Simulated cells have no hidden genes, and are excluded from CLS.
        cell_type = batch.cell_type.masked_fill(batch.row < 0, -1)
        guess = self._guess(view, cell_type)
        if settings.alignment == "none":
            return Stepped(objective(guess, cell_type, None, batch.trust, settings), None)
        mine = Vectors(view.vector, self._texts.vectors(batch.text, moment.stage), batch.cell_type)
        # A cell without a text is only in the generative losses, neither query nor key.
        paired = self._gathered(batch.trust) > 0
        if not bool(paired.any()):
            return Stepped(objective(guess, cell_type, None, batch.trust, settings), None)
        pairs = self._everyone(mine, paired)
        rows = self._gathered(batch.row)[paired]
        slow = self._slow(batch, moment, memory, paired)
        measured = rows >= 0
        trust = agreed = torch.ones(len(rows), device=rows.device).masked_fill(~measured, self._trust)
        keys, awake = pairs, False
        if memory is not None:
            if bool(measured.any()):
                judged = slow if slow is not None and settings.reliability.judge == "twin" else pairs
                heat = self.model.temperature.detach()
                judgement = memory.judged(_only(judged, measured), rows[measured], moment.epoch, heat)
                agreed = agreed.masked_scatter(measured, judgement.agreed)
                trust = trust.masked_scatter(measured, judgement.trust)
                awake = judgement.awake
            own = slow if slow is not None and settings.bank.positive_key == "momentum" else pairs
            if settings.reliability.keys == "trusted":
                own, slow = own.believed(trust >= 0.5), None if slow is None else slow.believed(trust >= 0.5)
            keys = own.followed_by(memory.bank.past)
        aligned = align(pairs, keys, trust, self.model.temperature, moment.progress, self.kin, settings)
        loss = objective(guess, cell_type, aligned, trust, settings)
        if memory is None:
            return Stepped(loss, None)
        # The training state is updated with measured cells only.
        past = None if slow is None else _only(slow, measured)
        return Stepped(loss, Visit(past, rows[measured], agreed[measured], trust[measured], awake))

    def _guess(self, view: CellView, cell_type: Tensor) -> Guess:
        logits = None if self.type_head is None else self.type_head(view.state)
        bins = self.model.settings.tokeniser.bins
        shares = self._share(view.hidden), self._share(cell_type >= 0)
        return Guess(view.by_gene, view.by_cell, view.value, view.hidden, bins, logits, *shares)

    def _share(self, mine: Tensor) -> Tensor:
        """Number of true values on this device over the mean of all devices."""
        return mine.sum() / self._gathered(mine.sum()[None].float()).mean().clamp_min(1)

    @torch.no_grad()
    def _slow(self, batch: PairBatch, moment: Moment, memory: Memory | None, paired: Tensor) -> Vectors | None:
        """Embed the batch with the EMA model; None without one."""
        if memory is None or memory.twin is None:
            return None
        twin = memory.twin.model
        hidden = batch.masked if self._settings.objective.bank.view == "masked" else None
        cells = twin.embed_cells(batch.cells, hidden)
        return self._everyone(
            Vectors(cells, self._texts.vectors(batch.text, moment.stage, twin), batch.cell_type), paired
        )

    def _everyone(self, mine: Vectors, paired: Tensor) -> Vectors:
        """Gather the pairs of all devices that have a text."""
        return Vectors(*(self._gathered(part)[paired] for part in mine))

    def _gathered(self, mine: Tensor) -> Tensor:
        """Concatenate the devices' tensors, with gradients."""
        if self._alone:
            return mine
        everyone: Any = self._fabric.all_gather(mine, sync_grads=mine.requires_grad)
        return everyone.flatten(0, 1)


def _only(pairs: Vectors, where: Tensor) -> Vectors:
    """Select the pairs where ``where`` (bool, pair) is true."""
    return Vectors(*(part[where] for part in pairs))
