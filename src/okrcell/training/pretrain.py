"""Pretraining of the dual encoder: the training loop, from a corpus to a model folder. Read this module first."""

from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from okrcell.cells.tokenizer import CellTokens
from okrcell.data.dataloader import PairBatch, PairDataLoader
from okrcell.data.label_noise import add_noise
from okrcell.errors import SettingsError
from okrcell.losses.objective import Loss
from okrcell.progress import ProgressOption, progress_bar
from okrcell.training.export import export_run
from okrcell.training.log import Log
from okrcell.training.schedule import EpochSchedule, Schedule, StepInfo
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import (
    LATEST_DIR,
    LOG_FILE,
    MODEL_DIR,
    RELIABILITY_FILE,
    RunInputs,
    build_optimizer,
    launch_fabric,
    prepare_run_dir,
)
from okrcell.training.state import ResumePoint, TrainState, restore_resume_point, save_resume_point
from okrcell.training.step import TrainingStep

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


def loss_to_bar(done: int, total: int, loss: Loss) -> tuple[int, int, str]:
    """Progress of a training as shown by a bar: the number of steps done, their total and the loss."""
    return done, total, f"loss {loss.total.item():.3f}"


def to_device(fabric: Fabric, batch: PairBatch) -> PairBatch:
    """Move a batch to the device of the model."""
    move = fabric.to_device
    measured = batch.cells.measured
    cells = CellTokens(move(batch.cells.gene), move(batch.cells.value), None if measured is None else move(measured))
    return PairBatch(
        cells, move(batch.masked), move(batch.text), move(batch.cell_type), move(batch.weight), move(batch.row)
    )


@dataclass(frozen=True)
class PretrainResult:
    """Outputs of a run."""

    model: Path
    """Model folder, for `okrcell.load`."""
    log: Path
    """JSON lines with the losses of each step."""
    steps: int
    """Number of steps in both stages."""
    validation: dict[str, float]
    """Mean losses on the held-out cells after the last step, by name."""
    reliability: Path | None
    """Table with the reliability of each pair (Parquet); None if the objective has no reliability weights."""


def pretrain(
    settings: PretrainSettings,
    *,
    resume: bool = False,
    progress: ProgressOption = None,
    inputs: RunInputs | None = None,
    ground: RunInputs | None = None,
) -> PretrainResult:
    """Train a model on a corpus, in two stages.

    Parameters
    ----------
    settings : PretrainSettings
        All settings of the run; ``corpus`` (written by `okrcell.prepare`) and ``output`` are required. Read them from a
        YAML file with ``okrcell.settings.load_settings(PretrainSettings, path)``.
    resume : bool, default: False
        Continue from ``latest/`` in the run's folder. On the same machine the numbers equal those of an uninterrupted run.
    progress : bool or callable, default: None
        Show a bar on stderr: None only if stderr is a terminal, True always, False never. A function is called instead, after
        each step, with the number of steps done, the total number of steps, and the `Loss`.
    inputs : `RunInputs`, default: None
        Inputs shared by several runs on the same corpus. They are checked against ``settings``, and the runs fill their
        caches. By default they are built from ``settings``.
    ground : `RunInputs`, default: None
        Former name of ``inputs``.

    Returns
    -------
    `PretrainResult`
        Paths of the model folder, the log and, with reliability weights, the reliability table; the number of steps; and
        the validation losses.

    Raises
    ------
    InputError
        If the corpus is missing or empty, or the run's folder already contains a run and ``resume`` is False.
    CheckpointError
        If there is nothing to resume, or it is damaged.
    SettingsError
        If the settings do not fit ``inputs``, the machine or the resumed run; or both ``inputs`` and ``ground`` are given.

    Notes
    -----
    Method 6, after OKR-CELL (arXiv 2601.05648). Stage 1 trains the cell encoder and the projectors with a frozen text encoder;
    stage 2 also trains the text encoder's adapted layer. The loss is a weighted sum of expression losses (GEP, GEPC) and
    contrastive losses of cells and texts (E21); its weights and the split of the stages are our reconstruction.

    Examples
    --------
    Prepare a small corpus and train for two steps. A useful model needs many more cells and steps.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import okrcell as okr
    >>> import scanpy as sc
    >>> from okrcell.training.settings import PretrainSettings
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()[:100].copy()
    >>> adata.obs["cell_type"] = adata.obs["bulk_labels"].astype(str)
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     adata.write_h5ad(folder / "blood.h5ad")
    ...     report = okr.prepare([folder / "blood.h5ad"], folder / "corpus")
    ...     settings = PretrainSettings(
    ...         corpus=folder / "corpus",
    ...         output=folder / "run",
    ...         schedule={"steps": (2, 0)},
    ...         stream={"batch_size": 16},
    ...         model={"tokeniser": {"limit": 64}, "cell_encoder": {"kind": "latent", "width": 32, "blocks": 1}},
    ...     )
    ...     run = okr.pretrain(settings)
    ...     model = okr.load(run.model)
    >>> run.steps
    2
    >>> model.dim
    384
    """
    fabric = launch_fabric(settings)
    torch.manual_seed(settings.seed)
    inputs = _run_inputs(settings, inputs, ground)
    noisy_pairs = add_noise(inputs.pairs, inputs.partition.train, settings.noise)
    train_loader, validation_loader = inputs.loaders(noisy_pairs.dataset, settings.stream)
    schedule = Schedule(settings.schedule, -(-train_loader.steps_per_epoch // fabric.world_size))
    epoch_schedule = EpochSchedule.from_settings(settings.objective, schedule, train_loader, fabric.world_size)

    model = inputs.new_model(settings.model)
    training_step = TrainingStep(
        model, noisy_pairs.dataset, settings, fabric, inputs.text_cache, inputs.knowledge_pairs
    )
    optimizer = build_optimizer(training_step, settings)
    start_step = prepare_run_dir(settings, inputs.fingerprint, resume=resume)
    wrapped_step, optimizer = fabric.setup(training_step, optimizer)
    state = TrainState(
        model, settings.objective, len(noisy_pairs.dataset.corpus), epoch_schedule.n_epochs, fabric.device
    )
    if resume:
        restore_resume_point(settings.output / LATEST_DIR, training_step, optimizer, state)

    def save(step: int) -> None:
        if fabric.is_global_zero:
            resume_point = ResumePoint(step, settings.model_dump(mode="json"), inputs.fingerprint)
            save_resume_point(settings.output / LATEST_DIR, resume_point, training_step, optimizer, state)

    if not resume:
        save(0)
    log = Log(settings.output / LOG_FILE, from_step=start_step, disabled=not fabric.is_global_zero)
    wrapped_step.train()
    with progress_bar("Training", progress if fabric.is_global_zero else False, loss_to_bar) as report:
        for step in range(start_step, schedule.total_steps):
            step_info = epoch_schedule.step_info(step)
            if step == schedule.stage2_start:
                state.new_stage()
            batch = to_device(fabric, train_loader.batch(step, fabric.global_rank, fabric.world_size))
            schedule.set_lr(optimizer, step)

            loss, record = wrapped_step(batch, step_info, state)
            fabric.backward(loss.total)
            fabric.clip_gradients(wrapped_step, optimizer, max_norm=settings.schedule.clip)
            optimizer.step()
            optimizer.zero_grad()
            state.update(record, model, step_info.epoch)

            log.write(step, stage=step_info.stage, **loss_dict(loss), temperature=model.temperature.item())
            report(step + 1, schedule.total_steps, loss)
            if (step + 1) % settings.check_every == 0 and step + 1 < schedule.total_steps:
                log.write(step, **validate(wrapped_step, validation_loader, fabric, step_info))
            if (step + 1) % settings.save_every == 0 or step + 1 == schedule.total_steps:
                save(step + 1)

    validation = validate(wrapped_step, validation_loader, fabric, epoch_schedule.step_info(schedule.total_steps - 1))
    log.write(schedule.total_steps, **validation)
    log.close()
    if fabric.is_global_zero:
        export_run(settings, inputs, noisy_pairs, model, state, schedule.total_steps, validation)
    reliability_path = settings.output / RELIABILITY_FILE if settings.objective.uses_reliability else None
    return PretrainResult(
        settings.output / MODEL_DIR, settings.output / LOG_FILE, schedule.total_steps, validation, reliability_path
    )


def _run_inputs(settings: PretrainSettings, inputs: RunInputs | None, ground: RunInputs | None) -> RunInputs:
    """Return the shared inputs, or those of ``settings``; ``ground`` is the former name of ``inputs``."""
    if inputs is not None and ground is not None:
        raise SettingsError(
            "Both inputs and ground are given. ground is the former name of inputs; give only one of them."
        )
    shared = inputs or ground
    if shared is None:
        return RunInputs.from_settings(settings)
    shared.check_compatible(settings)
    return shared
