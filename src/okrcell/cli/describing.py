"""The verb that tells what groups of cells are: describe."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, ModelPath, Orthologs, bar, chosen_model, may_write, opened, saved, tell
from okrcell.errors import InputError

ENDINGS = (".md", ".json", ".h5ad")


@app.command
def describe(
    cells: Path,
    *,
    groupby: Annotated[str, Parameter(help="Column of obs with clusters or labels.")] = "okrcell_cluster",
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="A page (.md), all there is (.json), or the cells with it in uns (.h5ad); by default the page is printed.",
        ),
    ] = None,
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
    from okrcell.files import whole_file
    from okrcell.tasks.candidates import candidates_in
    from okrcell.tl.describe import describe as describe_cells
    from okrcell.tl.pages import descriptions_json, descriptions_page

    if output is not None:
        _may_write(output, cells)
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
    receipt = adata.uns["okrcell"]["describe"]
    if receipt["absent_sources"]:
        print(
            f"  Not asked, for their files are not here: {', '.join(receipt['absent_sources'])} "
            "(okrcell knowledge list).",
            file=sys.stderr,
        )
    if output is None:
        print(descriptions_page(adata))
        return
    if output.suffix == ".h5ad":
        saved(adata, output, cells)
    else:
        written = descriptions_page(adata) if output.suffix == ".md" else descriptions_json(adata)
        with whole_file(output) as draft:
            draft.write_text(written + "\n", encoding="utf-8")
    print(f"Wrote {len(receipt['groups'])} descriptions to {output}.")


def _may_write(output: Path, cells: Path) -> None:
    if output.suffix == ".h5ad":
        may_write(output, cells)
    elif output.suffix not in ENDINGS:
        raise InputError(f"The output must end in {', '.join(ENDINGS)}, but it is {output}.")
    elif output.is_dir():
        raise InputError(f"Cannot write {output}: it is a folder.")
    elif not output.resolve().parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}. Make it first.")
