"""Some steps of learning, on one device with all pairs or on two with a half each; run as a script for the latter."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from okrcell.cells.tokenizer import CellTokens
from okrcell.data.dataloader import PairBatch
from okrcell.settings import parse_settings
from okrcell.training.schedule import StepInfo
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import RunInputs, build_optimizer, launch_fabric
from okrcell.training.state import TrainState
from okrcell.training.step import TrainingStep

from okrcell.model.cell_text_model import CellTextModel  # isort: skip

MOMENTS = [StepInfo(1, 0.1, 1), StepInfo(1, 0.15, 2), StepInfo(1, 0.3, 3), StepInfo(2, 0.6, 4), StepInfo(2, 0.8, 5)]
"""Both stages, both phases of the curriculum, with and without the say of stability."""


def joined(halves):
    """Put the batches of two devices one behind the other."""
    width = max(half.masked.shape[1] for half in halves)

    def wide(part):
        return torch.nn.functional.pad(part, (0, width - part.shape[1]))

    cells = CellTokens(*(torch.cat([wide(getattr(half.cells, name)) for half in halves]) for name in ("gene", "value")))
    others = [torch.cat([getattr(half, name) for half in halves]) for name in ("text", "cell_type", "weight", "row")]
    return PairBatch(cells, torch.cat([wide(half.masked) for half in halves]), *others)


def taken(settings):
    """Return the losses, gradients and memory of each step, by name."""
    fabric = launch_fabric(settings)
    torch.manual_seed(settings.seed)
    ground = RunInputs.from_settings(settings)
    stream, _ = ground.loaders(ground.pairs, settings.stream)
    model = CellTextModel(settings.model, n_genes=len(ground.vocabulary))
    step_of = TrainingStep(model, ground.pairs, settings, fabric, ground.text_cache)
    build_optimizer(step_of, settings)  # it says what is trained
    trained = {name: each for name, each in step_of.named_parameters() if each.requires_grad}
    # Plain descent: where a gradient is nearly 0, Adam would make much of the order in which it was added up.
    learner, optimiser = fabric.setup(step_of, torch.optim.SGD(trained.values(), lr=0.05))
    memory = TrainState(model, settings.objective, len(ground.pairs.corpus), len(MOMENTS), fabric.device)
    learner.train()
    found = {}
    for step, moment in enumerate(MOMENTS):
        if fabric.world_size == 2:
            batch = stream.batch(step, fabric.global_rank, 2)
        else:
            batch = joined([stream.batch(step, rank, 2) for rank in (0, 1)])
        loss, visit = learner(batch, moment, memory)
        fabric.backward(loss.total)
        found |= {f"{step}.loss.{name}": part.detach().clone() for name, part in loss._asdict().items()}
        found |= {
            f"{step}.gradient.{name}": each.grad.clone() for name, each in trained.items() if each.grad is not None
        }
        found[f"{step}.paired"] = batch.weight.sum()
        found[f"{step}.hidden"] = batch.masked.sum()
        optimiser.step()
        optimiser.zero_grad()
        memory.update(visit, model, moment.epoch)
    found |= {f"memory.{name}": tensor.clone() for name, tensor in memory.state_dict().items()}
    return fabric.global_rank, {name: tensor.contiguous() for name, tensor in found.items()}


def main():
    folder = Path(sys.argv[1])
    for name, values in json.loads((folder / "runs.json").read_text()).items():
        rank, found = taken(parse_settings(PretrainSettings, values, "test"))
        save_file(found, folder / f"{name}.{rank}.safetensors")


if __name__ == "__main__":
    main()
