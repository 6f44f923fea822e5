"""The verb that measures: benchmark."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from okrcell.cli.app import app
from okrcell.errors import InputError

NOISE = Group("Of the task noise alone", sort_key=1)


@app.command
def benchmark(
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Folder of the benchmark; one that was stopped goes on.")
    ],
    tasks: Annotated[
        str | None,
        Parameter(
            help="What is measured, a,b,c: clustering, integration, annotation, few_shot, zero_shot, unseen_types, "
            "open_types, unknown, retrieval, robustness; all by default. Or noise, which trains models and stands alone."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        Parameter(help="Who is measured, a,b,c; all that take seconds by default; `all` for the slow ones too."),
    ] = None,
    data: Annotated[Path | None, Parameter(help="Folder that holds the sets' files.")] = None,
    knowledge: Annotated[Path | None, Parameter(help="Folder of marker tables, for scoring by markers.")] = None,
    models: Annotated[
        str | None, Parameter(help="Further checkpoints to measure like okrcell's own: name=folder,name=folder.")
    ] = None,
    seeds: Annotated[str | None, Parameter(help="Seeds; 0,1,2,3,4 by default (of the task noise: 0,1,2).")] = None,
    corpus: Annotated[
        Path | None,
        Parameter(
            help="What the models learned from, to look for cells of the sets in it; of noise: what is learned from."
        ),
    ] = None,
    workers: Annotated[int, Parameter(help="Processes at a time, one thread each.")] = 1,
    minutes: Annotated[float, Parameter(help="A method that takes longer for one task on one set is ended.")] = 20,
    again: Annotated[
        str | None, Parameter(help="Methods, a,b,c, that are asked again though their answers are there.")
    ] = None,
    config: Annotated[
        Path | None, Parameter(group=NOISE, help="YAML file of settings for each training, such as configs/noise.yaml.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        Parameter(
            group=NOISE,
            consume_multiple=True,
            negative="",
            help="Labelled cells to score on (obs cell_type_ontology_term_id); else the held-out studies of the corpus.",
        ),
    ] = None,
    objectives: Annotated[
        str | None, Parameter(group=NOISE, help="Rungs of the ladder, a,b,c; by default info_nce,faithful,improved.")
    ] = None,
    kinds: Annotated[
        str | None, Parameter(group=NOISE, help="Kinds of noise, a,b,c; by default shuffled,sibling,dropout.")
    ] = None,
    rates: Annotated[
        str | None, Parameter(group=NOISE, help="Shares of the pairs made wrong; by default 0,0.2,0.4,0.6.")
    ] = None,
    keep_models: Annotated[bool, Parameter(group=NOISE, negative="", help="Keep the model of every run.")] = False,
) -> None:
    """Ask the same questions of okrcell and of what others would use, and write a report with pictures."""
    from okrcell.benchmarking.run import benchmark as measure
    from okrcell.benchmarking.run import is_noise

    asked = _words("--tasks", tasks, str)
    chosen: dict[str, Any] = {
        "tasks": asked,
        "data": data,
        "knowledge": knowledge,
        "models": _pairs("--models", models),
        "methods": _words("--methods", methods, str) or (),
        "again": _words("--again", again, str) or (),
        "minutes": minutes,
    }
    given = {
        "objectives": _words("--objectives", objectives, str),
        "kinds": _words("--kinds", kinds, str),
        "rates": _words("--rates", rates, float),
        "seeds": _words("--seeds", seeds, int),
    }
    if is_noise(asked, config):
        chosen |= {
            "tasks": ("noise",),
            "config": config,
            "files": files or (),
            "keep_models": keep_models,
            "plan": _plan(given),
        }
    else:
        for_noise = {"files": files, "keep_models": keep_models or None, "config": config, **given}
        for_noise = {name: some for name, some in for_noise.items() if name != "seeds" and some is not None}
        chosen |= for_noise | ({} if given["seeds"] is None else {"seeds": given["seeds"]})
    done = measure(
        output,
        **chosen,
        corpus=corpus,
        workers=workers,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(f"Wrote {done.report} on {done.runs:,} runs, {done.made:,} of them made now.")


def _plan(given: dict[str, Any]) -> Any:
    from okrcell.benchmarking.noise.plan import NoisePlan
    from okrcell.settings import parse_settings

    return parse_settings(NoisePlan, {name: some for name, some in given.items() if some is not None}, "The benchmark")


def _words(option: str, given: str | None, kind: Callable[[str], Any]) -> tuple[Any, ...] | None:
    """Read what stands between commas."""
    if given is None:
        return None
    try:
        return tuple(kind(word.strip()) for word in given.split(",") if word.strip())
    except ValueError:
        wanted = "whole numbers such as 0,1,2" if kind is int else "numbers such as 0,0.2,0.4"
        raise InputError(f"{option} takes {wanted}, between commas; seen: {given}.") from None


def _pairs(option: str, given: str | None) -> dict[str, str]:
    """Read name=folder between commas."""
    pairs = [word.partition("=") for word in (_words(option, given, str) or ())]
    if any(not name.strip() or not folder.strip() for name, _, folder in pairs):
        raise InputError(f"{option} takes name=folder, between commas; seen: {given}.")
    return {name.strip(): folder.strip() for name, _, folder in pairs}
