"""From a choice of tasks and methods to a report, and on from wherever it was stopped."""

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
"""What tells one line of the records from the others."""


@dataclass(frozen=True)
class Request:
    """What is to be measured, on what, and how."""

    tasks: tuple[str, ...]
    roster: Roster
    seeds: tuple[int, ...]
    data: Path | None
    knowledge: Path | None
    corpus: Path | None
    workers: int
    minutes: float
    """A job (one method, one task, one set) that takes longer is ended, and counts as failed."""
    again: tuple[str, ...]
    """Methods whose lines are made anew, in the tasks that are asked."""


def measure(request: Request, folder: Path, say: Say) -> Benchmark:
    """Ask every method of the request everything that the folder holds no answer to, and write the report.

    Raises
    ------
    InputError
        If a file is missing or is not its card's, or a model has learned from a set.
    SettingsError
        If the folder holds figures of other files or other models under the same names.
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
        # Only when they are gone: else a former model's answers could be taken for the new one's.
        write_json(folder / RECEIPT, made)
        there = {_key(line) for line in done}
        barred = _barred(request)
        jobs = [job for job in _jobs(request, barred) if _only_left(job, there)]
        lines = sum(len(job["left"]) for job in jobs)
        for name, why in request.roster.absent.items():
            say(f"{name} is passed over: {why}.")
        for (name, task), why in barred.items():
            say(f"{name} is not asked for {task}: {why}.")
        try:
            if jobs:
                say(f"{lines} scores to make on {len(places)} files, {request.workers} at a time.")
                _make(jobs, request, folder, say)
        finally:
            # Also when it is stopped: what is done is told.
            everything = read_records(folder / RECORDS)
            page = publish(everything, made, request.roster.absent, folder)
        scored = sum("scores" in line for line in everything)
        return Benchmark(folder, page, folder / RECORDS, scored, scored - len(done))


def _asked_again(line: Mapping[str, Any], request: Request, replaced: set[str]) -> bool:
    """Tell whether an answer gives way: of another model all do, of the same one those of the tasks that are asked."""
    return line["method"] in request.again and (line["task"] in request.tasks or line["method"] in replaced)


def _cards(tasks: Sequence[str]) -> list[Card]:
    sets = [one for task in tasks for name in question(task).SETS for one in question(task).sets_of(name)]
    return list({card.name: card for name in sets for card in cards_of(name)}.values())


def _barred(request: Request) -> dict[tuple[str, str], str]:
    """Say which methods are not asked which task, though they could answer it, and why."""
    asked = [
        (name, task) for task in request.tasks for name, one in request.roster.methods.items() if answers(one, task)
    ]
    return {(name, task): why for name, task in asked if (why := kept_out(request.roster.methods[name], task))}


def _jobs(request: Request, barred: Container[tuple[str, str]]) -> list[Job]:
    """List one job for each method, task and set; the slowest methods first, so that nobody waits for them in the end."""
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
    """Take out of a job what is done; tell whether anything is left."""
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
                f"{job['method']} has no answer to {job['task']} on {job['set']} ({len(lost)} scores): {line['failure']}"
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
    """Make or widen the receipt; refuse to mix figures of other files or other models under the same names."""
    sets = {card.name: card.sha256 for card in cards}
    weights = {name: identity(folder) for name, folder in models.items()}
    methods = {name: {"title": one.title, "kind": one.kind} for name, one in request.roster.methods.items()}
    before = receipt_there(folder / RECEIPT)
    if before is not None:
        if before.get("task") != "six tasks":
            raise SettingsError(f"{folder} holds a benchmark of another kind; name another folder with -o.")
        old = {name: one for name, one in before["models"].items() if name not in request.again}
        both = {name: weights[name] for name in weights.keys() & old.keys()}
        other_models = differing(both, {name: old[name] for name in both})
        other_files = differing(
            sets, {**sets, **{name: before["sets"][name] for name in sets.keys() & before["sets"].keys()}}
        )
        if other_models or other_files:
            # Asking again does not help where the file is another: the answers of all methods were to the former one.
            way = "" if other_files else f", or have those models asked again with --again {','.join(other_models)}"
            raise SettingsError(
                f"{folder} holds figures of other files or models ({', '.join([*other_models, *other_files])}); "
                f"name another folder with -o{way}."
            )
        sets, weights = {**before["sets"], **sets}, {**old, **weights}
        methods = {**before["methods"], **methods}
    return receipt("benchmark", task="six tasks", sets=sets, models=weights, methods=methods)


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in KEY)
