"""The verb that tells which genes spoke for the names of cells: explain."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, ModelPath, Orthologs, bar, chosen_model, opened, tell
from okrcell.cli.written_pages import PageOutput, may_write_page, tell_absent, write_page


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
    output: PageOutput = None,
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
    from okrcell.tasks.candidates import candidates_in
    from okrcell.tl.explain import explain as explain_cells
    from okrcell.tl.explanation_pages import explanations_json, explanations_page

    may_write_page(output, cells)
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
    tell_absent(adata, "explain")
    receipt = adata.uns["okrcell"]["explain"]
    what = f"{len(receipt['explained'])} explanations"
    write_page(adata, output, cells, explanations_page, explanations_json, what)
