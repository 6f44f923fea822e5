"""Options, input and output that the commands share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder


app = App(
    name="okrcell",
    help="CLIP-style dual encoder for single-cell transcriptomes and text: embed, annotate, search and explain cells.",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)


ModelPath = Annotated[
    Path | None, Parameter(name="--model", help="Model folder or hub id; default: the bundled model.")
]
CellFile = Annotated[Path, Parameter(help="File of cells: h5ad, zarr, 10x h5 or mtx folder, loom, csv.")]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Output file (.h5ad). Written atomically.")]
Layer = Annotated[
    str | None, Parameter(help="Matrix to read: a layer, X or raw; default: the one closest to raw counts.")
]
Orthologs = Annotated[
    bool, Parameter(negative="", help="Accept mouse genes and map them to one-to-one human orthologs.")
]


PAGE_SUFFIXES = (".md", ".json", ".h5ad")
PageOutput = Annotated[
    Path | None,
    Parameter(
        name=["--output", "-o"],
        help="Output file: page (.md), all results (.json) or cells with results in uns (.h5ad); default: print the page.",
    ),
]


def load_model(path: Path | None) -> "Embedder":
    """Load the model given by --model, or the bundled one."""
    from okrcell.model.embedder import load

    return load(path)


def read_cells(path: Path) -> "AnnData":
    """Open a file of cells; the matrix stays on disk where the format allows it."""
    from okrcell.cells.io import open_cells

    return open_cells(path)


def check_output(output: Path, cells: Path) -> None:
    """Check before any work is done that the output can be written.

    Raises
    ------
    InputError
        If the output is not an h5ad file, is a folder or the input, or its folder does not exist.
    """
    if output.suffix != ".h5ad":
        raise InputError(f"The output must be an h5ad file, but it is {output}. Name it {output.name}.h5ad.")
    if not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Create it first.")
    if output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    if cells.exists() and output.exists() and cells.samefile(output):
        raise InputError(
            f"The output {output} is the input itself. Choose another output, so that the input is not overwritten."
        )


def save_output(adata: "AnnData", output: Path, cells: Path) -> None:
    """Write cells to an h5ad file atomically; an h5ad input is copied and only changed slots are replaced."""
    from okrcell.cells.io import save_cells

    save_cells(adata, output, source=cells if cells.suffix == ".h5ad" else None)


def print_findings(adata: "AnnData", command: str) -> None:
    """Print what was found about the input, on stderr."""
    # On stderr, so that stdout carries results only.
    for finding in adata.uns["okrcell"][command]["findings"]:
        print(f"  {finding}", file=sys.stderr)


def check_page_output(output: Path | None, cells: Path) -> None:
    """Check before any work is done that the output can be written.

    Raises
    ------
    InputError
        If the extension is not supported, the output is a folder, or its folder does not exist.
    """
    if output is None:
        return
    if output.suffix == ".h5ad":
        check_output(output, cells)
    elif output.suffix not in PAGE_SUFFIXES:
        raise InputError(f"The output must end in {', '.join(PAGE_SUFFIXES)}, but it is {output}.")
    elif output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    elif not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Create it first.")


def print_absent_sources(adata: "AnnData", command: str) -> None:
    """Print on stderr which knowledge sources were skipped because their files are missing."""
    absent = adata.uns["okrcell"][command]["absent_sources"]
    if absent:
        print(
            f"  Knowledge sources skipped, files missing: {', '.join(absent)} (see `okrcell knowledge list`).",
            file=sys.stderr,
        )


def write_page(
    adata: "AnnData",
    output: Path | None,
    cells: Path,
    to_markdown: Callable[["AnnData"], str],
    to_json: Callable[["AnnData"], str],
    summary: str,
) -> None:
    """Print the page, or write the output in the format of its extension.

    Parameters
    ----------
    to_markdown, to_json
        Render the results as a Markdown page and as JSON.
    summary
        Description of the content, for the final message.
    """
    from okrcell.storage import atomic_file

    if output is None:
        print(to_markdown(adata))
        return
    if output.suffix == ".h5ad":
        save_output(adata, output, cells)
    else:
        content = to_markdown(adata) if output.suffix == ".md" else to_json(adata)
        with atomic_file(output) as draft:
            draft.write_text(content + "\n", encoding="utf-8")
    print(f"Wrote {summary} to {output}.")
