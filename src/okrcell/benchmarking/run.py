"""The public function `okrcell.benchmark`: run a benchmark, resume it, write its report."""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from okrcell.benchmarking.datasets.datasets import DatasetCard, cards_of, find_file
from okrcell.benchmarking.datasets.leakage import check_leakage
from okrcell.benchmarking.methods import METHODS, Method
from okrcell.benchmarking.records import (
    LOG_DIR,
    PROVENANCE_FILE,
    RECORDS_FILE,
    BenchmarkResult,
    append_record,
    differing_keys,
    ensure_benchmark_dir,
    read_provenance,
    read_records,
    replace_records,
)
from okrcell.benchmarking.report.tables import publish
from okrcell.benchmarking.resources import weights_sha256
from okrcell.benchmarking.tasks import unseen_types
from okrcell.benchmarking.tasks.task import IMPLEMENTED_BY, MAIN_METRICS, TASKS, get_task
from okrcell.benchmarking.worker_pool import ETA, Job, run_jobs
from okrcell.data.corpus import writer_lock
from okrcell.errors import InputError, SettingsError
from okrcell.provenance import provenance_record, write_json

ALL_METHODS = "all"
"""Selects every method, including the slow ones."""
UNSEEN_TYPES = "unseen_types"
"""Task for methods that were not trained on cells of the evaluated types."""
OKRCELL = "okrcell"
"""Method that further checkpoints are evaluated with."""


MessageCallback = Callable[[str], object]
Record = dict[str, Any]
RECORD_KEYS = ("task", "set", "case", "method", "seed")
"""Keys that identify a line of the records."""
NOISE = "noise"
"""The label-noise benchmark, which trains models (hours): see `okrcell.benchmarking.noise.run.noise_benchmark`."""


@dataclass(frozen=True)
class MethodSelection:
    """Selected methods by name, in the order of the report."""

    methods: Mapping[str, Method]
    unavailable: Mapping[str, str]
    """Method that was selected but is not available, to the reason and what to do."""


def select_methods(
    names: Sequence[str],
    models: Mapping[str, str],
    data: Path | None,
    knowledge: Path | None,
    registry: Mapping[str, Method] = METHODS,
) -> MethodSelection:
    """Select methods by name. Without names, all that are not slow are selected, and all further models.

    Parameters
    ----------
    names
        Names of methods, or `ALL_METHODS`.
    models
        Name to the folder of a further checkpoint, evaluated like that of `OKRCELL`.
    data, knowledge
        Folders that some methods need; see `Method.requires`.
    registry
        Registry of methods.

    Raises
    ------
    SettingsError
        If a name is unknown, or a model has the name of a method.
    """
    all_methods = dict(registry)
    for name, folder in models.items():
        if name in registry:
            raise SettingsError(f"--models names a checkpoint {name}, which is the name of a method; use another name.")
        all_methods[name] = replace(registry[OKRCELL], title=name, kind="control", model=str(folder))
    for name in names:
        if name not in all_methods and name != ALL_METHODS:
            raise SettingsError(f"There is no method '{name}'; {_suggest(name, all_methods, 'methods are')}")
    selected = [
        name
        for name, method in all_methods.items()
        if name in names or ALL_METHODS in names or (not names and not method.slow) or name in models
    ]
    unavailable = {
        name: reason for name in selected if (reason := _unavailable_reason(all_methods[name], data, knowledge))
    }
    return MethodSelection({name: all_methods[name] for name in selected if name not in unavailable}, unavailable)


def check_again(again: Sequence[str], selection: MethodSelection) -> None:
    """Check that the methods of ``again`` are part of the run; otherwise their scores would be removed and not replaced.

    Raises
    ------
    SettingsError
        If a name is not among the selected, available methods.
    """
    for name in again:
        if name in selection.unavailable:
            raise SettingsError(f"--again names {name}, which is not available: {selection.unavailable[name]}.")
        if name not in selection.methods:
            raise SettingsError(
                f"--again names {name}, which is not part of the run; {_suggest(name, selection.methods, 'its methods are')} "
                "Select methods with --methods and --models."
            )


def implementation_of(method: Method, task: str) -> str | None:
    """Return the method's implementation of a task, None if it has none."""
    return method.implementations.get(IMPLEMENTED_BY.get(task, task))


def _suggest(name: str, choices: Mapping[str, Method], prefix: str) -> str:
    matches = get_close_matches(name, list(choices), n=1)
    return f"did you mean '{matches[0]}'?" if matches else f"{prefix}: {', '.join(choices) or 'none'}."


def exclusion_reason(method: Method, task: str) -> str:
    """Reason why a method is excluded from a task that it implements, "" if it is not."""
    return unseen_types.exclusion_reason(method) if task == UNSEEN_TYPES else ""


def _unavailable_reason(method: Method, data: Path | None, knowledge: Path | None) -> str:
    packages = [name for name in method.packages if find_spec(name) is None]
    if packages:
        return f"{', '.join(packages)} is not installed: pip install 'okrcell[{method.extra}]'"
    available = {"data": data, "knowledge": knowledge}
    folders = [name for name in method.requires if available[name] is None]
    return f"it needs a folder: give it with --{folders[0]}" if folders else ""


@dataclass(frozen=True)
class BenchmarkPlan:
    """A benchmark to run: tasks, methods, data and limits."""

    tasks: tuple[str, ...]
    selection: MethodSelection
    seeds: tuple[int, ...]
    data: Path | None
    knowledge: Path | None
    corpus: Path | None
    workers: int
    minutes: float
    """Time limit of a job (one method, one task, one data set); a job that exceeds it is stopped and has failed."""
    again: tuple[str, ...]
    """Methods whose scores are computed again, for ``tasks``."""


def run_plan(plan: BenchmarkPlan, folder: Path, log: MessageCallback) -> BenchmarkResult:
    """Compute all scores of the request that the folder does not hold yet, and write the report.

    Raises
    ------
    InputError
        If a file is missing or does not match its card, or a model was trained on a data set.
    SettingsError
        If the folder holds results of other files or other models under the same names.
    """
    cards = _task_cards(plan.tasks)
    files = {card.name: find_file(card, plan.data) for card in cards}
    models = {name: method.model for name, method in plan.selection.methods.items() if method.kind != "baseline"}
    check_leakage(models, cards, plan.data, plan.corpus)
    ensure_benchmark_dir(folder)
    with writer_lock(folder):
        former_weights = (read_provenance(folder / PROVENANCE_FILE) or {}).get("models", {})
        provenance = _provenance(folder, cards, models, plan)
        replaced_methods = {
            name for name, weights in former_weights.items() if provenance["models"].get(name) != weights
        }
        finished = [line for line in read_records(folder / RECORDS_FILE) if "scores" in line]
        finished = [line for line in finished if not _is_repeated(line, plan, replaced_methods)]
        replace_records(folder / RECORDS_FILE, finished)
        # Written after the old scores are removed: else scores of a former model could be taken for the new one's.
        write_json(folder / PROVENANCE_FILE, provenance)
        finished_keys = {_record_key(line) for line in finished}
        excluded = _excluded(plan)
        jobs = [job for job in _build_jobs(plan, excluded) if _drop_finished(job, finished_keys)]
        n_items = sum(len(job["items"]) for job in jobs)
        for name, reason in plan.selection.unavailable.items():
            log(f"{name} is skipped: {reason}.")
        for (name, task), reason in excluded.items():
            log(f"{name} is excluded from {task}: {reason}.")
        try:
            if jobs:
                log(f"{n_items} scores to compute on {len(files)} files, {plan.workers} worker processes.")
                _execute(jobs, plan, folder, log)
        finally:
            # Also after an interruption: the report covers what is done.
            records = read_records(folder / RECORDS_FILE)
            page = publish(records, provenance, plan.selection.unavailable, folder)
        n_scored = sum("scores" in line for line in records)
        return BenchmarkResult(folder, page, folder / RECORDS_FILE, n_scored, n_scored - len(finished))


def _is_repeated(line: Mapping[str, Any], plan: BenchmarkPlan, replaced_methods: set[str]) -> bool:
    """Whether a score is computed again: all scores of a replaced model, else those of the selected tasks."""
    return line["method"] in plan.again and (line["task"] in plan.tasks or line["method"] in replaced_methods)


def _task_cards(tasks: Sequence[str]) -> list[DatasetCard]:
    sets = [dataset for task in tasks for name in get_task(task).SETS for dataset in get_task(task).datasets_of(name)]
    return list({card.name: card for name in sets for card in cards_of(name)}.values())


def _excluded(plan: BenchmarkPlan) -> dict[tuple[str, str], str]:
    """(Method, task) to the reason why the method is excluded from a task that it implements."""
    pairs = [
        (name, task)
        for task in plan.tasks
        for name, method in plan.selection.methods.items()
        if implementation_of(method, task)
    ]
    return {
        (name, task): reason for name, task in pairs if (reason := exclusion_reason(plan.selection.methods[name], task))
    }


def _build_jobs(plan: BenchmarkPlan, excluded: Container[tuple[str, str]]) -> list[Job]:
    """List one job per method, task and data set; slow methods first, which shortens the total time."""
    methods = sorted(
        plan.selection.methods.items(), key=lambda method: (not method[1].slow, method[1].kind == "baseline")
    )
    return [
        {
            "task": task,
            "set": name,
            "method": method_name,
            "implementation": implementation,
            "model": method.model,
            "data": str(plan.data) if plan.data else None,
            "knowledge": str(plan.knowledge) if plan.knowledge else None,
            "items": [asdict(item) for item in get_task(task).items(name, plan.seeds)],
        }
        for method_name, method in methods
        for task in plan.tasks
        if (implementation := implementation_of(method, task)) is not None and (method_name, task) not in excluded
        for name in get_task(task).SETS
    ]


def _drop_finished(job: Job, finished_keys: set[tuple[Any, ...]]) -> bool:
    """Remove finished items from a job in place; return whether any item is left."""
    job["items"] = [item for item in job["items"] if _record_key({**job, **item}) not in finished_keys]
    return bool(job["items"])


def _execute(jobs: Sequence[Job], plan: BenchmarkPlan, folder: Path, log: MessageCallback) -> None:
    (folder / LOG_DIR).mkdir(exist_ok=True)
    eta = ETA()
    pending = {_record_key(line): line for job in jobs for item in job["items"] if (line := {**job, **item})}
    total, started = len(pending), {}

    def on_result(job: Job, line: Record) -> None:
        now = time.monotonic()
        previous = started.get(id(job), now)
        started[id(job)] = now
        if "record" in line:
            record = line["record"]
            append_record(folder / RECORDS_FILE, record)
            pending.pop(_record_key(record), None)
            eta.add(record, now - previous)
            _progress(record)
        elif "failure" in line:
            missing = [dropped for item in job["items"] if (dropped := pending.pop(_record_key({**job, **item}), None))]
            append_record(folder / RECORDS_FILE, {**{name: job[name] for name in ("task", "set", "method")}, **line})
            log(
                f"{job['method']} failed on {job['task']}, {job['set']} ({len(missing)} scores missing): {line['failure']}"
            )

    def _progress(record: Record) -> None:
        metric = MAIN_METRICS[record["task"]]
        value = record["scores"].get(metric)
        text = "none" if value is None else f"{value:.3f}"
        item_name = " ".join(filter(None, (record["task"], record["set"], record["case"], f"seed {record['seed']}")))
        log(
            f"{total - len(pending)}/{total} {record['method']}, {item_name}: {metric} {text}; "
            f"about {eta.remaining_minutes(pending.values(), plan.workers):.0f} minutes left"
        )

    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job["method"], job["task"]), []).append(job)
    run_jobs(list(groups.values()), plan.workers, plan.minutes * 60, folder / LOG_DIR, on_result)


def _provenance(
    folder: Path, cards: Sequence[DatasetCard], models: Mapping[str, str | None], plan: BenchmarkPlan
) -> dict[str, Any]:
    """Provenance of the folder, extended by this request; refuses to mix results of other files or models."""
    sets = {card.name: card.sha256 for card in cards}
    weights = {name: weights_sha256(folder) for name, folder in models.items()}
    methods = {name: {"title": entry.title, "kind": entry.kind} for name, entry in plan.selection.methods.items()}
    existing = read_provenance(folder / PROVENANCE_FILE)
    if existing is not None:
        if existing.get("task") != "six tasks":
            raise SettingsError(f"{folder} holds a benchmark of another kind; choose another folder with -o.")
        existing_weights = {name: entry for name, entry in existing["models"].items() if name not in plan.again}
        shared_weights = {name: weights[name] for name in weights.keys() & existing_weights.keys()}
        other_models = differing_keys(shared_weights, {name: existing_weights[name] for name in shared_weights})
        other_files = differing_keys(
            sets, {**sets, **{name: existing["sets"][name] for name in sets.keys() & existing["sets"].keys()}}
        )
        if other_models or other_files:
            # --again does not help if a file has changed: the scores of all methods are of the former file.
            hint = "" if other_files else f", or compute these models again with --again {','.join(other_models)}"
            raise SettingsError(
                f"{folder} holds results of other files or models ({', '.join([*other_models, *other_files])}); "
                f"choose another folder with -o{hint}."
            )
        sets, weights = {**existing["sets"], **sets}, {**existing_weights, **weights}
        methods = {**existing["methods"], **methods}
    return provenance_record("benchmark", task="six tasks", sets=sets, models=weights, methods=methods)


def _record_key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in RECORD_KEYS)


def benchmark(
    output: str | Path,
    *,
    tasks: Sequence[str] | None = None,
    methods: Sequence[str] = (),
    data: str | Path | None = None,
    knowledge: str | Path | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    models: Mapping[str, str | Path] | None = None,
    corpus: str | Path | None = None,
    workers: int = 1,
    minutes: float = 20,
    again: Sequence[str] = (),
    config: str | Path | None = None,
    say: Callable[[str], object] = lambda _: None,
    **noise: Any,
) -> BenchmarkResult:
    """Run okrcell and baseline methods on the same tasks and data sets, and write a report.

    The run is resumable. Scores that ``output`` already holds are not computed again, so an interrupted benchmark can be
    continued, and more tasks, methods or seeds can be added to a finished one.

    Parameters
    ----------
    output
        Folder of the benchmark. Receives one JSON line per score (``runs.jsonl``), the report (``report.md``,
        ``report.html``), a table by cell type (``per_type.md``), figures (PNG), all numbers (``summary.json``), the
        provenance (``benchmark.json``) and the logs of the worker processes (``logs/``).
    tasks
        Tasks to run, any of clustering, integration, annotation, few_shot, zero_shot, free_text, unseen_types, open_types,
        unknown, retrieval, robustness and annotation_dropout. Default: all of them. The task "noise" trains models, cannot be
        combined with others and needs ``config``; it is selected when ``config`` is given and ``tasks`` is None.
    methods
        Names from `okrcell.benchmarking.methods.METHODS`. Default: all methods that are not slow. ``"all"`` adds the slow
        ones.
    data
        Folder with the files of the data sets, under the paths of their cards. Default: download the files whose cards
        have a URL.
    knowledge
        Folder of marker tables, required by the methods that score marker genes.
    seeds
        Seeds, at least one, none negative. A seed selects four fifths of the cells (at most 3,000) of a data set, or two
        draws of few-shot examples, and seeds the random steps of the methods.
    models
        Name to folder of further checkpoints; each is evaluated like okrcell's own model.
    corpus
        Training corpus of the models, searched for cells of the data sets (leakage check). For the task noise: the corpus
        that models are trained on.
    workers
        Number of parallel worker processes, one thread each.
    minutes
        Time limit of one method on one task and data set, in minutes. A job that exceeds it is stopped and reported as
        failed.
    again
        Methods whose scores of the selected tasks are discarded and computed again. If the checkpoint of a method was
        replaced, its scores of all tasks are discarded.
    config
        YAML file with the training settings of the task noise, such as ``configs/noise.yaml``.
    say
        Callback that receives progress messages, one line each. Default: no messages.
    **noise
        Further arguments of `okrcell.benchmarking.noise.run.noise_benchmark` (``files``, ``plan``, ``keep_models``), for
        the task noise only.

    Returns
    -------
    Paths of the folder, the report and the records, the number of runs in the records (``runs``) and the number of runs
    computed by this call (``made``).

    Raises
    ------
    InputError
        If a task is unknown, an argument does not fit the task, a file is missing or does not match the sha256 of its card,
        or a model was trained on a study, donor or cell of a data set.
    SettingsError
        If a method is unknown, ``again`` names a method that is not part of the run, or ``output`` holds results of other
        files or models.
    IncompleteError
        If a run of the task noise failed.

    Notes
    -----
    Each method runs in a process of its own, with one thread, on the same cells; scores are computed in that process, so
    a method that fails or exceeds ``minutes`` does not affect the others. Cells of a seed are selected by the sha256 of
    their names and compared with a frozen list, so every machine evaluates the same cells. Seconds are those of one
    prediction, including the embedding of the cells. Tasks and metrics are described in section 8 of ``docs/method.md``.

    Examples
    --------
    List the tasks and the methods:

    >>> import okrcell as okr
    >>> from okrcell.benchmarking.methods import METHODS
    >>> from okrcell.benchmarking.run import TASKS
    >>> list(TASKS)[:4]
    ['clustering', 'integration', 'annotation', 'few_shot']
    >>> [name for name, method in METHODS.items() if method.kind == "ours"]
    ['okrcell']
    >>> METHODS["hvg_pca"].title
    'HVG + PCA'

    Compare two methods on one task with one seed (needs the data sets, takes minutes):

    >>> result = okr.benchmark(
    ...     "results", tasks=["clustering"], methods=["okrcell", "hvg_pca"], data="data", seeds=[0]
    ... )  # doctest: +SKIP
    >>> result.report  # doctest: +SKIP
    PosixPath('results/report.html')
    """
    selected = (NOISE,) if is_noise(tasks, config) else TASKS if tasks is None else tuple(tasks)
    unknown_tasks = [task for task in selected if task not in (*TASKS, NOISE)]
    if unknown_tasks or not selected or (NOISE in selected and len(selected) > 1):
        selected_text = ", ".join(selected) or "none"
        raise InputError(
            f"A benchmark takes any of these tasks: {', '.join(TASKS)}; or noise alone; seen: {selected_text}."
        )
    if workers < 1:
        raise InputError(f"workers must be at least one worker process; seen: {workers}.")
    if selected == (NOISE,):
        if methods or data or knowledge or models or again:
            raise InputError(
                "The task noise trains its own models and takes no methods, data, knowledge, models or again; remove them."
            )
        return _run_noise(output, config, corpus=corpus, workers=workers, say=say, **noise)
    if config is not None or noise:
        argument_names = ", ".join([*(["config"] if config is not None else []), *noise])
        raise InputError(f"{argument_names} is for the task noise only; remove it, or select --tasks noise.")
    if not seeds or min(seeds) < 0:
        raise InputError(f"seeds must hold at least one seed, none below 0; seen: {list(seeds)}.")

    data, knowledge, corpus = (Path(value) if value is not None else None for value in (data, knowledge, corpus))
    selection = select_methods(methods, {name: str(value) for name, value in (models or {}).items()}, data, knowledge)
    check_again(again, selection)
    plan = BenchmarkPlan(
        tasks=tuple(task for task in TASKS if task in selected),
        selection=selection,
        seeds=tuple(seeds),
        data=data,
        knowledge=knowledge,
        corpus=corpus,
        workers=workers,
        minutes=minutes,
        again=tuple(again),
    )
    return run_plan(plan, Path(output), say)


def is_noise(tasks: Sequence[str] | None, config: str | Path | None) -> bool:
    """Whether the task noise is selected: it is the only task, or there is no task but a ``config``."""
    return config is not None if tasks is None else tuple(tasks) == (NOISE,)


def _run_noise(output: str | Path, config: str | Path | None, **choices: Any) -> BenchmarkResult:
    from okrcell.benchmarking.noise.run import noise_benchmark

    if config is None:
        raise InputError("The task noise needs training settings: give a YAML file with --config.")
    return noise_benchmark(config, output, **choices)
