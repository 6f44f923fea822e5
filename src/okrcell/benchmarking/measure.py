"""Run the benchmark: plan the jobs, skip finished ones, run the rest, write the report."""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from okrcell.benchmarking.crew import Job, run_jobs
from okrcell.benchmarking.folder import LOG_DIR, PROVENANCE_FILE, RECORDS_FILE, ensure_benchmark_dir, read_provenance
from okrcell.benchmarking.pace import ETA
from okrcell.benchmarking.tasks.task import MAIN_METRICS, get_task
from okrcell.benchmarking.records import append_record, differing_keys, read_records, replace_records
from okrcell.benchmarking.resources import weights_sha256
from okrcell.benchmarking.report.publish import publish
from okrcell.benchmarking.result import BenchmarkResult
from okrcell.benchmarking.roster import MethodSelection, exclusion_reason, implementation_of
from okrcell.benchmarking.sets.card import DatasetCard, cards_of
from okrcell.benchmarking.datasets.leakage import check_leakage
from okrcell.benchmarking.sets.resolve import find_file
from okrcell.cells.corpus_folder import writer_lock
from okrcell.errors import SettingsError
from okrcell.provenance import provenance_record, write_json

MessageCallback = Callable[[str], object]
Record = dict[str, Any]
RECORD_KEYS = ("task", "set", "case", "method", "seed")
"""Keys that identify a line of the records."""


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
        n_items = sum(len(job["left"]) for job in jobs)
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
            "answer": implementation,
            "model": method.model,
            "data": str(plan.data) if plan.data else None,
            "knowledge": str(plan.knowledge) if plan.knowledge else None,
            "left": [asdict(item) for item in get_task(task).items(name, plan.seeds)],
        }
        for method_name, method in methods
        for task in plan.tasks
        if (implementation := implementation_of(method, task)) is not None and (method_name, task) not in excluded
        for name in get_task(task).SETS
    ]


def _drop_finished(job: Job, finished_keys: set[tuple[Any, ...]]) -> bool:
    """Remove finished items from a job in place; return whether any item is left."""
    job["left"] = [item for item in job["left"] if _record_key({**job, **item}) not in finished_keys]
    return bool(job["left"])


def _execute(jobs: Sequence[Job], plan: BenchmarkPlan, folder: Path, log: MessageCallback) -> None:
    (folder / LOG_DIR).mkdir(exist_ok=True)
    eta = ETA()
    pending = {_record_key(line): line for job in jobs for item in job["left"] if (line := {**job, **item})}
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
            missing = [dropped for item in job["left"] if (dropped := pending.pop(_record_key({**job, **item}), None))]
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
