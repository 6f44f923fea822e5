"""The verb that tells which genes spoke for the names of cells: explain."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, ModelPath, Orthologs, bar, chosen_model, may_write, opened, saved, tell
from okrcell.errors import InputError

ENDINGS = (".md", ".json", ".h5ad")


@app.command
def explain(
    cells: Path,
    *,
    groupby: Annotated[
        str | None, Parameter(help="Column of obs with clusters or labels; by default the answers themselves.")
    ] = None,
    cell: Annotated[
        list[str] | None, Parameter(help="Name of a cell to explain instead of groups; may be given several times.")
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="A page (.md), all there is (.json), or the cells with it in uns (.h5ad); by default the page is printed.",
        ),
    ] = None,
    candidates: Annotated[
        str | None, Parameter(help="File with one a line, or a,b,c; by default those that the file was annotated with.")
    ] = None,
    top: Annotated[int, Parameter(help="So many genes are told of each group or cell.")] = 20,
    knowledge: Annotated[
        str | None, Parameter(help="Folder or URL of the knowledge files; also OKRCELL_KNOWLEDGE.")
    ] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Tell which genes spoke for the names of cells, which for the next best, and who says so."""
    from okrcell.files import whole_file
    from okrcell.tasks.candidates import candidates_in
    from okrcell.tl.explain import explain as explain_cells
    from okrcell.tl.explanation_pages import explanations_json, explanations_page

    if output is not None:
        _may_write(output, cells)
    words = None if candidates is None else candidates_in(candidates)
    adata = opened(cells)
    with bar("Explaining") as step:
        explain_cells(
            adata,
            chosen_model(model),
            groupby,
            cells=cell,
            candidates=words,
            top=top,
            knowledge=knowledge,
            layer=layer,
            orthologs=orthologs,
            progress=step,
        )
    tell(adata, "explain")
    receipt = adata.uns["okrcell"]["explain"]
    if receipt["absent_sources"]:
        print(
            f"  Not asked, for their files are not here: {', '.join(receipt['absent_sources'])} (okrcell knowledge list).",
            file=sys.stderr,
        )
    if output is None:
        print(explanations_page(adata))
        return
    if output.suffix == ".h5ad":
        saved(adata, output, cells)
    else:
        written = explanations_page(adata) if output.suffix == ".md" else explanations_json(adata)
        with whole_file(output) as draft:
            draft.write_text(written + "\n", encoding="utf-8")
    print(f"Wrote {len(receipt['explained'])} explanations to {output}.")


def _may_write(output: Path, cells: Path) -> None:
    if output.suffix == ".h5ad":
        may_write(output, cells)
    elif output.suffix not in ENDINGS:
        raise InputError(f"The output must end in {', '.join(ENDINGS)}, but it is {output}.")
    elif output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    elif not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Make it first.")
