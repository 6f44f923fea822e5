"""Verbs that use a model on a file of cells: demo, embed, annotate, find."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, ModelPath, Orthologs, Output, bar, chosen_model, may_write, opened, saved, tell
from okrcell.errors import InputError


@app.command
def demo(*, output: Output = Path("okrcell-demo"), model: ModelPath = None) -> None:
    """Do the main job on cells that come with scanpy, and write a report to look at."""
    from okrcell.demo.journey import run_demo

    run_demo(output, chosen_model(model), say=print)


@app.command
def embed(
    cells: Path, *, output: Output, model: ModelPath = None, layer: Layer = None, orthologs: Orthologs = False
) -> None:
    """Give each cell its vector: obsm["X_okrcell"]."""
    from okrcell import tl

    may_write(output, cells)
    adata = opened(cells)
    with bar("Embedding") as step:
        tl.embed(adata, chosen_model(model), layer=layer, orthologs=orthologs, progress=step)
    saved(adata, output, cells)
    tell(adata, "embed")
    print(f"Wrote {adata.n_obs:,} vectors to {output}, in obsm['X_okrcell'].")


@app.command
def annotate(
    cells: Path,
    *,
    output: Output,
    candidates: Annotated[
        str | None, Parameter(help="File with one a line, or a,b,c: names, CL ids, sentences.")
    ] = None,
    reference: Annotated[Path | None, Parameter(help="Labelled cells of another study to learn from.")] = None,
    label_key: Annotated[str, Parameter(help="Column of the reference with the labels.")] = "cell_type",
    donor_key: Annotated[
        str | None, Parameter(help="Column of the reference with the donors, to calibrate confidence on whole ones.")
    ] = None,
    method: Annotated[
        Literal["head", "encoder", "lora"],
        Parameter(help="With a reference: a head on the model, or a copy of its encoder tuned, whole or by additions."),
    ] = "head",
    examples_key: Annotated[
        str | None, Parameter(help="Column in which a few of the cells themselves have a label.")
    ] = None,
    seed: Annotated[int, Parameter(help="Of all that is drawn, with a reference or examples.")] = 0,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Name the type of each cell: from free text, a labelled reference, or a few labelled cells.

    Without any of them, from the types of the Cell Ontology that fit, found by the model.
    """
    import pandas as pd

    from okrcell import tl
    from okrcell.tasks.candidates import candidates_in

    may_write(output, cells)
    words = None if candidates is None else candidates_in(candidates)
    adata = opened(cells)
    with bar("Annotating") as step:
        tl.annotate(
            adata,
            chosen_model(model),
            candidates=words,
            reference=None if reference is None else opened(reference),
            examples=examples_key,
            label_key=label_key,
            donor_key=donor_key,
            method=method,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            progress=step,
        )
    saved(adata, output, cells)
    tell(adata, "annotate")
    obs = pd.DataFrame(adata.obs)
    for name, cells_of_it in obs.groupby("okrcell_cell_type", observed=True)["okrcell_confidence"]:
        print(f"  {len(cells_of_it):>8,}  {name}  (mean confidence {cells_of_it.mean():.2f})")
    print(
        "Status: "
        + ", ".join(f"{number:,} {name}" for name, number in obs["okrcell_status"].value_counts().items())
        + "."
    )
    print(f"Wrote {adata.n_obs:,} cells to {output}, in obs['okrcell_cell_type'] and beside it.")


@app.command
def find(
    cells: Path,
    text: str,
    *,
    top: Annotated[int, Parameter(help="How many of the best cells to print.")] = 10,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Write all scores to this h5ad.")] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Find the cells that a sentence tells of."""
    import pandas as pd

    from okrcell import tl
    from okrcell.tasks.retrieve import best

    if top < 1:
        raise InputError(f"--top must be at least 1, but it is {top}.")
    if output is not None:
        may_write(output, cells)
    adata = opened(cells)
    with bar("Searching") as step:
        tl.find_cells(adata, chosen_model(model), text, layer=layer, orthologs=orthologs, progress=step)
    tell(adata, "find")
    obs = pd.DataFrame(adata.obs)
    scores = obs["okrcell_match"].to_numpy()
    told = [name for name in ("cell_type", "bulk_labels", "tissue", "donor", "okrcell_cell_type") if name in obs]
    for place in best(scores, top):
        row = obs.iloc[int(place)]
        print("\t".join([f"{scores[place]:.3f}", str(row.name), *(str(row[name]) for name in told)]))
    if output is not None:
        saved(adata, output, cells)
        print(f"Wrote {adata.n_obs:,} scores to {output}, in obs['okrcell_match'].")
