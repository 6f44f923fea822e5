"""Training state outside the weights: EMA model, memory bank, reliability table."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from okrcell.alignment.memory_bank import MemoryBank
from okrcell.alignment.momentum import Twin
from okrcell.alignment.objective import ObjectiveSettings
from okrcell.alignment.partners import Vectors
from okrcell.alignment.reliability import agreement, trusted
from okrcell.alignment.reliability_table import ReliabilityTable
from okrcell.model.cell_text_model import CellTextModel


class Visit(NamedTuple):
    """Output of a step that updates the training state."""

    slow: Vectors | None
    """Embeddings of the batch by the EMA model; None without one."""
    rows: Int[Tensor, "pair"]
    """Rows of the corpus that took part in the contrastive loss."""
    agreed: Float[Tensor, "pair"]
    """r of each of those pairs."""
    trust: Float[Tensor, "pair"]
    """W of each of those pairs."""
    awake: bool
    """Whether reliability weights are active."""


class Judgement(NamedTuple):
    """Reliability of the pairs of a batch."""

    agreed: Float[Tensor, "pair"]
    """r, in [0, 1]."""
    trust: Float[Tensor, "pair"]
    """W, in [0, 1]; 1 while reliability weights are inactive."""
    awake: bool
    """Whether reliability weights are active."""


class Memory:
    """Training state outside the weights: EMA model, memory bank, reliability table.

    The step reads it; only `keep`, `new_stage` and `restore` change it.
    """

    def __init__(
        self, model: CellTextModel, settings: ObjectiveSettings, pairs: int, epochs: int, device: torch.device
    ) -> None:
        self._settings = settings
        aligned = settings.alignment != "none"
        slow = aligned and (settings.bank.size > 0 or settings.reliability.judge == "twin")
        self.twin = Twin(model, settings.bank.momentum) if slow else None
        self.bank = MemoryBank(settings.bank.size if aligned else 0, model.dim, device)
        self.table = ReliabilityTable(pairs if aligned and settings.reliability.use else 0, epochs)
        self._last_trust = torch.ones(len(self.table))
        self._awake = False

    def judged(self, pairs: Vectors, rows: Int[Tensor, "pair"], epoch: int, temperature: Tensor) -> Judgement:
        """Return r and W of each pair of a batch (E9 to E11)."""
        settings = self._settings.reliability
        if not settings.use:
            full = torch.ones(len(rows), device=rows.device)
            return Judgement(full, full, awake=False)
        same: Bool[Tensor, "pair pair"] = pairs.cell_type[:, None] == pairs.cell_type[None, :]
        sharpness = temperature if settings.sharpness == "temperature" else settings.sharpness
        agreed = agreement(pairs.cells, pairs.texts, same, sharpness, settings)
        stable = self.table.stability(rows, epoch, settings)
        trust = trusted(agreed, stable, same, epoch, settings)
        awake = epoch > settings.warmup and (self._awake or bool((trust >= 0.5).float().mean() >= settings.wake))
        return Judgement(agreed, trust if awake else torch.ones_like(trust), awake)

    def keep(self, visit: Visit | None, model: CellTextModel, epoch: int) -> None:
        """Update after a step: the EMA model, the bank with the batch, the reliability table with r."""
        if self.twin is not None:
            self.twin.follow(model)
        if visit is None:
            return
        self._awake = self._awake or visit.awake
        if visit.slow is not None:
            self.bank.push(visit.slow)
        if len(self.table):
            if epoch >= self._settings.reliability.recorded_from:
                self.table.record(visit.rows, epoch, visit.agreed)
            self._last_trust[visit.rows.cpu()] = visit.trust.float().cpu()

    @property
    def last_trust(self) -> Float[Tensor, "row"]:
        """W of each cell of the corpus at its last visit; 1 for a cell that was never visited."""
        return self._last_trust

    def new_stage(self) -> None:
        """Empty the bank if the settings ask for it, because stage 2 changes the text encoder."""
        if self._settings.bank.reset_at_stage:
            self.bank.empty()

    def state(self) -> dict[str, Tensor]:
        """Return all tensors needed to resume, by name."""
        parts = {
            "bank": self.bank.state(),
            "table": self.table.state() | {"trust": self._last_trust, "awake": torch.tensor(self._awake)},
        }
        if self.twin is not None:
            parts["twin"] = self.twin.state()
        return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the output of `state`.

        Raises
        ------
        KeyError
            If an entry is missing.
        """
        self.bank.restore(_part(state, "bank"))
        table = _part(state, "table")
        self.table.restore(table)
        self._last_trust.copy_(table["trust"])
        self._awake = bool(table["awake"])
        if self.twin is not None:
            self.twin.restore(_part(state, "twin"))


def _part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}
