"""Output of describe and explain: printed, or written as Markdown, JSON or h5ad."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from okrcell.cli._common import check_output, save_output
from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

PAGE_SUFFIXES = (".md", ".json", ".h5ad")
PageOutput = Annotated[
    Path | None,
    Parameter(
        name=["--output", "-o"],
        help="Output file: page (.md), all results (.json) or cells with results in uns (.h5ad); default: print the page.",
    ),
]


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
