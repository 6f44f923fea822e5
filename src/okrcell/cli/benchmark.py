"""Command that benchmarks methods: benchmark."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from okrcell.cli._common import app
from okrcell.errors import InputError
from okrcell.escaping import printable

NOISE_GROUP = Group("Options of --tasks noise", sort_key=1)


@app.command
def benchmark(
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Folder of the benchmark; an interrupted benchmark continues.")
    ],
    tasks: Annotated[
        str | None,
        Parameter(
            help="Tasks, as a,b,c: clustering, integration, annotation, few_shot, zero_shot, free_text, unseen_types, "
            "open_types, unknown, retrieval, robustness, annotation_dropout; default: all of these. Or noise alone, "
            "which trains models."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        Parameter(help="Methods, as a,b,c; default: all fast ones; 'all' includes the slow ones."),
    ] = None,
    data: Annotated[Path | None, Parameter(help="Folder with the dataset files.")] = None,
    knowledge: Annotated[Path | None, Parameter(help="Folder of the marker tables, for marker-based methods.")] = None,
    models: Annotated[
        str | None, Parameter(help="Additional checkpoints to evaluate, as name=folder,name=folder.")
    ] = None,
    seeds: Annotated[str | None, Parameter(help="Random seeds; default: 0,1,2,3,4 (task noise: 0,1,2).")] = None,
    corpus: Annotated[
        Path | None,
        Parameter(
            help="Training corpus of the models, searched for cells of the datasets (leakage); task noise: corpus to train on."
        ),
    ] = None,
    workers: Annotated[int, Parameter(help="Number of worker processes, one thread each.")] = 1,
    minutes: Annotated[float, Parameter(help="Time limit per method, task and dataset, in minutes.")] = 20,
    again: Annotated[
        str | None, Parameter(help="Methods, as a,b,c, to run again although their results exist.")
    ] = None,
    config: Annotated[
        Path | None,
        Parameter(group=NOISE_GROUP, help="Settings file (YAML) of each training run, such as configs/noise.yaml."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        Parameter(
            group=NOISE_GROUP,
            consume_multiple=True,
            negative="",
            help="Labelled test files (obs cell_type_ontology_term_id); default: the held-out studies of the corpus.",
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        Parameter(group=NOISE_GROUP, help="Training objectives, as a,b,c; default: info_nce,faithful,improved."),
    ] = None,
    kinds: Annotated[
        str | None, Parameter(group=NOISE_GROUP, help="Noise types, as a,b,c; default: shuffled,sibling,dropout.")
    ] = None,
    rates: Annotated[
        str | None, Parameter(group=NOISE_GROUP, help="Fractions of corrupted pairs; default: 0,0.2,0.4,0.6.")
    ] = None,
    keep_models: Annotated[
        bool, Parameter(group=NOISE_GROUP, negative="", help="Keep the model of every run.")
    ] = False,
) -> None:
    """Benchmark okrcell and alternative methods on the same tasks, and write a report with plots."""
    from okrcell.benchmarking.run import benchmark as measure
    from okrcell.benchmarking.run import is_noise

    task_names = _split_list("--tasks", tasks, str)
    options: dict[str, Any] = {
        "tasks": task_names,
        "data": data,
        "knowledge": knowledge,
        "models": _split_pairs("--models", models),
        "methods": _split_list("--methods", methods, str) or (),
        "again": _split_list("--again", again, str) or (),
        "minutes": minutes,
    }
    noise_options = {
        "objectives": _split_list("--objectives", objectives, str),
        "kinds": _split_list("--kinds", kinds, str),
        "rates": _split_list("--rates", rates, float),
        "seeds": _split_list("--seeds", seeds, int),
    }
    if is_noise(task_names, config):
        options |= {
            "tasks": ("noise",),
            "config": config,
            "files": files or (),
            "keep_models": keep_models,
            "plan": _noise_plan(noise_options),
        }
    else:
        noise_only = {"files": files, "keep_models": keep_models or None, "config": config, **noise_options}
        noise_only = {name: value for name, value in noise_only.items() if name != "seeds" and value is not None}
        options |= noise_only | ({} if noise_options["seeds"] is None else {"seeds": noise_options["seeds"]})
    result = measure(
        output,
        **options,
        corpus=corpus,
        workers=workers,
        say=lambda line: print(printable(line), file=sys.stderr, flush=True),
    )
    print(f"Wrote {result.report} from {result.runs:,} runs, {result.made:,} of them new.")


def _noise_plan(noise_options: dict[str, Any]) -> Any:
    from okrcell.benchmarking.noise.plan import NoisePlan
    from okrcell.settings import parse_settings

    return parse_settings(
        NoisePlan, {name: value for name, value in noise_options.items() if value is not None}, "The benchmark"
    )


def _split_list(option: str, text: str | None, item_type: Callable[[str], Any]) -> tuple[Any, ...] | None:
    """Split a comma-separated option and convert its items; None if the option was not given."""
    if text is None:
        return None
    try:
        return tuple(item_type(item.strip()) for item in text.split(",") if item.strip())
    except ValueError:
        expected = "whole numbers such as 0,1,2" if item_type is int else "numbers such as 0,0.2,0.4"
        raise InputError(f"{option} expects {expected}, separated by commas; seen: {text}.") from None


def _split_pairs(option: str, text: str | None) -> dict[str, str]:
    """Parse a comma-separated list of name=folder."""
    pairs = [item.partition("=") for item in (_split_list(option, text, str) or ())]
    if any(not name.strip() or not folder.strip() for name, _, folder in pairs):
        raise InputError(f"{option} expects name=folder, separated by commas; seen: {text}.")
    return {name.strip(): folder.strip() for name, _, folder in pairs}
