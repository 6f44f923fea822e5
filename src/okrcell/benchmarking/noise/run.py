"""Run the label-noise benchmark: plan, train, score, resume, report."""

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from okrcell.benchmarking.folder import LOGS, RECORDS, made_folder
from okrcell.benchmarking.labelled import truth_of
from okrcell.benchmarking.noise.crew import share_out
from okrcell.benchmarking.noise.folder import MODELS, UNDER_WAY, inputs_of, must_agree, receipt_of
from okrcell.benchmarking.noise.plan import NoisePlan, Run, planned, settings_of
from okrcell.benchmarking.noise.publish import REPORT, publish
from okrcell.benchmarking.noise.records import run_of
from okrcell.benchmarking.records import append_record, mend_records, read_records
from okrcell.benchmarking.result import Benchmark
from okrcell.cells.corpus_folder import only_writer
from okrcell.cells.open import open_cells
from okrcell.errors import InputError, SettingsError
from okrcell.settings import read_yaml
from okrcell.training.settings import PretrainSettings

Say = Callable[[str], object]


def noise_benchmark(
    config: str | Path,
    output: str | Path,
    *,
    corpus: str | Path | None = None,
    files: Sequence[str | Path] = (),
    plan: NoisePlan | None = None,
    workers: int = 1,
    keep_models: bool = False,
    say: Say = lambda _: None,
) -> Benchmark:
    """Train every objective with every kind and rate of noise and every seed, and score the zero-shot annotation.

    The run is resumable: runs that ``output`` already holds are not repeated, and more objectives, kinds, rates or seeds can
    be added.

    Parameters
    ----------
    config
        YAML file of settings as for `okrcell pretrain`; objective, noise, seeds and output are set by the benchmark.
    output
        Folder for the records, the report and its figures.
    corpus
        Folder of the corpus; replaces the one in ``config``.
    files
        Labelled files (obs column ``cell_type_ontology_term_id``) to score the models on. Default: the held-out studies of
        the corpus (``split.studies`` in ``config``).
    plan
        Objectives, kinds and rates of noise, and seeds. Default: those of `NoisePlan`.
    workers
        Number of parallel worker processes, one thread each.
    keep_models
        Keep each run's folder under ``models/``; otherwise it is deleted after scoring.
    say
        Callback that receives progress messages, one line each.

    Raises
    ------
    InputError
        If a file or the corpus cannot be read, or ``output`` cannot be written.
    SettingsError
        If a setting is invalid, or ``output`` holds runs with other settings or data.
    WorkLeftError
        If a run failed; finished runs are kept.
    """
    if workers < 1:
        raise InputError(f"workers must be at least one worker process; seen: {workers}.")
    plan = plan or NoisePlan()
    runs = planned(plan)
    values = _configured(config, corpus)
    folder = Path(output)
    settings = {run: settings_of(run, values, folder / UNDER_WAY / run.name, str(config)) for run in runs}
    scored_on, passed_over = _scored_on(files)
    for file in passed_over:
        say(f"{file} is skipped: its cells have fewer than two Cell Ontology ids.")
    if not files and not settings[runs[0]].split.studies:
        raise InputError(
            f"There is nothing to score the models on: give labelled files with --files, or in {config} studies of the "
            "corpus that are held out (split.studies)."
        )
    inputs = inputs_of(settings[runs[0]], scored_on)
    made_folder(folder)
    with only_writer(folder):
        made = receipt_of(folder, inputs)
        records = mend_records(folder / RECORDS)
        must_agree(records, settings)
        done = {run_of(record) for record in records}
        left = [run for run in runs if run not in done]
        try:
            if left:
                _make(left, settings, scored_on, folder, workers, keep_models=keep_models, origin=str(config), say=say)
        finally:
            # Also if some runs failed: the report covers what is done.
            everything = read_records(folder / RECORDS)
            page = publish(everything, made, folder) if everything else folder / REPORT
        return Benchmark(folder, page, folder / RECORDS, len(everything), len(left))


def _make(
    left: Sequence[Run],
    settings: Mapping[Run, PretrainSettings],
    files: Sequence[Path],
    folder: Path,
    workers: int,
    *,
    keep_models: bool,
    origin: str,
    say: Say,
) -> None:
    # Unfinished runs of an interrupted benchmark.
    shutil.rmtree(folder / UNDER_WAY, ignore_errors=True)
    for name in (UNDER_WAY, LOGS, *((MODELS,) if keep_models else ())):
        (folder / name).mkdir(exist_ok=True)
    paces: list[float] = []

    def finished(record: dict[str, Any]) -> None:
        append_record(folder / RECORDS, record)
        paces.append(record["seconds"])
        # The first run of each process also prepares shared inputs, so its time is left out of the estimate.
        pace = statistics.median(paces[workers:] or paces)
        minutes = pace * (len(left) - len(paces)) / min(workers, len(left)) / 60
        figures = f"macro-F1 {record['macro_f1']:.3f}, accuracy {record['accuracy']:.3f}"
        say(f"{len(paces)}/{len(left)} {run_of(record).name}: {figures}; about {minutes:.0f} minutes left")

    work = [
        {
            "run": asdict(run),
            "settings": settings[run].model_dump(mode="json"),
            "origin": origin,
            "files": [str(file) for file in files],
            "keep": str(folder / MODELS / run.name) if keep_models else None,
        }
        for run in left
    ]
    say(f"{len(left)} runs, {workers} worker processes.")
    try:
        share_out(work, workers, folder / LOGS, finished)
    finally:
        shutil.rmtree(folder / UNDER_WAY, ignore_errors=True)


def _configured(config: str | Path, corpus: str | Path | None) -> dict[str, Any]:
    values = read_yaml(config)
    if not isinstance(values, dict):
        raise SettingsError(f"{config} must hold a mapping of settings; seen: {type(values).__name__}.")
    return values | ({} if corpus is None else {"corpus": str(corpus)})


def _scored_on(files: Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    """Split files into those with two or more types and others; unreadable files raise before any training."""
    good: list[Path] = []
    poor: list[Path] = []
    for file in map(Path, files):
        types = set(truth_of(open_cells(file), file).tolist()) - {""}
        (good if len(types) > 1 else poor).append(file)
    if len({file.stem for file in good}) < len(good):
        raise InputError("Two of the files have the same name, which identifies their scores; rename one.")
    if files and not good:
        raise InputError(f"No file has cells of two Cell Ontology types; seen: {files[0]}, ...; give other files.")
    return good, poor
