"""Commands on the whole sample: cluster, integrate."""

from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli._common import (
    CellFile,
    Layer,
    ModelPath,
    Orthologs,
    Output,
    check_output,
    load_model,
    print_findings,
    progress_bar,
    read_cells,
    save_output,
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
    from okrcell.tasks.samples.stability import check_resolutions

    check_output(output, cells)
    if resolution is not None:
        check_resolutions([resolution])
    adata = read_cells(cells)
    with progress_bar("Clustering") as step:
        tl.cluster(
            adata,
            load_model(model),
            resolution=resolution,
            use_rep=use_rep,
            layer=layer,
            orthologs=orthologs,
            seed=seed,
            progress=step,
        )
    save_output(adata, output, cells)
    print_findings(adata, "cluster")
    provenance = adata.uns["okrcell"]["cluster"]
    selection = "set by --resolution" if resolution is not None else "the finest with stable clusters"
    print(f"Resolution {provenance['resolution']:g}: {selection}.")
    for name, count in adata.obs["okrcell_cluster"].value_counts(sort=False).items():
        print(f"  {count:>8,}  {name}")
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

    check_output(output, cells)
    adata = read_cells(cells)
    with progress_bar("Integrating") as step:
        tl.integrate(adata, load_model(model), batch_key, layer=layer, orthologs=orthologs, seed=seed, progress=step)
    save_output(adata, output, cells)
    print_findings(adata, "integrate")
    provenance = adata.uns["okrcell"]["integrate"]
    for name, count in zip(provenance["batches"], provenance["cells"], strict=True):
        print(f"  {count:>8,}  {name}")
    if len(provenance["batches"]) == 1:
        print(f"obs['{batch_key}'] has only one batch: nothing was corrected.")
    print(f"Wrote {adata.n_obs:,} cells to {output}, in obsm['X_okrcell_integrated'].")
