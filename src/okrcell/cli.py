"""The verbs, on one screen."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from okrcell.errors import InputError, OkrcellError

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder

app = App(
    name="okrcell",
    help="Cells and language in one space: from counts to an answer.",
    help_format="plaintext",
    version_flags=["--version"],
)
err = Console(stderr=True, soft_wrap=True, highlight=False)

ModelPath = Annotated[
    Path | None, Parameter(name="--model", help="Model folder or hub id; the bundled one by default.")
]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Where to write; replaced whole, or left as it is.")]
Layer = Annotated[
    str | None, Parameter(help="Matrix to read: a layer, X or raw; by default the one nearest to counts.")
]
Orthologs = Annotated[bool, Parameter(negative="", help="Accept mouse genes, led to their one-to-one human orthologs.")]


@app.command
def demo(*, output: Output = Path("okrcell-demo"), model: ModelPath = None) -> None:
    """Do the main job on cells that come with scanpy, and write a report to look at."""
    from okrcell.demo.journey import run_demo

    run_demo(output, _model(model), say=print)


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
    with _bar("Preparing") as step:
        done = prepare_files(files, output, settings, lambda file, cells, of: step(cells, of, file.name))
    for file in done.files:
        print(f"{file.study}: {file.cells:,} cells" + (", already there" if file.already else ""))
        for finding in file.findings:
            print(f"  {finding}")
    print(f"Wrote {done.cells:,} cells to {output}, which now has {done.corpus_cells:,}.")


@app.command
def pretrain(
    config: Annotated[Path, Parameter(help="YAML file of settings, such as configs/tiny.yaml.")],
    *,
    corpus: Annotated[Path | None, Parameter(help="Corpus folder, instead of the one in the file.")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Folder of the run, likewise.")] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on where a killed run stood.")] = False,
) -> None:
    """Train a model on a corpus, and write a model folder."""
    from okrcell.settings import load_settings
    from okrcell.training.pretrain import pretrain as train
    from okrcell.training.settings import PretrainSettings

    settings = load_settings(PretrainSettings, config, corpus=corpus, output=output)
    with _bar("Training") as step:
        trained = train(
            settings, resume=resume, progress=lambda done, of, loss: step(done, of, f"loss {loss.total.item():.3f}")
        )
    print(f"Wrote the model to {trained.model} after {trained.steps:,} steps; the log is {trained.log}.")


@app.command
def embed(
    cells: Path, *, output: Output, model: ModelPath = None, layer: Layer = None, orthologs: Orthologs = False
) -> None:
    """Give each cell its vector: obsm["X_okrcell"]."""
    from okrcell import tl

    _may_write(output, cells)
    adata = _opened(cells)
    with _bar("Embedding") as step:
        tl.embed(adata, _model(model), layer=layer, orthologs=orthologs, progress=step)
    _saved(adata, output, cells)
    _tell(adata, "embed")
    print(f"Wrote {adata.n_obs:,} vectors to {output}, in obsm['X_okrcell'].")


@app.command
def annotate(
    cells: Path,
    *,
    output: Output,
    candidates: Annotated[
        str | None, Parameter(help="File with one a line, or a,b,c: names, CL ids, sentences.")
    ] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Name the type of each cell from free text; without candidates, from all types that the model has seen."""
    import pandas as pd

    from okrcell import tl
    from okrcell.tasks.candidates import candidates_in

    _may_write(output, cells)
    words = None if candidates is None else candidates_in(candidates)
    adata = _opened(cells)
    with _bar("Annotating") as step:
        tl.annotate(adata, _model(model), candidates=words, layer=layer, orthologs=orthologs, progress=step)
    _saved(adata, output, cells)
    _tell(adata, "annotate")
    obs = pd.DataFrame(adata.obs)
    for name, cells_of_it in obs.groupby("okrcell_cell_type", observed=True)["okrcell_confidence"]:
        print(f"  {len(cells_of_it):>8,}  {name}  (mean confidence {cells_of_it.mean():.2f})")
    print(
        "Status: "
        + ", ".join(f"{number:,} {name}" for name, number in obs["okrcell_status"].value_counts().items())
        + "."
    )
    print(f"Wrote {adata.n_obs:,} cells to {output}, in obs['okrcell_cell_type'] and beside it.")


@app.command
def find(
    cells: Path,
    text: str,
    *,
    top: Annotated[int, Parameter(help="How many of the best cells to print.")] = 10,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Write all scores to this h5ad.")] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Find the cells that a sentence tells of."""
    import pandas as pd

    from okrcell import tl
    from okrcell.tasks.retrieve import best

    if top < 1:
        raise InputError(f"--top must be at least 1, but it is {top}.")
    if output is not None:
        _may_write(output, cells)
    adata = _opened(cells)
    with _bar("Searching") as step:
        tl.find_cells(adata, _model(model), text, layer=layer, orthologs=orthologs, progress=step)
    _tell(adata, "find")
    obs = pd.DataFrame(adata.obs)
    scores = obs["okrcell_match"].to_numpy()
    told = [name for name in ("cell_type", "bulk_labels", "tissue", "donor", "okrcell_cell_type") if name in obs]
    for place in best(scores, top):
        row = obs.iloc[int(place)]
        print("\t".join([f"{scores[place]:.3f}", str(row.name), *(str(row[name]) for name in told)]))
    if output is not None:
        _saved(adata, output, cells)
        print(f"Wrote {adata.n_obs:,} scores to {output}, in obs['okrcell_match'].")


def main(words: Sequence[str] | None = None) -> None:
    """Run a verb; ``words`` are the command line's by default.

    Exit status 0 when the work is done, 2 for a mistake that the user can mend, told in one line.
    """
    try:
        app(sys.argv[1:] if words is None else words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _end(str(error))
    except OkrcellError as error:
        _end(str(error))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(130) from None


def _end(message: str) -> None:
    print("okrcell: " + " ".join(message.split()), file=sys.stderr)
    raise SystemExit(2) from None


def _model(path: Path | None) -> "Embedder":
    from okrcell.model.embedder import load

    return load(path)


def _opened(path: Path) -> "AnnData":
    from okrcell.cells.open import open_cells

    return open_cells(path)


def _may_write(output: Path, cells: Path) -> None:
    if output.suffix != ".h5ad":
        raise InputError(f"The output must be an h5ad file, but it is {output}. Name it {output.name}.h5ad.")
    if not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Make it first.")
    if output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    if cells.exists() and output.exists() and cells.samefile(output):
        raise InputError(f"{output} is the input itself. Name another output, so that your file stays as it is.")


def _saved(adata: "AnnData", output: Path, cells: Path) -> None:
    from okrcell.cells.save import save_cells

    save_cells(adata, output, source=cells if cells.suffix == ".h5ad" else None)


def _tell(adata: "AnnData", verb: str) -> None:
    # On stderr, so that what a pipe reads is answers only.
    for finding in adata.uns["okrcell"][verb]["findings"]:
        print(f"  {finding}", file=sys.stderr)


@contextmanager
def _bar(title: str) -> "Generator[Any]":
    """Show progress on stderr; what is yielded takes the number done, the number in all, and a word."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[word]}"),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(title, total=None, word="")

        def step(done: int, of: int, word: str = "") -> None:
            bar.update(task, completed=done, total=of, word=word)

        yield step
