"""From a plan of trainings to a report, and on from wherever it was stopped."""

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
    """Train every objective under every noise from every seed, and tell how well each then names cells from words.

    Runs that ``output`` already holds are not repeated: a benchmark that was stopped goes on, and more objectives, kinds,
    rates or seeds are added to it.

    Parameters
    ----------
    config
        YAML file of settings as for `okrcell pretrain`; objective, noise, seeds and output are the benchmark's own.
    output
        Folder for the records, the report and its pictures.
    corpus
        Folder of the corpus, instead of the one in ``config``.
    files
        Labelled cells (obs column ``cell_type_ontology_term_id``) to score the models on; without them, the studies
        of the corpus that ``config`` keeps for validation (``split.studies``).
    workers
        Processes at a time, of one thread each.
    keep_models
        Keep each run's folder under ``models/``; else it is deleted when its scores are there.
    say
        Takes the lines for the terminal.

    Raises
    ------
    InputError
        If a file or the corpus cannot be read, or ``output`` cannot be written.
    SettingsError
        If a setting is wrong, or ``output`` holds runs that were made with others.
    WorkLeftError
        If a run failed; those that are done are kept.
    """
    if workers < 1:
        raise InputError(f"There must be at least one worker; seen: {workers}.")
    plan = plan or NoisePlan()
    runs = planned(plan)
    values = _configured(config, corpus)
    folder = Path(output)
    settings = {run: settings_of(run, values, folder / UNDER_WAY / run.name, str(config)) for run in runs}
    scored_on, passed_over = _scored_on(files)
    for file in passed_over:
        say(f"{file} is not scored on: its cells have fewer than two Cell Ontology ids.")
    if not files and not settings[runs[0]].split.studies:
        raise InputError(
            f"There is nothing to score the models on: name labelled files with --files, or in {config} studies of the "
            "corpus that are not learned from (split.studies)."
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
            # Also when some runs could not be made: what is done is told.
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
    # What a killed benchmark was in the middle of.
    shutil.rmtree(folder / UNDER_WAY, ignore_errors=True)
    for name in (UNDER_WAY, LOGS, *((MODELS,) if keep_models else ())):
        (folder / name).mkdir(exist_ok=True)
    paces: list[float] = []

    def finished(record: dict[str, Any]) -> None:
        append_record(folder / RECORDS, record)
        paces.append(record["seconds"])
        # The first run of each process also makes what its others share, so it does not tell what is to come.
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
    say(f"{len(left)} runs, {workers} at a time.")
    try:
        share_out(work, workers, folder / LOGS, finished)
    finally:
        shutil.rmtree(folder / UNDER_WAY, ignore_errors=True)


def _configured(config: str | Path, corpus: str | Path | None) -> dict[str, Any]:
    values = read_yaml(config)
    if not isinstance(values, dict):
        raise SettingsError(f"{config} must hold a mapping of settings, but it holds a {type(values).__name__}.")
    return values | ({} if corpus is None else {"corpus": str(corpus)})


def _scored_on(files: Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    """Say which files can be scored on, and which have no two types; a bad file is refused before any work."""
    good: list[Path] = []
    poor: list[Path] = []
    for file in map(Path, files):
        types = set(truth_of(open_cells(file), file).tolist()) - {""}
        (good if len(types) > 1 else poor).append(file)
    if len({file.stem for file in good}) < len(good):
        raise InputError("Two of the files have one name, by which their scores are told apart; rename one.")
    if files and not good:
        raise InputError(f"None of the files has cells of two Cell Ontology types, such as {files[0]}; name others.")
    return good, poor
