"""Validation losses on held-out cells."""

import torch
from lightning_fabric import Fabric
from torch import nn

from okrcell.losses.objective import Loss
from okrcell.cells.tokenizer import CellTokens
from okrcell.data.dataloader import PairBatch, PairDataLoader
from okrcell.training.calendar import StepInfo

MAX_VALIDATION_BATCHES = 20
"""Enough to show a trend; all validation cells of a large corpus would cost more than the steps between two checks."""


def loss_dict(loss: Loss) -> dict[str, float]:
    """Return the parts of a loss as floats, by name."""
    return {name: float(value.detach()) for name, value in loss._asdict().items()}


@torch.no_grad()
def validate(module: nn.Module, loader: PairDataLoader, fabric: Fabric, step_info: StepInfo) -> dict[str, float]:
    """Mean losses over the validation cells, or an even subsample of them; batches are weighted by their cells.

    Every pair has weight 1 and is compared with its batch alone, whatever the objective.
    """
    module.eval()
    sums: dict[str, float] = {}
    n_cells = 0
    for batch in loader.validation_batches(MAX_VALIDATION_BATCHES):
        for name, value in loss_dict(module(to_device(fabric, batch), step_info, None).loss).items():
            sums[name] = sums.get(name, 0.0) + value * len(batch.row)
        n_cells += len(batch.row)
    module.train()
    return {f"validation_{name}": value / max(n_cells, 1) for name, value in sums.items()}


def to_device(fabric: Fabric, batch: PairBatch) -> PairBatch:
    """Move a batch to the device of the model."""
    move = fabric.to_device
    cells = CellTokens(move(batch.cells.gene), move(batch.cells.value))
    return PairBatch(
        cells, move(batch.masked), move(batch.text), move(batch.cell_type), move(batch.weight), move(batch.row)
    )
