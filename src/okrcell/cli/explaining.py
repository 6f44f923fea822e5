"""Command that explains predictions by gene contributions: explain."""

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
def explain(
    cells: CellFile,
    *,
    groupby: Annotated[
        str | None, Parameter(help="Column of obs with clusters or labels; default: the predicted cell types.")
    ] = None,
    cell: Annotated[
        list[str] | None, Parameter(help="Name of a single cell to explain instead of groups; repeatable.")
    ] = None,
    output: PageOutput = None,
    candidates: Annotated[
        str | None,
        Parameter(
            help="Cell types to choose from, as a,b,c or a file with one per line; default: those of the annotation."
        ),
    ] = None,
    top: Annotated[int, Parameter(help="Maximum number of genes per group or cell.")] = 20,
    knowledge: Annotated[
        str | None, Parameter(help="Folder or URL of the knowledge files; default: OKRCELL_KNOWLEDGE, else the cache.")
    ] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """List the genes that support the predicted cell type or the runner-up, with cited records."""
    from okrcell.tasks.candidates import read_candidates
    from okrcell.tl.explain import explain as explain_cells
    from okrcell.tl.explanation_pages import explanations_json, explanations_page

    check_page_output(output, cells)
    candidate_texts = None if candidates is None else read_candidates(candidates)
    adata = read_cells(cells)
    with progress_bar("Explaining") as step:
        explain_cells(
            adata,
            load_model(model),
            groupby,
            cells=cell,
            candidates=candidate_texts,
            top=top,
            knowledge=knowledge,
            layer=layer,
            orthologs=orthologs,
            progress=step,
        )
    print_findings(adata, "explain")
    print_absent_sources(adata, "explain")
    provenance = adata.uns["okrcell"]["explain"]
    summary = f"{len(provenance['explained'])} explanations"
    write_page(adata, output, cells, explanations_page, explanations_json, summary)
