"""Train and score one run."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from okrcell.benchmarking.labelled import held_out_studies, labelled_file
from okrcell.benchmarking.memory import forget_peak, peak_memory
from okrcell.benchmarking.noise.examination import Examination
from okrcell.benchmarking.noise.plan import Run
from okrcell.benchmarking.noise.reliability import reliability_of
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.training.ground import Ground
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.settings import PretrainSettings

LAST = 20
"""Number of last steps that the reported losses are averaged over."""


class Trials:
    """Trains and scores runs on one corpus; shared inputs are prepared once."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._ground: Ground | None = None
        self._examination: Examination | None = None

    def trial(
        self, run: Run, settings: PretrainSettings, *, keep: Path | None, alive: Callable[[], None]
    ) -> dict[str, Any]:
        """Train a run, score its model, and return its record.

        Parameters
        ----------
        keep
            Folder that the run's folder is moved to; None deletes it.
        alive
            Called at each step; an exception ends the run.

        Raises
        ------
        InputError
            If there are no labelled cells to score the model on.
        """
        ground = self._ground = self._ground or Ground.of(settings)
        examination = self._examination = self._examination or self._examined(ground, settings)
        forget_peak()
        start = time.perf_counter()
        ticks: list[float] = []

        def tick(*_: object) -> None:
            alive()
            ticks.append(time.perf_counter())

        trained = pretrain(settings, progress=tick, ground=ground)
        peak = peak_memory()
        embedder = Embedder.open(trained.model)
        sets = examination.scores(embedder)
        row = {
            **asdict(run),
            "accuracy": _mean(sets, "accuracy"),
            "macro_f1": _mean(sets, "macro_f1"),
            "sets": sets,
            "reliability": reliability_of(trained.reliability) if trained.reliability else None,
            "noise_note": embedder.facts["receipt"]["noise"] if settings.noise.rate > 0 else "",
            "validation": trained.validation,
            "losses": _last_losses(trained.log),
            "steps": trained.steps,
            "seconds": time.perf_counter() - start,
            # Median, because validation takes place between some steps.
            "seconds_per_step": float(np.median(np.diff(ticks))) if len(ticks) > 1 else None,
            "peak_memory": peak,
            "settings": settings.model_dump(mode="json", exclude={"corpus": True, "output": True}),
        }
        if keep is None:
            shutil.rmtree(settings.output, ignore_errors=True)
        else:
            shutil.rmtree(keep, ignore_errors=True)
            settings.output.replace(keep)
        return row

    def _examined(self, ground: Ground, settings: PretrainSettings) -> Examination:
        if self._files:
            return Examination([labelled_file(file) for file in self._files])
        studies = held_out_studies(ground.pairs, settings.split.studies)
        if not studies:
            raise InputError(
                "There is nothing to score the models on: no held-out study (split.studies) has cells of two Cell Ontology "
                "types. Choose other studies, or give labelled files with --files."
            )
        return Examination(studies)


def _mean(sets: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([one[name] for one in sets]))


def _last_losses(log: Path) -> dict[str, float]:
    """Mean of each logged value over the last steps."""
    lines = [line for line in read_log(log) if "total" in line][-LAST:]
    names = [name for name in lines[-1] if name not in {"step", "stage"}] if lines else []
    return {name: float(np.mean([line[name] for line in lines if name in line])) for name in names}
