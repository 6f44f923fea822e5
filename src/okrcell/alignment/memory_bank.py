"""Negatives from recent batches."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from okrcell.alignment.partners import Vectors
from okrcell.settings import Settings


class BankSettings(Settings):
    """Coupled momentum memory banks, CMMB (method 5.1, E7 and E8)."""

    size: Annotated[int, Field(ge=0)] = 4096
    """Pairs that are remembered (B; our reconstruction; MoCo and ALBEF: 65,536). 0: no banks."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.995
    """m of the twins that fill it (our reconstruction, as in ALBEF; MoCo: 0.999)."""
    positive_key: Literal["online", "momentum"] = "online"
    """Whose vectors of the batch itself are keys: the model's, with gradient (our reconstruction), or the twins'."""
    view: Literal["masked", "full"] = "masked"
    """What the cell twin sees: the genes left by masking (our reconstruction), or all (`improved`)."""
    reset_at_stage: bool = True
    """Empty the banks where stage 2 begins: what they hold are texts as the frozen encoder read them (method 5.7, row 5)."""


class MemoryBank:
    """The newest pairs' vectors, cells and texts side by side, first in, first out.

    It begins empty: what was never pushed is no key, so a young bank gives no random negatives (ours). Cells and texts of
    a slot are of one pair; each slot knows its cell type, for telling who is no negative.
    """

    def __init__(self, size: int, dim: int, device: torch.device | None = None) -> None:
        self._slots = Vectors(
            torch.zeros(size, dim, device=device),
            torch.zeros(size, dim, device=device),
            torch.full((size,), -1, dtype=torch.long, device=device),
        )
        self._pushed = 0

    def __len__(self) -> int:
        return min(self._pushed, self.size)

    @property
    def size(self) -> int:
        """Pairs it can hold."""
        return len(self._slots.cell_type)

    @property
    def past(self) -> Vectors:
        """What it holds, without gradient; the order of slots is not that of time."""
        return Vectors(*(slot[: len(self)] for slot in self._slots))

    @torch.no_grad()
    def push(self, pairs: Vectors) -> None:
        """Add pairs, of whatever number; of more than it can hold, the last ones."""
        if self.size == 0:
            return
        newest = Vectors(*(part[-self.size :] for part in pairs))
        self._pushed += len(pairs.cell_type) - len(newest.cell_type)
        places = (self._pushed + torch.arange(len(newest.cell_type), device=self._slots.cells.device)) % self.size
        for slot, part in zip(self._slots, newest, strict=True):
            slot[places] = part.to(slot)
        self._pushed += len(newest.cell_type)

    def empty(self) -> None:
        """Forget everything."""
        self._pushed = 0

    def state(self) -> dict[str, Tensor]:
        """Return all that it takes to go on from here."""
        return {**self._slots._asdict(), "pushed": torch.tensor(self._pushed)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave.

        Raises
        ------
        KeyError
            If something is missing.
        """
        for name, slot in self._slots._asdict().items():
            slot.copy_(state[name])
        self._pushed = int(state["pushed"])
