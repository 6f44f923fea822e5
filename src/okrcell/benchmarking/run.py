"""The public function `okrcell.benchmark`: run a benchmark, resume it, write its report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.tasks.task import TASKS
from okrcell.benchmarking.result import BenchmarkResult
from okrcell.errors import InputError

NOISE = "noise"
"""The label-noise benchmark, which trains models (hours): see `okrcell.benchmarking.noise.run.noise_benchmark`."""


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
        ``report.html``), its figures (PNG), all numbers (``summary.json``), the provenance (``benchmark.json``) and the
        logs of the worker processes (``logs/``).
    tasks
        Tasks to run, any of clustering, integration, annotation, few_shot, zero_shot, unseen_types, open_types, unknown,
        retrieval and robustness. Default: all of them. The task "noise" trains models, cannot be combined with others and
        needs ``config``; it is selected when ``config`` is given and ``tasks`` is None.
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
    WorkLeftError
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
    >>> TASKS[:4]
    ('clustering', 'integration', 'annotation', 'few_shot')
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
    from okrcell.benchmarking.measure import BenchmarkPlan, run_plan
    from okrcell.benchmarking.roster import check_again, select_methods

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
