"""Run the benchmark: plan the jobs, skip finished ones, run the rest, write the report."""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from okrcell.benchmarking.crew import Job, share_out
from okrcell.benchmarking.folder import LOGS, RECEIPT, RECORDS, made_folder, receipt_there
from okrcell.benchmarking.pace import Pace
from okrcell.benchmarking.questions.asked import HEADLINE, question
from okrcell.benchmarking.records import append_record, differing, keep_records, read_records
from okrcell.benchmarking.remembering import identity
from okrcell.benchmarking.report.publish import publish
from okrcell.benchmarking.result import Benchmark
from okrcell.benchmarking.roster import Roster, answers, kept_out
from okrcell.benchmarking.sets.card import Card, cards_of
from okrcell.benchmarking.sets.leaks import refuse_leaks
from okrcell.benchmarking.sets.resolve import find_file
from okrcell.cells.corpus_folder import only_writer
from okrcell.errors import SettingsError
from okrcell.provenance import receipt, write_json

Say = Callable[[str], object]
Line = dict[str, Any]
KEY = ("task", "set", "case", "method", "seed")
"""Keys that identify a line of the records."""


@dataclass(frozen=True)
class Request:
    """A benchmark to run: tasks, methods, data and limits."""

    tasks: tuple[str, ...]
    roster: Roster
    seeds: tuple[int, ...]
    data: Path | None
    knowledge: Path | None
    corpus: Path | None
    workers: int
    minutes: float
    """Time limit of a job (one method, one task, one data set); a job that exceeds it is stopped and has failed."""
    again: tuple[str, ...]
    """Methods whose scores are computed again, for ``tasks``."""


def measure(request: Request, folder: Path, say: Say) -> Benchmark:
    """Compute all scores of the request that the folder does not hold yet, and write the report.

    Raises
    ------
    InputError
        If a file is missing or does not match its card, or a model was trained on a data set.
    SettingsError
        If the folder holds results of other files or other models under the same names.
    """
    cards = _cards(request.tasks)
    places = {card.name: find_file(card, request.data) for card in cards}
    models = {name: one.model for name, one in request.roster.methods.items() if one.kind != "baseline"}
    refuse_leaks(models, cards, request.data, request.corpus)
    made_folder(folder)
    with only_writer(folder):
        former = (receipt_there(folder / RECEIPT) or {}).get("models", {})
        made = _receipt(folder, cards, models, request)
        replaced = {name for name, weights in former.items() if made["models"].get(name) != weights}
        done = [line for line in read_records(folder / RECORDS) if "scores" in line]
        done = [line for line in done if not _asked_again(line, request, replaced)]
        keep_records(folder / RECORDS, done)
        # Written after the old scores are removed: else scores of a former model could be taken for the new one's.
        write_json(folder / RECEIPT, made)
        there = {_key(line) for line in done}
        barred = _barred(request)
        jobs = [job for job in _jobs(request, barred) if _only_left(job, there)]
        lines = sum(len(job["left"]) for job in jobs)
        for name, why in request.roster.absent.items():
            say(f"{name} is skipped: {why}.")
        for (name, task), why in barred.items():
            say(f"{name} is excluded from {task}: {why}.")
        try:
            if jobs:
                say(f"{lines} scores to compute on {len(places)} files, {request.workers} worker processes.")
                _make(jobs, request, folder, say)
        finally:
            # Also after an interruption: the report covers what is done.
            everything = read_records(folder / RECORDS)
            page = publish(everything, made, request.roster.absent, folder)
        scored = sum("scores" in line for line in everything)
        return Benchmark(folder, page, folder / RECORDS, scored, scored - len(done))


def _asked_again(line: Mapping[str, Any], request: Request, replaced: set[str]) -> bool:
    """Whether a score is computed again: all scores of a replaced model, else those of the selected tasks."""
    return line["method"] in request.again and (line["task"] in request.tasks or line["method"] in replaced)


def _cards(tasks: Sequence[str]) -> list[Card]:
    sets = [one for task in tasks for name in question(task).SETS for one in question(task).sets_of(name)]
    return list({card.name: card for name in sets for card in cards_of(name)}.values())


def _barred(request: Request) -> dict[tuple[str, str], str]:
    """(Method, task) to the reason why the method is excluded from a task that it implements."""
    asked = [
        (name, task) for task in request.tasks for name, one in request.roster.methods.items() if answers(one, task)
    ]
    return {(name, task): why for name, task in asked if (why := kept_out(request.roster.methods[name], task))}


def _jobs(request: Request, barred: Container[tuple[str, str]]) -> list[Job]:
    """List one job per method, task and data set; slow methods first, which shortens the total time."""
    methods = sorted(request.roster.methods.items(), key=lambda one: (not one[1].slow, one[1].kind == "baseline"))
    return [
        {
            "task": task,
            "set": name,
            "method": method,
            "answer": answer,
            "model": one.model,
            "data": str(request.data) if request.data else None,
            "knowledge": str(request.knowledge) if request.knowledge else None,
            "left": [asdict(asking) for asking in question(task).askings(name, request.seeds)],
        }
        for method, one in methods
        for task in request.tasks
        if (answer := answers(one, task)) is not None and (method, task) not in barred
        for name in question(task).SETS
    ]


def _only_left(job: Job, there: set[tuple[Any, ...]]) -> bool:
    """Remove finished items from a job in place; return whether any item is left."""
    job["left"] = [asking for asking in job["left"] if _key({**job, **asking}) not in there]
    return bool(job["left"])


def _make(jobs: Sequence[Job], request: Request, folder: Path, say: Say) -> None:
    (folder / LOGS).mkdir(exist_ok=True)
    pace = Pace()
    left = {_key(line): line for job in jobs for asking in job["left"] if (line := {**job, **asking})}
    count, began = len(left), {}

    def heard(job: Job, line: Line) -> None:
        now = time.monotonic()
        since = began.get(id(job), now)
        began[id(job)] = now
        if "record" in line:
            record = line["record"]
            append_record(folder / RECORDS, record)
            left.pop(_key(record), None)
            pace.took(record, now - since)
            _progress(record)
        elif "failure" in line:
            lost = [one for asking in job["left"] if (one := left.pop(_key({**job, **asking}), None))]
            append_record(folder / RECORDS, {**{name: job[name] for name in ("task", "set", "method")}, **line})
            say(
                f"{job['method']} failed on {job['task']}, {job['set']} ({len(lost)} scores missing): {line['failure']}"
            )

    def _progress(record: Line) -> None:
        measure_name = HEADLINE[record["task"]]
        value = record["scores"].get(measure_name)
        told = "none" if value is None else f"{value:.3f}"
        what = " ".join(filter(None, (record["task"], record["set"], record["case"], f"seed {record['seed']}")))
        say(
            f"{count - len(left)}/{count} {record['method']}, {what}: {measure_name} {told}; "
            f"about {pace.minutes(left.values(), request.workers):.0f} minutes left"
        )

    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job["method"], job["task"]), []).append(job)
    share_out(list(groups.values()), request.workers, request.minutes * 60, folder / LOGS, heard)


def _receipt(folder: Path, cards: Sequence[Card], models: Mapping[str, str | None], request: Request) -> dict[str, Any]:
    """Provenance of the folder, extended by this request; refuses to mix results of other files or models."""
    sets = {card.name: card.sha256 for card in cards}
    weights = {name: identity(folder) for name, folder in models.items()}
    methods = {name: {"title": one.title, "kind": one.kind} for name, one in request.roster.methods.items()}
    before = receipt_there(folder / RECEIPT)
    if before is not None:
        if before.get("task") != "six tasks":
            raise SettingsError(f"{folder} holds a benchmark of another kind; choose another folder with -o.")
        old = {name: one for name, one in before["models"].items() if name not in request.again}
        both = {name: weights[name] for name in weights.keys() & old.keys()}
        other_models = differing(both, {name: old[name] for name in both})
        other_files = differing(
            sets, {**sets, **{name: before["sets"][name] for name in sets.keys() & before["sets"].keys()}}
        )
        if other_models or other_files:
            # --again does not help if a file has changed: the scores of all methods are of the former file.
            way = "" if other_files else f", or compute these models again with --again {','.join(other_models)}"
            raise SettingsError(
                f"{folder} holds results of other files or models ({', '.join([*other_models, *other_files])}); "
                f"choose another folder with -o{way}."
            )
        sets, weights = {**before["sets"], **sets}, {**old, **weights}
        methods = {**before["methods"], **methods}
    return receipt("benchmark", task="six tasks", sets=sets, models=weights, methods=methods)


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in KEY)
