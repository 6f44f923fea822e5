"""The verb that measures: benchmark."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.errors import InputError


@app.command
def benchmark(
    *,
    config: Annotated[Path, Parameter(help="YAML file of settings for each training, such as configs/noise.yaml.")],
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Folder of the benchmark; one that was stopped goes on.")
    ],
    tasks: Annotated[str, Parameter(help="What is measured; today: noise.")] = "noise",
    corpus: Annotated[Path | None, Parameter(help="Corpus folder, instead of the one in the settings.")] = None,
    files: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Labelled cells to score on (obs cell_type_ontology_term_id); else the held-out studies of the corpus.",
        ),
    ] = None,
    objectives: Annotated[
        str | None, Parameter(help="Rungs of the ladder, a,b,c; by default info_nce,faithful,improved.")
    ] = None,
    kinds: Annotated[str | None, Parameter(help="Kinds of noise, a,b,c; by default shuffled,sibling,dropout.")] = None,
    rates: Annotated[str | None, Parameter(help="Shares of the pairs made wrong; by default 0,0.2,0.4,0.6.")] = None,
    seeds: Annotated[str | None, Parameter(help="Seeds of weights, order and noise; by default 0,1,2.")] = None,
    workers: Annotated[int, Parameter(help="Trainings at a time, one thread each.")] = 1,
    keep_models: Annotated[bool, Parameter(negative="", help="Keep the model of every run.")] = False,
) -> None:
    """Train objectives on wrong pairs, and report how well each still names cells."""
    from okrcell.benchmarking.noise.plan import NoisePlan
    from okrcell.benchmarking.run import benchmark as measure
    from okrcell.settings import parse_settings

    given = {
        "objectives": _words("--objectives", objectives, str),
        "kinds": _words("--kinds", kinds, str),
        "rates": _words("--rates", rates, float),
        "seeds": _words("--seeds", seeds, int),
    }
    plan = parse_settings(NoisePlan, {name: some for name, some in given.items() if some is not None}, "The benchmark")
    done = measure(
        config,
        output,
        tasks=_words("--tasks", tasks, str) or (),
        corpus=corpus,
        files=files or (),
        plan=plan,
        workers=workers,
        keep_models=keep_models,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(f"Wrote {done.report} on {done.runs} runs, {done.made} of them made now.")


def _words(option: str, given: str | None, kind: Callable[[str], Any]) -> tuple[Any, ...] | None:
    """Read what stands between commas."""
    if given is None:
        return None
    try:
        return tuple(kind(word.strip()) for word in given.split(",") if word.strip())
    except ValueError:
        wanted = "whole numbers such as 0,1,2" if kind is int else "numbers such as 0,0.2,0.4"
        raise InputError(f"{option} takes {wanted}, between commas; seen: {given}.") from None
