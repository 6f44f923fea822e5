"""What the verbs have in common: options, opening, saving, progress."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder

err = Console(stderr=True, soft_wrap=True, highlight=False)

ModelPath = Annotated[
    Path | None, Parameter(name="--model", help="Model folder or hub id; the bundled one by default.")
]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Where to write; replaced whole, or left as it is.")]
Layer = Annotated[
    str | None, Parameter(help="Matrix to read: a layer, X or raw; by default the one nearest to counts.")
]
Orthologs = Annotated[bool, Parameter(negative="", help="Accept mouse genes, led to their one-to-one human orthologs.")]


def chosen_model(path: Path | None) -> "Embedder":
    """Load the model that --model names; the bundled one without it."""
    from okrcell.model.embedder import load

    return load(path)


def opened(path: Path) -> "AnnData":
    """Open a file of cells; the matrix stays on disk where the format allows it."""
    from okrcell.cells.open import open_cells

    return open_cells(path)


def may_write(output: Path, cells: Path) -> None:
    """Refuse an output that cannot be written, before any work is done."""
    if output.suffix != ".h5ad":
        raise InputError(f"The output must be an h5ad file, but it is {output}. Name it {output.name}.h5ad.")
    if not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Make it first.")
    if output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    if cells.exists() and output.exists() and cells.samefile(output):
        raise InputError(f"{output} is the input itself. Name another output, so that your file stays as it is.")


def saved(adata: "AnnData", output: Path, cells: Path) -> None:
    """Write the answers, whole or not at all."""
    from okrcell.cells.save import save_cells

    save_cells(adata, output, source=cells if cells.suffix == ".h5ad" else None)


def tell(adata: "AnnData", verb: str) -> None:
    """Print what was noticed in the file, on stderr."""
    # On stderr, so that what a pipe reads is answers only.
    for finding in adata.uns["okrcell"][verb]["findings"]:
        print(f"  {finding}", file=sys.stderr)


@contextmanager
def bar(title: str) -> "Generator[Any]":
    """Show progress on stderr; what is yielded takes the number done, the number in all, and a word."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[word]}"),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task(title, total=None, word="")

        def step(done: int, of: int, word: str = "") -> None:
            shown.update(task, completed=done, total=of, word=word)

        yield step
