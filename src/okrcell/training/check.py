"""How the held-out cells fare."""

import torch
from lightning_fabric import Fabric
from torch import nn

from okrcell.alignment.objective import Loss
from okrcell.cells.tokenise import CellTokens
from okrcell.pairs.stream import PairBatch, PairStream
from okrcell.training.calendar import Moment

MOST_BATCHES = 20
"""Enough to see a trend: all validation cells of a large corpus would cost more than the steps between two looks."""


def figures(loss: Loss) -> dict[str, float]:
    """Return the named parts of a loss as numbers."""
    return {name: float(value.detach()) for name, value in loss._asdict().items()}


@torch.no_grad()
def validated(learner: nn.Module, check: PairStream, fabric: Fabric, moment: Moment) -> dict[str, float]:
    """Mean losses over the validation cells, or an even sample of many; each batch weighs by its cells.

    Every pair is trusted and compared with its batch alone, whatever the objective.
    """
    learner.eval()
    sums: dict[str, float] = {}
    cells = 0
    for batch in check.in_order(MOST_BATCHES):
        for name, value in figures(learner(moved(fabric, batch), moment, None).loss).items():
            sums[name] = sums.get(name, 0.0) + value * len(batch.row)
        cells += len(batch.row)
    learner.train()
    return {f"validation_{name}": value / max(cells, 1) for name, value in sums.items()}


def moved(fabric: Fabric, batch: PairBatch) -> PairBatch:
    """Bring a batch to the device that the model is on."""
    to = fabric.to_device
    cells = CellTokens(to(batch.cells.gene), to(batch.cells.value))
    return PairBatch(cells, to(batch.masked), to(batch.text), to(batch.cell_type), to(batch.trust), to(batch.row))
