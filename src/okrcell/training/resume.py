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
from okrcell.storage import atomic_dir, recover_dir
from okrcell.training.state import TrainState

STATE_FILE, TENSORS_FILE = "state.json", "state.safetensors"


@dataclass(frozen=True)
class ResumePoint:
    """Progress of a run, and what it was started with."""

    step: int
    """The next step."""
    settings: dict[str, Any]
    """Settings of the run, compared before it is resumed."""
    corpus: str
    """Fingerprint of the training inputs."""


def save_resume_point(
    path: Path, resume_point: ResumePoint, model: nn.Module, optimizer: Optimizer, state: TrainState
) -> None:
    """Write weights, optimizer, training state and random state atomically; a killed process leaves the old folder."""
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            tensors[f"model.{name}"] = parameter.detach()
    tensors |= {f"memory.{name}": tensor for name, tensor in state.state_dict().items()}
    for group_index, group in enumerate(optimizer.param_groups):
        for i, parameter in enumerate(group["params"]):
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimiser.{group_index}.{i}.{key}"] = torch.as_tensor(value)
    with atomic_dir(path) as draft:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, draft / TENSORS_FILE)
        facts = {"step": resume_point.step, "settings": resume_point.settings, "corpus": resume_point.corpus}
        (draft / STATE_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def read_resume_point(path: Path) -> ResumePoint:
    """Read the progress of a run.

    Raises
    ------
    CheckpointError
        If there is nothing to resume, or it is damaged.
    """
    recover_dir(path)
    try:
        facts = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        return ResumePoint(facts["step"], facts["settings"], facts["corpus"])
    except FileNotFoundError:
        raise CheckpointError(
            f"There is no run to resume at {path.parent}: it has no {path.name}/{STATE_FILE}."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path / STATE_FILE} is damaged: {error}. Start a new run.") from None


def restore_resume_point(path: Path, model: nn.Module, optimizer: Optimizer, state: TrainState) -> None:
    """Restore weights, optimizer, training state and random state written by `save_resume_point`.

    Raises
    ------
    CheckpointError
        If the tensors are damaged or belong to another model.
    """
    try:
        tensors = load_file(path / TENSORS_FILE)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(tensors[f"model.{name}"])
        state_dict = {
            name.removeprefix("memory."): state_tensor
            for name, state_tensor in tensors.items()
            if name.startswith("memory.")
        }
        state.load_state_dict(state_dict)
        rng_state = tensors["random"]
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path / TENSORS_FILE} is damaged ({reason}). Start a new run.") from None
    for group_index, group in enumerate(optimizer.param_groups):
        for i, parameter in enumerate(group["params"]):
            prefix = f"optimiser.{group_index}.{i}."
            saved = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            if saved:
                # The optimizer keeps its step count on the CPU, and everything else on the parameter's device.
                on_device = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in saved.items()
                }
                optimizer.state[parameter] = on_device
    torch.set_rng_state(rng_state)
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
