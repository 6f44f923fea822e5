"""Command that describes groups of cells: describe."""

from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import CellFile, Layer, ModelPath, Orthologs, bar, chosen_model, opened, tell
from okrcell.cli.written_pages import PageOutput, may_write_page, tell_absent, write_page


@app.command
def describe(
    cells: CellFile,
    *,
    groupby: Annotated[str, Parameter(help="Column of obs with clusters or labels.")] = "okrcell_cluster",
    output: PageOutput = None,
    candidates: Annotated[
        str | None,
        Parameter(help="Cell types to choose from: names, CL ids or sentences, as a,b,c or a file with one per line."),
    ] = None,
    knowledge: Annotated[
        str | None, Parameter(help="Folder or URL of the knowledge files; default: OKRCELL_KNOWLEDGE, else the cache.")
    ] = None,
    genes: Annotated[int, Parameter(help="Maximum number of genes per group.")] = 20,
    seed: Annotated[int, Parameter(help="Random seed of the sample of cells whose genes are compared.")] = 0,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Describe each group of cells: likely cell type, distinguishing genes and cited records."""
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
