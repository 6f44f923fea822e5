"""Verbs that end in a page: printed, written as Markdown or JSON, or left in the cells."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from okrcell.cli.shared import may_write, saved
from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

ENDINGS = (".md", ".json", ".h5ad")
PageOutput = Annotated[
    Path | None,
    Parameter(
        name=["--output", "-o"],
        help="A page (.md), all there is (.json), or the cells with it in uns (.h5ad); by default the page is printed.",
    ),
]


def may_write_page(output: Path | None, cells: Path) -> None:
    """Refuse an output that cannot be written, before any work is done."""
    if output is None:
        return
    if output.suffix == ".h5ad":
        may_write(output, cells)
    elif output.suffix not in ENDINGS:
        raise InputError(f"The output must end in {', '.join(ENDINGS)}, but it is {output}.")
    elif output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    elif not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Make it first.")


def tell_absent(adata: "AnnData", verb: str) -> None:
    """Print which sources of knowledge could not be asked, on stderr."""
    absent = adata.uns["okrcell"][verb]["absent_sources"]
    if absent:
        print(
            f"  Not asked, for their files are not here: {', '.join(absent)} (okrcell knowledge list).", file=sys.stderr
        )


def write_page(
    adata: "AnnData",
    output: Path | None,
    cells: Path,
    page: Callable[["AnnData"], str],
    whole: Callable[["AnnData"], str],
    what: str,
) -> None:
    """Print the page where there is no output, else write what its ending asks for and say so."""
    from okrcell.files import whole_file

    if output is None:
        print(page(adata))
        return
    if output.suffix == ".h5ad":
        saved(adata, output, cells)
    else:
        written = page(adata) if output.suffix == ".md" else whole(adata)
        with whole_file(output) as draft:
            draft.write_text(written + "\n", encoding="utf-8")
    print(f"Wrote {what} to {output}.")
