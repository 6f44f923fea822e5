"""Validation losses on held-out cells."""

import torch
from lightning_fabric import Fabric
from torch import nn

from okrcell.alignment.objective import Loss
from okrcell.cells.tokenise import CellTokens
from okrcell.pairs.stream import PairBatch, PairStream
from okrcell.training.calendar import Moment

MOST_BATCHES = 20
"""Enough to show a trend; all validation cells of a large corpus would cost more than the steps between two checks."""


def figures(loss: Loss) -> dict[str, float]:
    """Return the parts of a loss as floats, by name."""
    return {name: float(value.detach()) for name, value in loss._asdict().items()}


@torch.no_grad()
def validated(learner: nn.Module, check: PairStream, fabric: Fabric, moment: Moment) -> dict[str, float]:
    """Mean losses over the validation cells, or an even subsample of them; batches are weighted by their cells.

    Every pair has weight 1 and is compared with its batch alone, whatever the objective.
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
    """Move a batch to the device of the model."""
    to = fabric.to_device
    cells = CellTokens(to(batch.cells.gene), to(batch.cells.value))
    return PairBatch(cells, to(batch.masked), to(batch.text), to(batch.cell_type), to(batch.trust), to(batch.row))
