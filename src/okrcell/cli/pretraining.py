"""Commands that train a model: prepare, enrich, pretrain."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from okrcell.cells.slot_keys import RequestedKeys
from okrcell.cli._common import Layer, Orthologs, Species, app, check_places
from okrcell.cli._inputs import check_cells
from okrcell.errors import IncompleteError, InputError
from okrcell.escaping import printable
from okrcell.progress import command_progress

if TYPE_CHECKING:
    from okrcell.descriptions.llm_cache import CostEstimate
    from okrcell.knowledge.downloads import KnowledgeFiles


knowledge_app = App(name="knowledge", help="List, download and inspect the knowledge files.", help_format="plaintext")
app.command(knowledge_app)

KnowledgeLocation = Annotated[
    str | None,
    Parameter(
        name="--knowledge", help="Folder or URL of the knowledge files; default: OKRCELL_KNOWLEDGE, else the cache."
    ),
]


FILE_STATES = ("missing", "can be fetched", "present")
"""States of a file, worst first; the state of a source is the worst of its files."""


@knowledge_app.command(name="list")
def list_sources(*, location: KnowledgeLocation = None) -> None:
    """List the knowledge sources, their content, and whether their files are present."""
    from okrcell.knowledge.downloads import KnowledgeFiles
    from okrcell.knowledge.registry import SOURCES

    knowledge_files = KnowledgeFiles(location)
    for name, source in SOURCES.items():
        states = {_file_state(knowledge_files, file) for file in source.files} or {"bundled"}
        state = next(state for state in (*FILE_STATES, "bundled") if state in states)
        print(f"{name:<16}{state:<20}{source.description}")
    print(f"\nFolder of the files: {knowledge_files.folder}")


@knowledge_app.command
def fetch(
    *names: Annotated[str, Parameter(help="Sources or files; default: all that can be fetched.")],
    location: KnowledgeLocation = None,
) -> None:
    """Download knowledge files into the cache and verify their checksums; interrupted downloads resume.

    Each file keeps the licence of its source, which is printed first: whether you may use it is between you and the source.
    """
    from okrcell.knowledge.cell_type_markers import TABLE_FILES
    from okrcell.knowledge.downloads import KnowledgeFiles, file_catalog

    knowledge_files = KnowledgeFiles(location)
    if not knowledge_files.is_cache:
        raise InputError(
            f"{knowledge_files.folder} is your own folder, which is only read. "
            "Leave --knowledge and OKRCELL_KNOWLEDGE out to fetch."
        )
    files = _resolve_files(names) if names else [file for file in file_catalog() if knowledge_files.remote_file(file)]
    if not files:
        print("Nothing to fetch: these sources are bundled with okrcell.")
        return
    for entry in map(file_catalog().__getitem__, files):
        print(f"{entry.file}: licence {entry.licence}, as stated by {entry.origin}")
    with command_progress("Fetching") as step:
        for file in files:
            knowledge_files.fetch(file, progress=step)
    for file in files:
        print(f"{knowledge_files.local_file(file).path.stat().st_size:>12,} bytes  {file}")
    print(f"Have {len(files)} {'file' if len(files) == 1 else 'files'} in {knowledge_files.folder}.")
    if set(files) & {file for table in TABLE_FILES.values() for file in table}:
        print(
            f"To add the marker tables to the signatures of a model: okrcell annotate ... --knowledge {knowledge_files.folder}"
        )
    not_fetched = [file for file in file_catalog() if file not in files and not knowledge_files.has_file(file)]
    if not_fetched and not names:
        print(
            f"Not fetched, because these cleaned copies are not published: {', '.join(not_fetched)}. "
            "Pass --knowledge with a folder or URL that has them.",
            file=sys.stderr,
        )


@knowledge_app.command
def info(name: str, *, location: KnowledgeLocation = None) -> None:
    """Show version, licence, checksum, origin and location of a source or file.

    Parameters
    ----------
    name
        Name of a source or a file.
    """
    from okrcell.knowledge.downloads import KnowledgeFiles, file_catalog
    from okrcell.knowledge.markers import LEAKING_RESOURCES
    from okrcell.knowledge.registry import SOURCES

    knowledge_files = KnowledgeFiles(location)
    if name in SOURCES:
        print(f"{name}: {SOURCES[name].description}")
    if name == "ontologies":
        _print_ontologies()
    for file in _resolve_files([name]):
        snapshot, is_present = file_catalog()[file], knowledge_files.has_file(file)
        print(f"{file}: {snapshot.what}")
        print(f"  version      {knowledge_files.local_file(file).version if is_present else snapshot.version}")
        print(f"  licence      {snapshot.licence}")
        print(f"  origin       {snapshot.origin}")
        print(f"  download     {snapshot.published.url if snapshot.published else 'not published (cleaned copy)'}")
        print(f"  declared     {snapshot.bytes:,} bytes, sha256 {snapshot.sha256}")
        print(
            f"  local file   {knowledge_files.folder / file if is_present else knowledge_files.missing_message(file)}"
        )
    if name == "accordion":
        print(f"  excluded     {', '.join(sorted(LEAKING_RESOURCES))}: derived from atlases used in benchmarks; opt-in")


def _file_state(knowledge_files: "KnowledgeFiles", file: str) -> str:
    return (
        "present"
        if knowledge_files.has_file(file)
        else "can be fetched"
        if knowledge_files.remote_file(file)
        else "missing"
    )


def _resolve_files(names: "tuple[str, ...] | list[str]") -> list[str]:
    from okrcell.knowledge.downloads import file_catalog
    from okrcell.knowledge.registry import SOURCES

    files: list[str] = []
    for name in names:
        if name not in SOURCES and name not in file_catalog():
            available = ", ".join((*SOURCES, *file_catalog()))
            raise InputError(f"There is no knowledge source or file '{name}'. Available: {available}.")
        files += SOURCES[name].files if name in SOURCES else (name,)
    return list(dict.fromkeys(files))


def _print_ontologies() -> None:
    from okrcell.ontology.ontology import ONTOLOGIES, ontology

    for prefix, (name, licence) in ONTOLOGIES.items():
        print(f"  {prefix:<10} {name}, {ontology(prefix).snapshot}, {licence}")


@app.command
def prepare(
    files: Annotated[list[Path], Parameter(help="Files of cells: h5ad, zarr, 10x h5 or mtx folder, loom, csv.")],
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Corpus folder: created, or extended if it exists.")
    ],
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
) -> None:
    """Add files of cells to a corpus: a folder of shards that training reads from disk."""
    for file in files:
        check_cells(file, RequestedKeys(layer=layer))
    from okrcell.data.prepare import PrepareSettings, file_to_bar
    from okrcell.data.prepare import prepare as prepare_files

    settings = PrepareSettings(layer=layer, orthologs=orthologs, species=species)
    with command_progress("Preparing", file_to_bar) as step:
        result = prepare_files(files, output, settings, step)
    for file in result.files:
        print(f"{printable(file.study)}: {file.cells:,} cells" + (", already present" if file.already else ""))
        for finding in file.findings:
            print(f"  {printable(finding)}")
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
    from okrcell.descriptions.enrich import load_enrich_settings

    if output is None and not (cells / "corpus.json").exists():
        raise InputError(f"{cells} is not a corpus folder, so there is no default output. Pass a file with -o.")
    output = output or cells / "descriptions.parquet"
    check_places([output, output.with_suffix(".ledger")], [cells, config, literature])
    settings = load_enrich_settings(
        config,
        endpoint={name: value for name, value in (("model", llm), ("base_url", base_url)) if value},
        writer=writer or ("endpoint" if llm or base_url else None),
        sources=None if sources is None else tuple(name.strip() for name in sources.split(",")),
    )
    if estimate and settings.writer != "endpoint":
        raise InputError("--estimate needs a language model. Pass one with --llm and --base-url.")
    with command_progress("Enriching") as step:
        result = tl.enrich(
            cells,
            output,
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
        print(printable(line))
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
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    from okrcell.settings import load_settings
    from okrcell.training.pretrain import loss_to_bar
    from okrcell.training.pretrain import pretrain as train
    from okrcell.training.settings import PretrainSettings

    knowledge_settings = None if knowledge is None else {"folder": knowledge}
    settings = load_settings(PretrainSettings, config, corpus=corpus, output=output, knowledge=knowledge_settings)
    # With several devices, each runs this command; the first one shows the progress.
    is_first = getattr(rank_zero_only, "rank", 0) == 0
    with command_progress("Training", loss_to_bar) if is_first else nullcontext() as step:
        trained = train(settings, resume=resume, progress=step)
    print(f"Wrote the model to {trained.model} after {trained.steps:,} steps; the log is {trained.log}.")
