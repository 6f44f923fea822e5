"""Command that describes groups of cells: describe."""

from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli._common import (
    CellFile,
    Layer,
    ModelPath,
    Orthologs,
    load_model,
    print_findings,
    progress_bar,
    read_cells,
)
from okrcell.cli.written_pages import PageOutput, check_page_output, print_absent_sources, write_page


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
    from okrcell.tasks.candidates import read_candidates
    from okrcell.tl.describe import describe as describe_cells
    from okrcell.tl.pages import descriptions_json, descriptions_page

    check_page_output(output, cells)
    candidate_texts = None if candidates is None else read_candidates(candidates)
    adata = read_cells(cells)
    with progress_bar("Describing") as step:
        describe_cells(
            adata,
            load_model(model),
            groupby,
            candidates=candidate_texts,
            knowledge=knowledge,
            genes=genes,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            progress=step,
        )
    print_findings(adata, "describe")
    print_absent_sources(adata, "describe")
    provenance = adata.uns["okrcell"]["describe"]
    summary = f"{len(provenance['groups'])} descriptions"
    write_page(adata, output, cells, descriptions_page, descriptions_json, summary)
