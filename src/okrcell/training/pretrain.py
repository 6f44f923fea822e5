"""Learn one space for cells and texts. Read this first: cells come in at the top, a model folder goes out below."""

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
"""Told after each step: steps done, steps in all, the loss."""


@dataclass(frozen=True)
class Trained:
    """What a run gave."""

    model: Path
    log: Path
    steps: int
    validation: dict[str, float]
    reliability: Path | None
    """Table of how far each pair is trusted; None where the objective asks for no trust."""


def pretrain(
    settings: PretrainSettings,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    ground: Ground | None = None,
) -> Trained:
    """Train a model on a corpus, in two stages (method 6).

    Parameters
    ----------
    resume
        Go on from ``latest/`` of the run's folder. The numbers are those of an unbroken run.
    ground
        What runs on the same corpus share, if there is another one; it is looked at, and its caches are filled.

    Raises
    ------
    InputError
        If the corpus is missing or empty, or the run's folder already holds a run and ``resume`` is false.
    CheckpointError
        If there is nothing to resume, or it is damaged.
    SettingsError
        If the settings do not fit the ground, the machine or the run that is resumed.
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
