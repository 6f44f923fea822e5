"""Run the label-noise benchmark: plan, train, score, resume, report."""

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from okrcell.benchmarking.datasets.labeled import true_types
from okrcell.benchmarking.noise.figures import detections_to_draw, draw_curves, draw_histograms, draw_ladder
from okrcell.benchmarking.noise.plan import (
    MODELS_DIR,
    RUNNING_DIR,
    NoisePlan,
    NoiseRun,
    check_settings,
    ensure_provenance,
    input_fingerprints,
    plan_runs,
    run_of,
    run_settings,
)
from okrcell.benchmarking.noise.report import report
from okrcell.benchmarking.noise.summary import NoiseSummary, Record, summarize
from okrcell.benchmarking.records import (
    LOG_DIR,
    RECORDS_FILE,
    BenchmarkResult,
    append_record,
    ensure_benchmark_dir,
    read_records,
    repair_records,
)
from okrcell.benchmarking.worker_pool import run_trials
from okrcell.cells.io import open_cells
from okrcell.data.corpus import writer_lock
from okrcell.errors import InputError, SettingsError
from okrcell.provenance import write_json
from okrcell.settings import read_yaml
from okrcell.storage import atomic_file
from okrcell.training.settings import PretrainSettings

REPORT_FILE, SUMMARY_FILE = "report.md", "summary.json"
MessageCallback = Callable[[str], object]


def publish(records: Sequence[Record], provenance: Mapping[str, Any], folder: Path) -> Path:
    """Write the report, its figures, and all numbers with the provenance ``provenance``; return the path of the report."""
    summary = summarize(records)
    pictures = _draw(summary, folder)
    write_json(folder / SUMMARY_FILE, {**provenance, "runs": len(records), **asdict(summary)})
    with atomic_file(folder / REPORT_FILE) as draft:
        draft.write_text(report(summary, records, provenance, pictures), encoding="utf-8")
    return folder / REPORT_FILE


def _draw(summary: NoiseSummary, folder: Path) -> dict[str, str]:
    """Draw every figure that the summary has data for; return title to file name."""
    pictures: dict[str, str] = {}
    if summary.kinds and len(summary.rates) > 1:
        draw_curves(summary, folder / "noise.png")
        pictures["Scores by rate of noise"] = "noise.png"
    if len(summary.objectives) > 1:
        draw_ladder(summary, folder / "ladder.png")
        pictures["Scores of every objective, with and without noise"] = "ladder.png"
    detections = {name: selected for name in summary.objectives if (selected := detections_to_draw(summary, name))}
    max_kinds = max(map(len, detections.values()), default=0)
    for name, selected in detections.items():
        # Objectives with fewer kinds of noise than others are shown in the table only.
        if len(selected) == max_kinds:
            draw_histograms(selected, folder / f"reliability-{name}.png")
            pictures[f"Symmetry of right and of wrong pairs, {name}"] = f"reliability-{name}.png"
    return pictures


def noise_benchmark(
    config: str | Path,
    output: str | Path,
    *,
    corpus: str | Path | None = None,
    files: Sequence[str | Path] = (),
    plan: NoisePlan | None = None,
    workers: int = 1,
    keep_models: bool = False,
    say: MessageCallback = lambda _: None,
) -> BenchmarkResult:
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
    IncompleteError
        If a run failed; finished runs are kept.
    """
    if workers < 1:
        raise InputError(f"workers must be at least one worker process; seen: {workers}.")
    plan = plan or NoisePlan()
    runs = plan_runs(plan)
    values = _read_config(config, corpus)
    folder = Path(output)
    settings = {run: run_settings(run, values, folder / RUNNING_DIR / run.name, str(config)) for run in runs}
    usable_files, skipped_files = _split_files(files)
    for file in skipped_files:
        say(f"{file} is skipped: its cells have fewer than two Cell Ontology ids.")
    if not files and not settings[runs[0]].split.studies:
        raise InputError(
            f"There is nothing to score the models on: give labelled files with --files, or in {config} studies of the "
            "corpus that are held out (split.studies)."
        )
    inputs = input_fingerprints(settings[runs[0]], usable_files)
    ensure_benchmark_dir(folder)
    with writer_lock(folder):
        provenance = ensure_provenance(folder, inputs)
        records = repair_records(folder / RECORDS_FILE)
        check_settings(records, settings)
        finished = {run_of(record) for record in records}
        pending = [run for run in runs if run not in finished]
        try:
            if pending:
                _train_runs(
                    pending,
                    settings,
                    usable_files,
                    folder,
                    workers,
                    keep_models=keep_models,
                    origin=str(config),
                    log=say,
                )
        finally:
            # Also if some runs failed: the report covers what is done.
            all_records = read_records(folder / RECORDS_FILE)
            page = publish(all_records, provenance, folder) if all_records else folder / REPORT_FILE
        return BenchmarkResult(folder, page, folder / RECORDS_FILE, len(all_records), len(pending))


def _train_runs(
    pending: Sequence[NoiseRun],
    settings: Mapping[NoiseRun, PretrainSettings],
    files: Sequence[Path],
    folder: Path,
    workers: int,
    *,
    keep_models: bool,
    origin: str,
    log: MessageCallback,
) -> None:
    # Unfinished runs of an interrupted benchmark.
    shutil.rmtree(folder / RUNNING_DIR, ignore_errors=True)
    for name in (RUNNING_DIR, LOG_DIR, *((MODELS_DIR,) if keep_models else ())):
        (folder / name).mkdir(exist_ok=True)
    run_seconds: list[float] = []

    def on_record(record: dict[str, Any]) -> None:
        append_record(folder / RECORDS_FILE, record)
        run_seconds.append(record["seconds"])
        # The first run of each process also prepares shared inputs, so its time is left out of the estimate.
        median_seconds = statistics.median(run_seconds[workers:] or run_seconds)
        minutes = median_seconds * (len(pending) - len(run_seconds)) / min(workers, len(pending)) / 60
        figures = f"macro-F1 {record['macro_f1']:.3f}, accuracy {record['accuracy']:.3f}"
        log(f"{len(run_seconds)}/{len(pending)} {run_of(record).name}: {figures}; about {minutes:.0f} minutes left")

    work = [
        {
            "run": asdict(run),
            "settings": settings[run].model_dump(mode="json"),
            "origin": origin,
            "files": [str(file) for file in files],
            "model_dir": str(folder / MODELS_DIR / run.name) if keep_models else None,
        }
        for run in pending
    ]
    log(f"{len(pending)} runs, {workers} worker processes.")
    try:
        run_trials(work, workers, folder / LOG_DIR, on_record)
    finally:
        shutil.rmtree(folder / RUNNING_DIR, ignore_errors=True)


def _read_config(config: str | Path, corpus: str | Path | None) -> dict[str, Any]:
    values = read_yaml(config)
    if not isinstance(values, dict):
        raise SettingsError(f"{config} must hold a mapping of settings; seen: {type(values).__name__}.")
    return values | ({} if corpus is None else {"corpus": str(corpus)})


def _split_files(files: Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    """Split files into those with two or more types and others; unreadable files raise before any training."""
    usable: list[Path] = []
    unusable: list[Path] = []
    for file in map(Path, files):
        types = set(true_types(open_cells(file), file).tolist()) - {""}
        (usable if len(types) > 1 else unusable).append(file)
    if len({file.stem for file in usable}) < len(usable):
        raise InputError("Two of the files have the same name, which identifies their scores; rename one.")
    if files and not usable:
        raise InputError(f"No file has cells of two Cell Ontology types; seen: {files[0]}, ...; give other files.")
    return usable, unusable
