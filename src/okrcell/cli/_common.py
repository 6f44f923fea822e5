"""Options, input and output that the commands share."""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from okrcell.errors import InputError
from okrcell.escaping import escape_formula, printable

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.cells.slot_keys import RequestedKeys
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
CellFile = Annotated[Path, Parameter(help="File of cells: h5ad, h5mu, zarr, 10x h5, folder with mtx, loom, csv, tsv.")]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Output file (.h5ad). Written atomically.")]
Layer = Annotated[
    str | None, Parameter(help="Matrix to read: a layer, X or raw; default: the one with most of the counts and genes.")
]
Orthologs = Annotated[
    bool, Parameter(negative="", help="Map mouse genes to one-to-one human orthologs, which is the default.")
]
Species = Annotated[
    Literal["human"] | None,
    Parameter(help="Accept human genes only; default: mouse genes are mapped to one-to-one human orthologs."),
]


TableOutput = Annotated[
    Path,
    Parameter(
        name=["--output", "-o"],
        help="Output file: cells (.h5ad) or a table of the cell names and the results (.csv, .tsv). Written atomically.",
    ),
]
Candidates = Annotated[
    str | None,
    Parameter(
        help="Cell types to choose from: names, CL ids or sentences, as a,b,c or a file (one per line, csv with cell_type, "
        "JSON, YAML)."
    ),
]
Strict = Annotated[bool, Parameter(negative="", help="Refuse names that are no known cell type.")]
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


def read_cells(path: Path, output: Path | None = None, keys: "RequestedKeys | None" = None) -> "AnnData":
    """Open a file of cells; the matrix stays on disk where the format allows it.

    Raises
    ------
    InputError
        If the file cannot be read, lacks one of the ``keys`` that options name, or has columns that are no grouping or that
        cannot be written to an h5ad file ``output``.
    """
    from okrcell.cells.groupings import check_grouping
    from okrcell.cells.io import check_storable, open_cells
    from okrcell.cells.slot_keys import SlotKeys

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what was left out is printed as a finding
        adata = open_cells(path)
    if keys is not None:
        keys.check(SlotKeys.from_anndata(adata))
        for option, column in keys.used_columns.items():
            check_grouping(adata.obs[column], column, f"Pass another column: {option}.")
    if output is not None and output.suffix == ".h5ad":
        check_storable(adata, path)
    return adata


def check_output(
    output: Path, cells: Path, *, suffixes: Sequence[str] = (".h5ad",), inputs: Sequence[Path | str | None] = ()
) -> None:
    """Check before any work is done that the output can be written.

    Raises
    ------
    InputError
        If the output has none of the ``suffixes``, cannot be written, or is an input.
    """
    if output.suffix not in suffixes:
        allowed = " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))
        raise InputError(f"The output must end in {allowed}, but it is {output}. Name it {output.name}.h5ad.")
    check_places([output], [cells, *inputs])


def check_places(outputs: Sequence[Path], inputs: Sequence[Path | str | None]) -> None:
    """Check before any work is done that all outputs can be written, and that none of them is an input.

    Parameters
    ----------
    outputs
        Files to write.
    inputs
        Files that the command reads; None, or text that names no file, for an option that is not used.

    Raises
    ------
    InputError
        If an output cannot be written or is an input.
    """
    from okrcell.storage import check_writable

    for output in outputs:
        for path in inputs:
            if path is not None and _is_same_file(output, Path(path)):
                raise InputError(
                    f"The output {output} is the input itself. Choose another output, so that the input is not overwritten."
                )
        check_writable(output)


def _is_same_file(output: Path, path: Path) -> bool:
    try:
        return output.samefile(path)
    except (OSError, ValueError):  # one of them does not exist, or is a list of names
        return False


def save_output(adata: "AnnData", output: Path, cells: Path) -> None:
    """Write cells to an h5ad file atomically; an h5ad input is copied and only changed slots are replaced."""
    from okrcell.cells.io import save_cells

    save_cells(adata, output, source=cells if cells.suffix == ".h5ad" else None)


def print_findings(adata: "AnnData", command: str) -> None:
    """Print what was found about the input, on stderr."""
    # On stderr, so that stdout carries results only.
    for finding in adata.uns["okrcell"][command]["findings"]:
        print(f"  {printable(finding)}", file=sys.stderr)


def print_candidates(adata: "AnnData", candidates: Sequence[str] | None, *, strict: bool = False) -> None:
    """Resolve the candidates before any work, and print on stderr what they were resolved to.

    Raises
    ------
    InputError
        If a candidate cannot be used; with ``strict``, if one names no known cell type.
    """
    if candidates is None:
        return
    import pandas as pd

    from okrcell.tasks.candidates import resolve_candidates_of

    for remark in resolve_candidates_of(pd.DataFrame(adata.obs), candidates, strict=strict).remarks:
        print(f"  {printable(remark)}", file=sys.stderr)


def print_row(*fields: object) -> None:
    """Print a line of a tab-separated table."""
    print("\t".join(printable(escape_formula(str(field))) for field in fields))


def check_page_output(output: Path | None, cells: Path, inputs: Sequence[Path | str | None] = ()) -> None:
    """Check before any work is done that the output can be written.

    Raises
    ------
    InputError
        If the extension is not supported, or the output cannot be written or is an input.
    """
    if output is None:
        return
    if output.suffix not in PAGE_SUFFIXES:
        raise InputError(f"The output must end in {', '.join(PAGE_SUFFIXES)}, but it is {output}.")
    check_places([output], [cells, *inputs])


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
