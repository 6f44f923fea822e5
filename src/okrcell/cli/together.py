"""Commands on the whole sample: cluster, integrate."""

from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import (
    CellFile,
    Layer,
    ModelPath,
    Orthologs,
    Output,
    bar,
    chosen_model,
    may_write,
    opened,
    saved,
    tell,
)

Seed = Annotated[int, Parameter(help="Random seed.")]


@app.command
def cluster(
    cells: CellFile,
    *,
    output: Output,
    resolution: Annotated[
        float | None, Parameter(help="Leiden resolution; default: the finest with stable clusters.")
    ] = None,
    use_rep: Annotated[
        str | None,
        Parameter(
            help="Slot of obsm to cluster by, such as X_okrcell_integrated; default: embedding and PCA combined."
        ),
    ] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    seed: Seed = 0,
) -> None:
    """Cluster cells without labels: obs["okrcell_cluster"]."""
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
    how = "set by --resolution" if resolution is not None else "the finest with stable clusters"
    print(f"Resolution {receipt['resolution']:g}: {how}.")
    for name, number in adata.obs["okrcell_cluster"].value_counts(sort=False).items():
        print(f"  {number:>8,}  {name}")
    print(f"Wrote {adata.n_obs:,} cells to {output}, in obs['okrcell_cluster'].")


@app.command
def integrate(
    cells: CellFile,
    *,
    output: Output,
    batch_key: Annotated[str, Parameter(help="Column of obs with the batches, such as donor or study.")] = "batch",
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    seed: Seed = 0,
) -> None:
    """Correct the batch effect in an embedding of all cells: obsm["X_okrcell_integrated"]."""
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
        print(f"obs['{batch_key}'] has only one batch: nothing was corrected.")
    print(f"Wrote {adata.n_obs:,} cells to {output}, in obsm['X_okrcell_integrated'].")
