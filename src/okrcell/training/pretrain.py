"""Learn one space for cells and texts. Read this first: cells come in at the top, a model folder goes out below."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from okrcell.alignment.objective import Guess, Loss, objective
from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenise import BinTokeniser
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint, save_checkpoint
from okrcell.pairs.stream import PairBatch, PairStream
from okrcell.training.calibration import calibrate
from okrcell.training.card import model_card
from okrcell.training.check import figures, moved, validated
from okrcell.training.facts import run_facts
from okrcell.training.log import Log
from okrcell.training.resume import Position, restore_position, save_position
from okrcell.training.schedule import Schedule
from okrcell.training.settings import PretrainSettings
from okrcell.training.start import LATEST, LOG, MODEL, first_step, launched, optimiser_of, pairs_of, vocabulary_of
from okrcell.training.text_bank import TextBank

Progress = Callable[[int, int, Loss], None]
"""Told after each step: steps done, steps in all, the loss."""


@dataclass(frozen=True)
class Trained:
    """What a run gave."""

    model: Path
    log: Path
    steps: int
    validation: dict[str, float]


class TrainingStep(nn.Module):
    """The model and its objective as one module, so that data-parallel wrappers see a single forward pass."""

    def __init__(self, model: CellTextModel, texts: TextBank, settings: PretrainSettings) -> None:
        super().__init__()
        self.model = model
        self._texts = texts
        self._settings = settings

    def forward(self, batch: PairBatch, stage: int) -> Loss:
        """Return the loss of a batch; in stage 2 gradients also reach the adapted layer of the text encoder."""
        view = self.model.view_cells(batch.cells, batch.masked)
        texts = torch.zeros_like(view.vector)
        if self._settings.objective.alignment != "none":
            texts = self._texts.vectors(batch.text, stage)
        bins = self.model.settings.tokeniser.bins
        guess = Guess(view.by_gene, view.by_cell, view.value, view.hidden, bins)
        return objective(
            view.vector, texts, batch.cell_type, batch.trust, self.model.temperature, guess, self._settings.objective
        )


def pretrain(settings: PretrainSettings, *, resume: bool = False, progress: Progress | None = None) -> Trained:
    """Train a model on a corpus, in two stages (method 6).

    Parameters
    ----------
    resume
        Go on from ``latest/`` of the run's folder. The numbers are those of an unbroken run.

    Raises
    ------
    InputError
        If the corpus is missing or empty, or the run's folder already holds a run and ``resume`` is false.
    CheckpointError
        If there is nothing to resume, or it is damaged.
    """
    fabric = launched(settings)
    torch.manual_seed(settings.seed)
    pairs, sides = pairs_of(settings)
    vocabulary = vocabulary_of(pairs.corpus, settings)
    tokeniser = BinTokeniser(settings.model.tokeniser, vocabulary, GeneTable.bundled())
    stream = PairStream(pairs, sides.train, tokeniser, settings.stream)
    check = PairStream(pairs, sides.validation, tokeniser, settings.stream.model_copy(update={"fewest_genes": 1.0}))
    schedule = Schedule(settings.schedule, -(-stream.steps_per_epoch // fabric.world_size))

    model = CellTextModel(settings.model, genes=len(vocabulary))
    optimiser = optimiser_of(model, settings)
    start = first_step(settings, pairs, resume=resume)
    step_of = TrainingStep(model, TextBank(model, pairs.texts), settings)
    learner, optimiser = fabric.setup(step_of, optimiser)
    if resume:
        restore_position(settings.output / LATEST, model, optimiser)
    log = Log(settings.output / LOG, from_step=start) if fabric.is_global_zero else None

    def save(step: int) -> None:
        if fabric.is_global_zero:
            position = Position(step, settings.model_dump(mode="json"), pairs.fingerprint)
            save_position(settings.output / LATEST, position, model, optimiser)

    if not resume:
        save(0)
    learner.train()
    for step in range(start, schedule.total):
        batch = moved(fabric, stream.batch(step, fabric.global_rank, fabric.world_size))
        for group in optimiser.param_groups:
            group["lr"] = group["full_rate"] * schedule.rate(step)

        loss = learner(batch, schedule.stage(step))
        fabric.backward(loss.total)
        fabric.clip_gradients(learner, optimiser, max_norm=settings.schedule.clip)
        optimiser.step()
        optimiser.zero_grad()

        if log is not None:
            log.write(step, stage=schedule.stage(step), **figures(loss), temperature=model.temperature.item())
            if progress is not None:
                progress(step + 1, schedule.total, loss)
        if (step + 1) % settings.check_every == 0 and step + 1 < schedule.total:
            checked = validated(learner, check, fabric, schedule.stage(step))
            if log is not None:
                log.write(step, **checked)
        if (step + 1) % settings.save_every == 0 or step + 1 == schedule.total:
            save(step + 1)

    validation = validated(learner, check, fabric, schedule.stage(schedule.total - 1))
    if log is not None:
        log.write(schedule.total, **validation)
        log.close()
        facts = run_facts(settings, pairs, sides, schedule.total, validation)
        if settings.objective.alignment != "none":
            facts["calibration"] = calibrate(model.eval().cpu(), pairs, sides.validation, tokeniser, settings.seed)
        finished = Checkpoint(model.eval(), vocabulary, facts, settings.title)
        save_checkpoint(finished, settings.output / MODEL, card=model_card(settings, facts), half=settings.half)
    return Trained(settings.output / MODEL, settings.output / LOG, schedule.total, validation)
