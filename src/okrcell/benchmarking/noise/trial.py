"""Train and score one run."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from okrcell.benchmarking.datasets.labelled import read_held_out_studies, read_labeled_file
from okrcell.benchmarking.memory import peak_memory, reset_peak_memory
from okrcell.benchmarking.noise.examination import ZeroShotEvaluator
from okrcell.benchmarking.noise.plan import NoiseRun
from okrcell.benchmarking.noise.reliability import score_reliability
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.training.ground import RunInputs
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.settings import PretrainSettings

LAST_STEPS = 20
"""Number of last steps that the reported losses are averaged over."""


class TrialRunner:
    """Trains and scores runs on one corpus; shared inputs are prepared once."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._inputs: RunInputs | None = None
        self._evaluator: ZeroShotEvaluator | None = None

    def run_trial(
        self, run: NoiseRun, settings: PretrainSettings, *, model_dir: Path | None, check_parent: Callable[[], None]
    ) -> dict[str, Any]:
        """Train a run, score its model, and return its record.

        Parameters
        ----------
        model_dir
            Folder that the run's folder is moved to; None deletes it.
        check_parent
            Called at each step; an exception ends the run.

        Raises
        ------
        InputError
            If there are no labelled cells to score the model on.
        """
        inputs = self._inputs = self._inputs or RunInputs.from_settings(settings)
        evaluator = self._evaluator = self._evaluator or self._build_evaluator(inputs, settings)
        reset_peak_memory()
        start = time.perf_counter()
        ticks: list[float] = []

        def tick(*_: object) -> None:
            check_parent()
            ticks.append(time.perf_counter())

        trained = pretrain(settings, progress=tick, ground=inputs)
        peak = peak_memory()
        embedder = Embedder.from_pretrained(trained.model)
        sets = evaluator.evaluate(embedder)
        row = {
            **asdict(run),
            "accuracy": _mean(sets, "accuracy"),
            "macro_f1": _mean(sets, "macro_f1"),
            "sets": sets,
            "reliability": score_reliability(trained.reliability) if trained.reliability else None,
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
        if model_dir is None:
            shutil.rmtree(settings.output, ignore_errors=True)
        else:
            shutil.rmtree(model_dir, ignore_errors=True)
            settings.output.replace(model_dir)
        return row

    def _build_evaluator(self, inputs: RunInputs, settings: PretrainSettings) -> ZeroShotEvaluator:
        if self._files:
            return ZeroShotEvaluator([read_labeled_file(file) for file in self._files])
        studies = read_held_out_studies(inputs.pairs, settings.split.studies)
        if not studies:
            raise InputError(
                "There is nothing to score the models on: no held-out study (split.studies) has cells of two Cell Ontology "
                "types. Choose other studies, or give labelled files with --files."
            )
        return ZeroShotEvaluator(studies)


def _mean(sets: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([entry[name] for entry in sets]))


def _last_losses(log: Path) -> dict[str, float]:
    """Mean of each logged value over the last steps."""
    lines = [line for line in read_log(log) if "total" in line][-LAST_STEPS:]
    names = [name for name in lines[-1] if name not in {"step", "stage"}] if lines else []
    return {name: float(np.mean([line[name] for line in lines if name in line])) for name in names}
