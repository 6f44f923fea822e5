"""Output of describe and explain: printed, or written as Markdown, JSON or h5ad."""

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
        help="Output file: page (.md), all results (.json) or cells with results in uns (.h5ad); default: print the page.",
    ),
]


def may_write_page(output: Path | None, cells: Path) -> None:
    """Check before any work is done that the output can be written.

    Raises
    ------
    InputError
        If the extension is not supported, the output is a folder, or its folder does not exist.
    """
    if output is None:
        return
    if output.suffix == ".h5ad":
        may_write(output, cells)
    elif output.suffix not in ENDINGS:
        raise InputError(f"The output must end in {', '.join(ENDINGS)}, but it is {output}.")
    elif output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    elif not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Create it first.")


def tell_absent(adata: "AnnData", verb: str) -> None:
    """Print on stderr which knowledge sources were skipped because their files are missing."""
    absent = adata.uns["okrcell"][verb]["absent_sources"]
    if absent:
        print(
            f"  Knowledge sources skipped, files missing: {', '.join(absent)} (see `okrcell knowledge list`).",
            file=sys.stderr,
        )


def write_page(
    adata: "AnnData",
    output: Path | None,
    cells: Path,
    page: Callable[["AnnData"], str],
    whole: Callable[["AnnData"], str],
    what: str,
) -> None:
    """Print the page, or write the output in the format of its extension.

    Parameters
    ----------
    page, whole
        Render the results as a Markdown page and as JSON.
    what
        Description of the content, for the final message.
    """
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
