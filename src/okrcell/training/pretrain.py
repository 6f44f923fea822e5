"""Learn one space for cells and texts. Read this first: cells come in at the top, a model folder goes out at the end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from okrcell.alignment.objective import Guess, Loss, objective
from okrcell.cells.corpus import Corpus
from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenise import BinTokeniser, CellTokens
from okrcell.cells.vocabulary import GeneVocabulary
from okrcell.errors import InputError, SettingsError
from okrcell.files import recover_folder
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint, save_checkpoint
from okrcell.pairs.pair import Pairs
from okrcell.pairs.split import Split, split
from okrcell.pairs.stream import PairBatch, PairStream
from okrcell.training.calibration import calibrate
from okrcell.training.card import model_card
from okrcell.training.facts import run_facts
from okrcell.training.log import Log
from okrcell.training.resume import Position, load_position, restore_position, save_position
from okrcell.training.schedule import Schedule
from okrcell.training.settings import ComputeSettings, PretrainSettings
from okrcell.training.text_bank import TextBank

Progress = Callable[[int, int, Loss], None]
"""Told after each step: steps done, steps in all, the loss."""
LATEST, MODEL, LOG = "latest", "model", "log.jsonl"


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
    fabric = _fabric(settings)
    torch.manual_seed(settings.seed)
    pairs, sides = _pairs(settings)
    vocabulary = _vocabulary(pairs.corpus, settings)
    tokeniser = BinTokeniser(settings.model.tokeniser, vocabulary, GeneTable.bundled())
    stream = PairStream(pairs, sides.train, tokeniser, settings.stream)
    check = PairStream(pairs, sides.validation, tokeniser, settings.stream.model_copy(update={"fewest_genes": 1.0}))
    schedule = Schedule(settings.schedule, -(-stream.steps_per_epoch // fabric.world_size))

    model = CellTextModel(settings.model, genes=len(vocabulary))
    optimiser = _optimiser(model, settings)
    start = _start(settings, pairs.corpus, resume=resume)
    step_of = TrainingStep(model, TextBank(model, pairs.texts), settings)
    learner, optimiser = fabric.setup(step_of, optimiser)
    if start > 0:
        restore_position(settings.output / LATEST, model, optimiser)
    log = Log(settings.output / LOG, from_step=start) if fabric.is_global_zero else None

    learner.train()
    for step in range(start, schedule.total):
        batch = _on(fabric, stream.batch(step, fabric.global_rank, fabric.world_size))
        for group in optimiser.param_groups:
            group["lr"] = group["full_rate"] * schedule.rate(step)

        loss = learner(batch, schedule.stage(step))
        fabric.backward(loss.total)
        fabric.clip_gradients(learner, optimiser, max_norm=settings.schedule.clip)
        optimiser.step()
        optimiser.zero_grad()

        if log is not None:
            log.write(step, stage=schedule.stage(step), **_figures(loss), temperature=model.temperature.item())
            if progress is not None:
                progress(step + 1, schedule.total, loss)
        last = step + 1 == schedule.total
        if (step + 1) % settings.check_every == 0 or last:
            validation = _validated(learner, check, fabric, schedule.stage(step))
            if log is not None:
                log.write(step, **validation)
        if ((step + 1) % settings.save_every == 0 or last) and fabric.is_global_zero:
            position = Position(step + 1, settings.model_dump(mode="json"), pairs.corpus.fingerprint)
            save_position(settings.output / LATEST, position, model, optimiser)
    if log is not None:
        log.close()

    validation = _validated(learner, check, fabric, schedule.stage(schedule.total - 1))
    facts = run_facts(settings, pairs, sides, schedule.total, validation)
    if settings.objective.alignment != "none":
        facts["calibration"] = calibrate(model.eval().cpu(), pairs, sides.validation, tokeniser, settings.seed)
    if fabric.is_global_zero:
        finished = Checkpoint(model.eval(), vocabulary, facts, settings.title)
        save_checkpoint(finished, settings.output / MODEL, card=model_card(settings, facts), half=settings.half)
    return Trained(settings.output / MODEL, settings.output / LOG, schedule.total, validation)


def _fabric(settings: PretrainSettings) -> Fabric:
    compute = settings.compute
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    fabric = Fabric(
        accelerator=compute.accelerator,
        devices=compute.devices,
        num_nodes=compute.nodes,
        strategy=_strategy(compute),
        precision=compute.precision,
    )
    fabric.launch()
    return fabric


def _strategy(compute: ComputeSettings) -> str:
    devices = torch.cuda.device_count() if compute.devices == "auto" else compute.devices
    several = devices > 1 or compute.nodes > 1
    if compute.strategy == "ddp" or (compute.strategy == "auto" and several):
        # In stage 1 the text encoder's adapted layer has no gradient, which plain ddp takes for a mistake.
        return "ddp_find_unused_parameters_true"
    return compute.strategy


def _pairs(settings: PretrainSettings) -> tuple[Pairs, Split]:
    corpus = Corpus.open(settings.corpus, GeneTable.bundled())
    if len(corpus) == 0:
        raise InputError(f"The corpus {settings.corpus} has no cells; add some with `okrcell prepare`.")
    pairs = Pairs.of(corpus)
    if settings.objective.alignment != "none" and not pairs.described.any():
        raise InputError(
            f"No cell of the corpus {settings.corpus} has a cell type, so there are no texts to align with. Add an obs "
            "column cell_type before `okrcell prepare`, or set objective.alignment to none."
        )
    return pairs, split(corpus.obs, settings.split)


def _vocabulary(corpus: Corpus, settings: PretrainSettings) -> GeneVocabulary:
    rows = np.flatnonzero(corpus.gene_count() >= settings.genes_in_cells)
    if len(rows) == 0:
        raise InputError(
            f"No gene of the corpus {settings.corpus} is expressed in {settings.genes_in_cells} cells; lower "
            "genes_in_cells."
        )
    return GeneVocabulary.from_table(GeneTable.bundled(), rows, corpus.gene_scale())


def _optimiser(model: CellTextModel, settings: PretrainSettings) -> torch.optim.Optimizer:
    """AdamW over the cell side from the start, and over the adapted text layer, which has no gradient in stage 1."""
    schedule = settings.schedule
    text = model.text_encoder.adapted()
    for parameter in text:
        parameter.requires_grad_()
    adapted = {id(parameter) for parameter in text}
    cell = [each for each in model.parameters() if each.requires_grad and id(each) not in adapted]
    groups = [{"params": cell, "full_rate": schedule.learning_rate}]
    if text:
        groups.append({"params": text, "full_rate": schedule.text_learning_rate or schedule.learning_rate})
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)


def _start(settings: PretrainSettings, corpus: Corpus, *, resume: bool) -> int:
    """Make the run's folder, or find where a former run of the same settings stood; return the first step to take."""
    latest = settings.output / LATEST
    recover_folder(latest)
    if not resume:
        if latest.exists() or (settings.output / MODEL).exists():
            raise InputError(
                f"{settings.output} already holds a run. Go on with --resume, or name another output folder."
            )
        settings.output.mkdir(parents=True, exist_ok=True)
        return 0
    position = load_position(latest)
    now = settings.model_dump(mode="json")
    changed = sorted(_differing(now, position.settings) - {"output", "corpus"})
    if changed:
        raise SettingsError(
            f"The run in {settings.output} was begun with other settings ({', '.join(changed)}); resume with the same "
            "ones, or name another output folder."
        )
    if position.corpus != corpus.fingerprint:
        raise InputError(f"The corpus {settings.corpus} has changed since the run in {settings.output} began.")
    return position.step


def _differing(now: dict[str, Any], before: dict[str, Any]) -> set[str]:
    """Name the settings that differ, such as ``schedule.learning_rate``."""
    names: set[str] = set()
    for key in now.keys() | before.keys():
        one, other = now.get(key), before.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            names |= {f"{key}.{name}" for name in _differing(one, other)}
        elif one != other:
            names.add(key)
    return names


def _on(fabric: Fabric, batch: PairBatch) -> PairBatch:
    def moved(tensor: Tensor) -> Tensor:
        return fabric.to_device(tensor)

    cells = CellTokens(moved(batch.cells.gene), moved(batch.cells.value))
    return PairBatch(
        cells, moved(batch.masked), moved(batch.text), moved(batch.cell_type), moved(batch.trust), moved(batch.row)
    )


def _figures(loss: Loss) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in loss._asdict().items()}


@torch.no_grad()
def _validated(learner: nn.Module, check: PairStream, fabric: Fabric, stage: int) -> dict[str, float]:
    """Mean losses over the validation cells, each batch weighing by its cells."""
    learner.eval()
    sums: dict[str, float] = {}
    cells = 0
    for batch in _bounded(check.in_order()):
        for name, value in _figures(learner(_on(fabric, batch), stage)).items():
            sums[name] = sums.get(name, 0.0) + value * len(batch.row)
        cells += len(batch.row)
    learner.train()
    return {f"validation_{name}": value / max(cells, 1) for name, value in sums.items()}


def _bounded(batches: Iterator[PairBatch], most: int = 20) -> Iterator[PairBatch]:
    # Enough to see a trend; the whole of a large corpus' validation cells would cost more than the steps between.
    for number, batch in enumerate(batches):
        if number == most:
            return
        yield batch
