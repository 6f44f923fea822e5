"""Checkpoint of a run in progress, for exact resumption."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from okrcell.errors import CheckpointError
from okrcell.files import recover_folder, whole_folder
from okrcell.training.memory import Memory

STATE, TENSORS = "state.json", "state.safetensors"


@dataclass(frozen=True)
class Position:
    """Progress of a run, and what it was started with."""

    step: int
    """The next step."""
    settings: dict[str, Any]
    """Settings of the run, compared before it is resumed."""
    corpus: str
    """Fingerprint of the training inputs."""


def save_position(path: Path, position: Position, model: nn.Module, optimiser: Optimizer, memory: Memory) -> None:
    """Write weights, optimizer, training state and random state atomically; a killed process leaves the old folder."""
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            tensors[f"model.{name}"] = parameter.detach()
    tensors |= {f"memory.{name}": tensor for name, tensor in memory.state().items()}
    for number, group in enumerate(optimiser.param_groups):
        for place, parameter in enumerate(group["params"]):
            for key, value in optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{number}.{place}.{key}"] = torch.as_tensor(value)
    with whole_folder(path) as draft:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, draft / TENSORS)
        facts = {"step": position.step, "settings": position.settings, "corpus": position.corpus}
        (draft / STATE).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load_position(path: Path) -> Position:
    """Read the progress of a run.

    Raises
    ------
    CheckpointError
        If there is nothing to resume, or it is damaged.
    """
    recover_folder(path)
    try:
        facts = json.loads((path / STATE).read_text(encoding="utf-8"))
        return Position(facts["step"], facts["settings"], facts["corpus"])
    except FileNotFoundError:
        raise CheckpointError(f"There is no run to resume at {path.parent}: it has no {path.name}/{STATE}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path / STATE} is damaged: {error}. Start a new run.") from None


def restore_position(path: Path, model: nn.Module, optimiser: Optimizer, memory: Memory) -> None:
    """Restore weights, optimizer, training state and random state written by `save_position`.

    Raises
    ------
    CheckpointError
        If the tensors are damaged or belong to another model.
    """
    try:
        tensors = load_file(path / TENSORS)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(tensors[f"model.{name}"])
        remembered = {
            name.removeprefix("memory."): each for name, each in tensors.items() if name.startswith("memory.")
        }
        memory.restore(remembered)
        random = tensors["random"]
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path / TENSORS} is damaged ({reason}). Start a new run.") from None
    for number, group in enumerate(optimiser.param_groups):
        for place, parameter in enumerate(group["params"]):
            prefix = f"optimiser.{number}.{place}."
            found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            if found:
                # The optimizer keeps its step count on the CPU, and everything else on the parameter's device.
                moved = {key: value if key == "step" else value.to(parameter.device) for key, value in found.items()}
                optimiser.state[parameter] = moved
    torch.set_rng_state(random)
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
