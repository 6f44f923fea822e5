"""The verb that tells what groups of cells are: describe."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, ModelPath, Orthologs, bar, chosen_model, opened, tell
from okrcell.cli.written_pages import PageOutput, may_write_page, tell_absent, write_page


@app.command
def describe(
    cells: Path,
    *,
    groupby: Annotated[str, Parameter(help="Column of obs with clusters or labels.")] = "okrcell_cluster",
    output: PageOutput = None,
    candidates: Annotated[
        str | None, Parameter(help="File with one a line, or a,b,c: names, CL ids, sentences.")
    ] = None,
    knowledge: Annotated[
        str | None, Parameter(help="Folder or URL of the knowledge files; also OKRCELL_KNOWLEDGE.")
    ] = None,
    genes: Annotated[int, Parameter(help="So many genes are listed for each group at most.")] = 20,
    seed: Annotated[int, Parameter(help="Draws the cells whose genes are compared.")] = 0,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Tell of each group of cells what it likely is, by which genes it differs, and who says so."""
    from okrcell.tasks.candidates import candidates_in
    from okrcell.tl.describe import describe as describe_cells
    from okrcell.tl.pages import descriptions_json, descriptions_page

    may_write_page(output, cells)
    words = None if candidates is None else candidates_in(candidates)
    adata = opened(cells)
    with bar("Describing") as step:
        describe_cells(
            adata,
            chosen_model(model),
            groupby,
            candidates=words,
            knowledge=knowledge,
            genes=genes,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            progress=step,
        )
    tell(adata, "describe")
    tell_absent(adata, "describe")
    receipt = adata.uns["okrcell"]["describe"]
    what = f"{len(receipt['groups'])} descriptions"
    write_page(adata, output, cells, descriptions_page, descriptions_json, what)
