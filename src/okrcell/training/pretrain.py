"""Pretraining of the dual encoder: the training loop, from a corpus to a model folder. Read this module first."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from okrcell.alignment.objective import Loss
from okrcell.pairs.noise import noisy
from okrcell.training.calendar import Calendar
from okrcell.training.check import figures, moved, validated
from okrcell.training.finish import finish
from okrcell.training.ground import Ground
from okrcell.training.log import Log
from okrcell.training.memory import Memory
from okrcell.training.resume import Position, restore_position, save_position
from okrcell.training.schedule import Schedule
from okrcell.training.settings import PretrainSettings
from okrcell.training.start import LATEST, LOG, MODEL, RELIABILITY, first_step, launched, optimiser_of
from okrcell.training.step import TrainingStep

Progress = Callable[[int, int, Loss], None]
"""Called after each step with the steps done, the total number of steps, and the loss."""


@dataclass(frozen=True)
class Trained:
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
    progress: Progress | None = None,
    ground: Ground | None = None,
) -> Trained:
    """Train a model on a corpus, in two stages.

    Parameters
    ----------
    settings : PretrainSettings
        All settings of the run; ``corpus`` (written by `okrcell.prepare`) and ``output`` are required. Read them from a
        YAML file with ``okrcell.settings.load_settings(PretrainSettings, path)``.
    resume : bool, default: False
        Continue from ``latest/`` in the run's folder. On the same machine the numbers equal those of an uninterrupted run.
    progress : callable, default: None
        Called after each step with the number of steps done, the total number of steps, and the `Loss`.
    ground : `Ground`, default: None
        Inputs shared by several runs on the same corpus. They are checked against ``settings``, and the runs fill their
        caches. By default they are built from ``settings``.

    Returns
    -------
    `Trained`
        Paths of the model folder, the log and, with reliability weights, the reliability table; the number of steps; and
        the validation losses.

    Raises
    ------
    InputError
        If the corpus is missing or empty, or the run's folder already contains a run and ``resume`` is False.
    CheckpointError
        If there is nothing to resume, or it is damaged.
    SettingsError
        If the settings do not fit ``ground``, the machine or the resumed run.

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
    fabric = launched(settings)
    torch.manual_seed(settings.seed)
    if ground is None:
        ground = Ground.of(settings)
    ground.serves(settings)
    harmed = noisy(ground.pairs, ground.sides.train, settings.noise)
    stream, check = ground.streams(harmed.pairs, settings.stream)
    schedule = Schedule(settings.schedule, -(-stream.steps_per_epoch // fabric.world_size))
    calendar = Calendar.of(settings.objective, schedule, stream, fabric.world_size)

    model = ground.new_model(settings.model)
    step_of = TrainingStep(model, harmed.pairs, settings, fabric, ground.texts, ground.knowledge)
    optimiser = optimiser_of(step_of, settings)
    start = first_step(settings, ground.fingerprint, resume=resume)
    learner, optimiser = fabric.setup(step_of, optimiser)
    memory = Memory(model, settings.objective, len(harmed.pairs.corpus), calendar.epochs, fabric.device)
    if resume:
        restore_position(settings.output / LATEST, step_of, optimiser, memory)
    log = Log(settings.output / LOG, from_step=start, mute=not fabric.is_global_zero)

    def save(step: int) -> None:
        if fabric.is_global_zero:
            position = Position(step, settings.model_dump(mode="json"), ground.fingerprint)
            save_position(settings.output / LATEST, position, step_of, optimiser, memory)

    if not resume:
        save(0)
    learner.train()
    for step in range(start, schedule.total):
        moment = calendar.moment(step)
        if step == schedule.switch:
            memory.new_stage()
        batch = moved(fabric, stream.batch(step, fabric.global_rank, fabric.world_size))
        schedule.set_rate(optimiser, step)

        loss, visit = learner(batch, moment, memory)
        fabric.backward(loss.total)
        fabric.clip_gradients(learner, optimiser, max_norm=settings.schedule.clip)
        optimiser.step()
        optimiser.zero_grad()
        memory.keep(visit, model, moment.epoch)

        log.write(step, stage=moment.stage, **figures(loss), temperature=model.temperature.item())
        if progress is not None and fabric.is_global_zero:
            progress(step + 1, schedule.total, loss)
        if (step + 1) % settings.check_every == 0 and step + 1 < schedule.total:
            log.write(step, **validated(learner, check, fabric, moment))
        if (step + 1) % settings.save_every == 0 or step + 1 == schedule.total:
            save(step + 1)

    validation = validated(learner, check, fabric, calendar.moment(schedule.total - 1))
    log.write(schedule.total, **validation)
    log.close()
    if fabric.is_global_zero:
        finish(settings, ground, harmed, model, memory, schedule.total, validation)
    trust = settings.output / RELIABILITY if settings.objective.judges else None
    return Trained(settings.output / MODEL, settings.output / LOG, schedule.total, validation, trust)
