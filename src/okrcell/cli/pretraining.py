"""Commands that train a model: prepare, enrich, pretrain."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli._common import Layer, Orthologs, progress_bar
from okrcell.errors import IncompleteError, InputError

if TYPE_CHECKING:
    from okrcell.texts.endpoint.budget import CostEstimate


@app.command
def prepare(
    files: Annotated[list[Path], Parameter(help="Files of cells: h5ad, zarr, 10x h5 or mtx folder, loom, csv.")],
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Corpus folder: created, or extended if it exists.")
    ],
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Add files of cells to a corpus: a folder of shards that training reads from disk."""
    from okrcell.data.prepare import PrepareSettings
    from okrcell.data.prepare import prepare as prepare_files

    settings = PrepareSettings(layer=layer, orthologs=orthologs)
    with progress_bar("Preparing") as step:
        result = prepare_files(files, output, settings, lambda file, cells, total: step(cells, total, file.name))
    for file in result.files:
        print(f"{file.study}: {file.cells:,} cells" + (", already present" if file.already else ""))
        for finding in file.findings:
            print(f"  {finding}")
    print(f"Wrote {result.cells:,} cells to {output}, which now has {result.corpus_cells:,}.")


@app.command
def enrich(
    cells: Annotated[Path, Parameter(help="Corpus folder, or a file of cells with metadata in obs.")],
    *,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="Output file (.parquet); default: CORPUS/descriptions.parquet."),
    ] = None,
    writer: Annotated[
        Literal["template", "endpoint"] | None,
        Parameter(
            help="Write by template or by language model; default: by template, with --llm or --base-url by model."
        ),
    ] = None,
    sources: Annotated[
        str | None, Parameter(help="Knowledge sources, as a,b,c; default: all that are present.")
    ] = None,
    knowledge: Annotated[
        str | None, Parameter(help="Folder or URL of the knowledge files; default: OKRCELL_KNOWLEDGE, else the cache.")
    ] = None,
    literature: Annotated[
        Path | None, Parameter(help="Additional abstracts: PubMed XML, JSON lines, or a folder of such files.")
    ] = None,
    llm: Annotated[
        str | None, Parameter(help="Name of the language model. The API key is read from OKRCELL_API_KEY.")
    ] = None,
    base_url: Annotated[str | None, Parameter(help="Base URL of an OpenAI-compatible API.")] = None,
    config: Annotated[Path | None, Parameter(help="Settings file (YAML): endpoint, budget, screening.")] = None,
    estimate: Annotated[
        bool, Parameter(negative="", help="Print the expected calls, tokens and cost of the language model, and stop.")
    ] = False,
) -> None:
    """Write a text description of each metadata profile (cell type, tissue, ...), with a source for every sentence."""
    from okrcell import tl
    from okrcell.texts.enrich import load_enrich_settings

    if output is None and not (cells / "corpus.json").exists():
        raise InputError(f"{cells} is not a corpus folder, so there is no default output. Pass a file with -o.")
    settings = load_enrich_settings(
        config,
        endpoint={name: value for name, value in (("model", llm), ("base_url", base_url)) if value},
        writer=writer or ("endpoint" if llm or base_url else None),
        sources=None if sources is None else tuple(name.strip() for name in sources.split(",")),
    )
    if estimate and settings.writer != "endpoint":
        raise InputError("--estimate needs a language model. Pass one with --llm and --base-url.")
    with progress_bar("Enriching") as step:
        result = tl.enrich(
            cells,
            output or cells / "descriptions.parquet",
            settings,
            knowledge=knowledge,
            literature=literature,
            confirm=_print_estimate_and_exit if estimate else _print_estimate,
            progress=step,
        )
    if estimate:
        print(f"No calls needed: all {len(result.descriptions):,} descriptions exist.", file=sys.stderr)
        return
    if result.absent:
        print(
            f"  Knowledge sources skipped, files missing: {', '.join(result.absent)} (see `okrcell knowledge list`).",
            file=sys.stderr,
        )
    print(f"Knowledge sources: {', '.join(result.sources)}.")
    for line in result.summary():
        print(line)
    print(f"Wrote {len(result.descriptions):,} descriptions to {result.output}, {result.reused:,} of them reused.")
    if result.failed:
        n_failed, reason = result.failed
        raise IncompleteError(
            f"{n_failed:,} of them failed in this run: {reason}. Run the command again to retry them."
        )


def _print_estimate(estimate: "CostEstimate") -> None:
    cost = f", cost {estimate.money:.2f}" if estimate.money else ""
    print(
        f"{estimate.calls:,} calls, about {estimate.prompt_tokens:,} input and {estimate.completion_tokens:,} "
        f"output tokens{cost}; {estimate.cached:,} responses are cached.",
        file=sys.stderr,
    )


def _print_estimate_and_exit(estimate: "CostEstimate") -> None:
    _print_estimate(estimate)
    raise SystemExit(0)


@app.command
def pretrain(
    config: Annotated[Path, Parameter(help="Settings file (YAML), such as configs/tiny.yaml.")],
    *,
    corpus: Annotated[Path | None, Parameter(help="Corpus folder; overrides the settings file.")] = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder of the run; overrides the settings file.")
    ] = None,
    knowledge: Annotated[
        str | None,
        Parameter(help="Folder of the knowledge files, if the settings use them; default: OKRCELL_KNOWLEDGE."),
    ] = None,
    resume: Annotated[
        bool, Parameter(negative="", help="Continue an interrupted run from its last checkpoint.")
    ] = False,
) -> None:
    """Train a model on a corpus, and write a model folder."""
    from okrcell.settings import load_settings
    from okrcell.training.pretrain import pretrain as train
    from okrcell.training.settings import PretrainSettings

    knowledge_settings = None if knowledge is None else {"folder": knowledge}
    settings = load_settings(PretrainSettings, config, corpus=corpus, output=output, knowledge=knowledge_settings)
    with progress_bar("Training") as step:
        trained = train(
            settings,
            resume=resume,
            progress=lambda done, total, loss: step(done, total, f"loss {loss.total.item():.3f}"),
        )
    print(f"Wrote the model to {trained.model} after {trained.steps:,} steps; the log is {trained.log}.")
