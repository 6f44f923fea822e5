"""Verbs that make a model: prepare, enrich, pretrain."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, Orthologs, Output, bar
from okrcell.errors import InputError, WorkLeftError

if TYPE_CHECKING:
    from okrcell.texts.endpoint.budget import Estimate


@app.command
def prepare(
    files: Annotated[list[Path], Parameter(help="h5ad, zarr, 10x h5 or mtx folder, loom, csv.")],
    *,
    output: Output,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Add files of cells to a corpus: a folder of shards that training reads from disk."""
    from okrcell.pairs.prepare import PrepareSettings
    from okrcell.pairs.prepare import prepare as prepare_files

    settings = PrepareSettings(layer=layer, orthologs=orthologs)
    with bar("Preparing") as step:
        done = prepare_files(files, output, settings, lambda file, cells, of: step(cells, of, file.name))
    for file in done.files:
        print(f"{file.study}: {file.cells:,} cells" + (", already there" if file.already else ""))
        for finding in file.findings:
            print(f"  {finding}")
    print(f"Wrote {done.cells:,} cells to {output}, which now has {done.corpus_cells:,}.")


@app.command
def enrich(
    cells: Annotated[Path, Parameter(help="Corpus folder, or a file of cells with what is known of them in obs.")],
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Parquet file; CORPUS/descriptions.parquet by default.")
    ] = None,
    writer: Annotated[
        Literal["template", "endpoint"] | None, Parameter(help="A template, or a language model.")
    ] = None,
    sources: Annotated[str | None, Parameter(help="Which sources are asked, a,b,c; by default all at hand.")] = None,
    knowledge: Annotated[
        str | None, Parameter(help="Folder or URL of the knowledge files; also OKRCELL_KNOWLEDGE.")
    ] = None,
    literature: Annotated[Path | None, Parameter(help="Your own abstracts: PubMed XML, JSON lines, a folder.")] = None,
    llm: Annotated[str | None, Parameter(help="Name of the language model; its key is in OKRCELL_API_KEY.")] = None,
    base_url: Annotated[str | None, Parameter(help="Address of its OpenAI-compatible API.")] = None,
    config: Annotated[Path | None, Parameter(help="YAML file of settings: endpoint, budget, screening.")] = None,
    estimate: Annotated[bool, Parameter(negative="", help="Only tell what the language model would cost.")] = False,
) -> None:
    """Write what is known of each kind of cell, every sentence with its source."""
    from okrcell import tl
    from okrcell.texts.enrich import enrich_settings

    if output is None and not (cells / "corpus.json").exists():
        raise InputError(f"{cells} is no corpus folder, so its descriptions have no place yet: name a file with -o.")
    settings = enrich_settings(
        config,
        endpoint={name: value for name, value in (("model", llm), ("base_url", base_url)) if value},
        writer=writer or ("endpoint" if llm or base_url else None),
        sources=None if sources is None else tuple(name.strip() for name in sources.split(",")),
    )
    if estimate and settings.writer != "endpoint":
        raise InputError("--estimate tells what a language model would cost: name one with --llm and --base-url.")
    with bar("Enriching") as step:
        done = tl.enrich(
            cells,
            output or cells / "descriptions.parquet",
            settings,
            knowledge=knowledge,
            literature=literature,
            confirm=_only_tell if estimate else _tell_estimate,
            progress=step,
        )
    if estimate:
        print(f"Nothing to ask: all {len(done.descriptions):,} descriptions are there.", file=sys.stderr)
        return
    if done.absent:
        print(f"  not asked, for want of files: {', '.join(done.absent)} (`okrcell knowledge list`)", file=sys.stderr)
    print(f"Asked {', '.join(done.sources)}.")
    for line in done.told():
        print(line)
    print(f"Wrote {len(done.descriptions):,} descriptions to {done.output}, {done.kept:,} of them were there already.")
    if done.failed:
        number, reason = done.failed
        raise WorkLeftError(f"{number:,} of them could not be had this time: {reason}. Run again to ask for those.")


def _tell_estimate(estimate: "Estimate") -> None:
    money = f", {estimate.money:.2f} in money" if estimate.money else ""
    print(
        f"{estimate.calls:,} calls, about {estimate.prompt_tokens:,} tokens to send and {estimate.completion_tokens:,} to "
        f"be written{money}; {estimate.cached:,} answers are there already.",
        file=sys.stderr,
    )


def _only_tell(estimate: "Estimate") -> None:
    _tell_estimate(estimate)
    raise SystemExit(0)


@app.command
def pretrain(
    config: Annotated[Path, Parameter(help="YAML file of settings, such as configs/tiny.yaml.")],
    *,
    corpus: Annotated[Path | None, Parameter(help="Corpus folder, instead of the one in the file.")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Folder of the run, likewise.")] = None,
    knowledge: Annotated[
        str | None,
        Parameter(help="Folder of the knowledge files, where the settings ask for any; also OKRCELL_KNOWLEDGE."),
    ] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on where a killed run stood.")] = False,
) -> None:
    """Train a model on a corpus, and write a model folder."""
    from okrcell.settings import load_settings
    from okrcell.training.pretrain import pretrain as train
    from okrcell.training.settings import PretrainSettings

    told = None if knowledge is None else {"folder": knowledge}
    settings = load_settings(PretrainSettings, config, corpus=corpus, output=output, knowledge=told)
    with bar("Training") as step:
        trained = train(
            settings, resume=resume, progress=lambda done, of, loss: step(done, of, f"loss {loss.total.item():.3f}")
        )
    print(f"Wrote the model to {trained.model} after {trained.steps:,} steps; the log is {trained.log}.")
