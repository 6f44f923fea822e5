"""Verbs that bring like cells together: cluster, integrate."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, ModelPath, Orthologs, Output, bar, chosen_model, may_write, opened, saved, tell

Seed = Annotated[int, Parameter(help="The same seed gives the same numbers.")]


@app.command
def cluster(
    cells: Path,
    *,
    output: Output,
    resolution: Annotated[
        float | None, Parameter(help="How fine the groups are; by default found by what is stable.")
    ] = None,
    use_rep: Annotated[str | None, Parameter(help="Slot of obsm to group by, such as X_okrcell_integrated.")] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    seed: Seed = 0,
) -> None:
    """Find groups of like cells without labels: obs["okrcell_cluster"]."""
    from okrcell import tl
    from okrcell.tasks.samples.stability import checked_resolutions

    may_write(output, cells)
    if resolution is not None:
        checked_resolutions([resolution])
    adata = opened(cells)
    with bar("Clustering") as step:
        tl.cluster(
            adata,
            chosen_model(model),
            resolution=resolution,
            use_rep=use_rep,
            layer=layer,
            orthologs=orthologs,
            seed=seed,
            progress=step,
        )
    saved(adata, output, cells)
    tell(adata, "cluster")
    receipt = adata.uns["okrcell"]["cluster"]
    how = "as named" if resolution is not None else "the finest whose groups are found again"
    print(f"Resolution {receipt['resolution']:g}: {how}.")
    for name, number in adata.obs["okrcell_cluster"].value_counts(sort=False).items():
        print(f"  {number:>8,}  {name}")
    print(f"Wrote {adata.n_obs:,} cells to {output}, in obs['okrcell_cluster'].")


@app.command
def integrate(
    cells: Path,
    *,
    output: Output,
    batch_key: Annotated[str, Parameter(help="Column of obs with what should no longer matter.")] = "batch",
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    seed: Seed = 0,
) -> None:
    """Bring batches into one space where they no longer matter: obsm["X_okrcell_integrated"]."""
    from okrcell import tl

    may_write(output, cells)
    adata = opened(cells)
    with bar("Integrating") as step:
        tl.integrate(adata, chosen_model(model), batch_key, layer=layer, orthologs=orthologs, seed=seed, progress=step)
    saved(adata, output, cells)
    tell(adata, "integrate")
    receipt = adata.uns["okrcell"]["integrate"]
    for name, number in zip(receipt["batches"], receipt["cells"], strict=True):
        print(f"  {number:>8,}  {name}")
    if len(receipt["batches"]) == 1:
        print(f"There is one batch only in obs['{batch_key}']: nothing had to be taken out.")
    print(f"Wrote {adata.n_obs:,} cells to {output}, in obsm['X_okrcell_integrated'].")
