"""Momentum encoder and memory bank (MoCo): an EMA copy of the model, and recent pairs as further keys."""

import copy
from collections.abc import Mapping
from typing import Annotated, Generic, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from okrcell.losses.contrastive import PairEmbeddings
from okrcell.settings import Settings

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class EMAModel(Generic[AnyModule]):
    """Exponential moving average of a model's parameters (E7); after MoCo (arXiv 1911.05722).

    Parameters without gradient are shared, not copied: those of a frozen text encoder would be identical.

    Parameters
    ----------
    momentum
        m of E7, in [0, 1]: the fraction of the average that is kept at each step.
    """

    def __init__(self, model: AnyModule, momentum: float) -> None:
        shared = {id(parameter): parameter for parameter in model.parameters() if not parameter.requires_grad}
        self.model: AnyModule = copy.deepcopy(model, shared).eval().requires_grad_(requires_grad=False)
        self.momentum = momentum
        self._trained_names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]

    @torch.no_grad()
    def update(self, model: AnyModule) -> None:
        """Update the average with ``model``: theta_bar <- m theta_bar + (1 - m) theta (E7 [paper])."""
        averaged, current = dict(self.model.named_parameters()), dict(model.named_parameters())
        for name in self._trained_names:
            averaged[name].lerp_(current[name].to(averaged[name]), 1 - self.momentum)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the averaged parameters by name."""
        averaged = dict(self.model.named_parameters())
        return {name: averaged[name].detach() for name in self._trained_names}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """Restore the output of `state_dict`.

        Raises
        ------
        KeyError
            If a parameter is missing.
        """
        averaged = dict(self.model.named_parameters())
        for name in self._trained_names:
            averaged[name].copy_(state_dict[name])


class BankSettings(Settings):
    """Coupled momentum memory banks, CMMB (method 5.1, E7 and E8)."""

    size: Annotated[int, Field(ge=0)] = 4096
    """Number of stored pairs (B; our reconstruction; MoCo and ALBEF: 65,536). 0: no bank."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.995
    """m of the EMA model that fills the bank (our reconstruction, as in ALBEF; MoCo: 0.999)."""
    positive_key: Literal["online", "momentum"] = "online"
    """Source of the batch's own keys: the model, with gradient (our reconstruction), or the EMA model."""
    view: Literal["masked", "full"] = "masked"
    """Input of the EMA cell encoder: the genes left by masking (our reconstruction), or all (`improved`)."""
    reset_at_stage: bool = True
    """Empty the bank when stage 2 begins: its texts were embedded by the frozen encoder (method 5.7, row 5)."""


class MemoryBank:
    """First-in, first-out buffer of pair embeddings, cells and texts side by side.

    It starts empty: an unfilled slot is not a key, so a new bank adds no random negatives (ours). Cell and text of a slot
    are one pair; the cell type of each slot decides which keys are negatives.
    """

    def __init__(self, size: int, dim: int, device: torch.device | None = None) -> None:
        self._slots = PairEmbeddings(
            torch.zeros(size, dim, device=device),
            torch.zeros(size, dim, device=device),
            torch.full((size,), -1, dtype=torch.long, device=device),
        )
        self._n_pushed = 0

    def __len__(self) -> int:
        return min(self._n_pushed, self.size)

    @property
    def size(self) -> int:
        """Maximum number of pairs."""
        return len(self._slots.cell_type)

    @property
    def entries(self) -> PairEmbeddings:
        """Stored pairs, without gradient; slots are not in order of time."""
        return PairEmbeddings(*(slot[: len(self)] for slot in self._slots))

    @torch.no_grad()
    def push(self, pairs: PairEmbeddings) -> None:
        """Add pairs; if there are more than the bank can hold, the last ones."""
        if self.size == 0:
            return
        newest = PairEmbeddings(*(part[-self.size :] for part in pairs))
        self._n_pushed += len(pairs.cell_type) - len(newest.cell_type)
        slot_indices = (
            self._n_pushed + torch.arange(len(newest.cell_type), device=self._slots.cells.device)
        ) % self.size
        for slot, part in zip(self._slots, newest, strict=True):
            slot[slot_indices] = part.to(slot)
        self._n_pushed += len(newest.cell_type)

    def clear(self) -> None:
        """Remove all pairs."""
        self._n_pushed = 0

    def state_dict(self) -> dict[str, Tensor]:
        """Return all tensors needed to resume."""
        return {**self._slots._asdict(), "pushed": torch.tensor(self._n_pushed)}

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Restore the output of `state_dict`.

        Raises
        ------
        KeyError
            If an entry is missing.
        """
        for name, slot in self._slots._asdict().items():
            slot.copy_(state_dict[name])
        self._n_pushed = int(state_dict["pushed"])
