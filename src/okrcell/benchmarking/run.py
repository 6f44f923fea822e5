"""What can be measured, and the verb that measures it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.questions.asked import TASKS
from okrcell.benchmarking.result import Benchmark
from okrcell.errors import InputError

NOISE = "noise"
"""Trains models on wrong pairs, which is a matter of hours: see `okrcell.benchmarking.noise.run.noise_benchmark`."""


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
) -> Benchmark:
    """Ask the same questions of okrcell and of what others would use, and write a report.

    What ``output`` already holds is not asked again: a benchmark that was stopped goes on, and grows by more tasks,
    methods or seeds.

    Parameters
    ----------
    output
        Folder for the records, the report and its pictures.
    tasks
        Of clustering, integration, annotation, few_shot, zero_shot, unseen_types, open_types, unknown, retrieval, robustness:
        all by default. "noise" stands alone, needs ``config`` and takes what `noise_benchmark` takes (``files``, ``plan``,
        ``keep_models``); it is meant where ``config`` is given and no task.
    methods
        Names of `okrcell.benchmarking.methods.METHODS`; by default all that take seconds, "all" for the others as well.
    data
        Folder that holds the sets' files; without it those are fetched whose cards have an address.
    knowledge
        Folder of marker tables, which scoring by markers needs.
    seeds
        Each draws four fifths of the cells (and two draws of examples), and is the seed of what is random in a method.
    models
        Name to folder of further checkpoints to be measured like okrcell's own.
    corpus
        What the models learned from, to look for cells of the sets in it; for noise, what is learned from.
    workers
        Processes at a time, of one thread each.
    minutes
        A method that takes longer for one task on one set is ended, and the report says so.
    again
        Methods that are asked again although the folder holds their answers to these tasks; of a checkpoint that was
        replaced all answers give way.
    say
        Takes the lines for the terminal.

    Raises
    ------
    InputError
        If there is no such task, a file is missing or another than its card's, or a model has learned from a set.
    SettingsError
        If there is no such method, one of ``again`` takes no part, or ``output`` holds figures of other files or models.
    """
    asked = (NOISE,) if is_noise(tasks, config) else TASKS if tasks is None else tuple(tasks)
    unknown = [task for task in asked if task not in (*TASKS, NOISE)]
    if unknown or not asked or (NOISE in asked and len(asked) > 1):
        seen = ", ".join(asked) or "none"
        raise InputError(
            f"A benchmark measures any of these tasks: {', '.join(TASKS)}; or noise, which stands alone; seen: {seen}."
        )
    if workers < 1:
        raise InputError(f"There must be at least one worker; seen: {workers}.")
    if asked == (NOISE,):
        if methods or data or knowledge or models or again:
            raise InputError(
                "The task noise trains its own models: methods, data, knowledge, models and again are not for it."
            )
        return _noise(output, config, corpus=corpus, workers=workers, say=say, **noise)
    if config is not None or noise:
        given = ", ".join([*(["config"] if config is not None else []), *noise])
        raise InputError(f"{given} is for the task noise only; the other tasks train nothing.")
    if not seeds or min(seeds) < 0:
        raise InputError("There must be at least one seed, and none below 0.")
    from okrcell.benchmarking.measure import Request, measure
    from okrcell.benchmarking.roster import check_again, chosen

    data, knowledge, corpus = (Path(one) if one is not None else None for one in (data, knowledge, corpus))
    roster = chosen(methods, {name: str(one) for name, one in (models or {}).items()}, data, knowledge)
    check_again(again, roster)
    request = Request(
        tasks=tuple(task for task in TASKS if task in asked),
        roster=roster,
        seeds=tuple(seeds),
        data=data,
        knowledge=knowledge,
        corpus=corpus,
        workers=workers,
        minutes=minutes,
        again=tuple(again),
    )
    return measure(request, Path(output), say)


def is_noise(tasks: Sequence[str] | None, config: str | Path | None) -> bool:
    """Whether the task noise is meant: it is named alone, or no task is and there are settings of trainings."""
    return config is not None if tasks is None else tuple(tasks) == (NOISE,)


def _noise(output: str | Path, config: str | Path | None, **choices: Any) -> Benchmark:
    from okrcell.benchmarking.noise.run import noise_benchmark

    if config is None:
        raise InputError("The task noise trains models: name the settings of each training with --config.")
    return noise_benchmark(config, output, **choices)
