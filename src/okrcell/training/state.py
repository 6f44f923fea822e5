"""Training state outside the weights: EMA model, memory bank, reliability table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from okrcell.errors import CheckpointError
from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.momentum import EMAModel, MemoryBank
from okrcell.losses.objective import ObjectiveSettings
from okrcell.losses.pair_weights import ReliabilityHistory, match_probability, reliability_weights
from okrcell.model.cell_text_model import CellTextModel
from okrcell.storage import atomic_dir, recover_dir

STATE_FILE, TENSORS_FILE = "state.json", "state.safetensors"


class StepRecord(NamedTuple):
    """Output of a step that updates the training state."""

    ema_embeddings: PairEmbeddings | None
    """Embeddings of the batch by the EMA model; None without one."""
    rows: Int[Tensor, "pair"]
    """Rows of the corpus that took part in the contrastive loss."""
    match_prob: Float[Tensor, "pair"]
    """r of each of those pairs."""
    weights: Float[Tensor, "pair"]
    """W of each of those pairs."""
    reliability_active: bool
    """Whether reliability weights are active."""


class PairWeights(NamedTuple):
    """Reliability of the pairs of a batch."""

    match_prob: Float[Tensor, "pair"]
    """r, in [0, 1]."""
    weights: Float[Tensor, "pair"]
    """W, in [0, 1]; 1 while reliability weights are inactive."""
    reliability_active: bool
    """Whether reliability weights are active."""


class TrainState:
    """Training state outside the weights: EMA model, memory bank, reliability table.

    The step reads it; only `update`, `new_stage` and `load_state_dict` change it.
    """

    def __init__(
        self, model: CellTextModel, settings: ObjectiveSettings, n_pairs: int, n_epochs: int, device: torch.device
    ) -> None:
        self._settings = settings
        contrastive = settings.alignment != "none"
        use_ema = contrastive and (settings.bank.size > 0 or settings.reliability.embeddings == "ema")
        self.ema_model = EMAModel(model, settings.bank.momentum) if use_ema else None
        self.bank = MemoryBank(settings.bank.size if contrastive else 0, model.dim, device)
        self.history = ReliabilityHistory(n_pairs if contrastive and settings.reliability.use else 0, n_epochs)
        self._last_weights = torch.ones(len(self.history))
        self._reliability_active = False

    def pair_weights(
        self, pairs: PairEmbeddings, rows: Int[Tensor, "pair"], epoch: int, temperature: Tensor
    ) -> PairWeights:
        """Return r and W of each pair of a batch (E9 to E11)."""
        settings = self._settings.reliability
        if not settings.use:
            ones = torch.ones(len(rows), device=rows.device)
            return PairWeights(ones, ones, reliability_active=False)
        same_type: Bool[Tensor, "pair pair"] = pairs.cell_type[:, None] == pairs.cell_type[None, :]
        sharpness = temperature if settings.sharpness == "temperature" else settings.sharpness
        match_prob = match_probability(pairs.cells, pairs.texts, same_type, sharpness, settings)
        stability = self.history.stability(rows, epoch, settings)
        weights = reliability_weights(match_prob, stability, same_type, epoch, settings)
        active = epoch > settings.warmup and (
            self._reliability_active or bool((weights >= 0.5).float().mean() >= settings.min_reliable_fraction)
        )
        return PairWeights(match_prob, weights if active else torch.ones_like(weights), active)

    def update(self, record: StepRecord | None, model: CellTextModel, epoch: int) -> None:
        """Update after a step: the EMA model, the bank with the batch, the reliability table with r."""
        if self.ema_model is not None:
            self.ema_model.update(model)
        if record is None:
            return
        self._reliability_active = self._reliability_active or record.reliability_active
        if record.ema_embeddings is not None:
            self.bank.push(record.ema_embeddings)
        if len(self.history):
            if epoch >= self._settings.reliability.recorded_from:
                self.history.record(record.rows, epoch, record.match_prob)
            self._last_weights[record.rows.cpu()] = record.weights.float().cpu()

    @property
    def last_weights(self) -> Float[Tensor, "row"]:
        """W of each cell of the corpus at its last visit; 1 for a cell that was never visited."""
        return self._last_weights

    def new_stage(self) -> None:
        """Empty the bank if the settings ask for it, because stage 2 changes the text encoder."""
        if self._settings.bank.reset_at_stage:
            self.bank.clear()

    def state_dict(self) -> dict[str, Tensor]:
        """Return all tensors needed to resume, by name."""
        parts = {
            "bank": self.bank.state_dict(),
            "table": self.history.state_dict()
            | {"trust": self._last_weights, "awake": torch.tensor(self._reliability_active)},
        }
        if self.ema_model is not None:
            parts["twin"] = self.ema_model.state_dict()
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Restore the output of `state_dict`.

        Raises
        ------
        KeyError
            If an entry is missing.
        """
        self.bank.load_state_dict(_with_prefix(state_dict, "bank"))
        history = _with_prefix(state_dict, "table")
        self.history.load_state_dict(history)
        self._last_weights.copy_(history["trust"])
        self._reliability_active = bool(history["awake"])
        if self.ema_model is not None:
            self.ema_model.load_state_dict(_with_prefix(state_dict, "twin"))


def _with_prefix(state_dict: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state_dict.items() if key.startswith(f"{name}.")}


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
            f"There is no run to resume at {path.parent}: it has no {path.name}/{STATE_FILE}. Start it anew, without --resume."
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
