"""Commands that apply a model to a file of cells: cluster, integrate, describe, explain, demo, embed, annotate, find."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from okrcell.cells.slot_keys import RequestedKeys
from okrcell.cli._common import (
    Candidates,
    CellFile,
    Layer,
    ModelPath,
    Orthologs,
    PageOutput,
    Species,
    Strict,
    TableOutput,
    app,
    check_output,
    check_page_output,
    load_model,
    print_absent_sources,
    print_candidates,
    print_findings,
    print_row,
    read_cells,
    write_page,
)
from okrcell.cli._inputs import check_cells
from okrcell.cli._results import (
    ANNOTATION_COLUMNS,
    RESULT_SUFFIXES,
    check_report,
    print_annotation,
    print_counts,
    save_result,
    vectors_written_to,
    write_report,
    written_to,
)
from okrcell.errors import InputError
from okrcell.escaping import printable
from okrcell.progress import command_progress

Seed = Annotated[int, Parameter(help="Random seed.")]
CitedKnowledge = Annotated[
    str | None,
    Parameter(
        help="Folder or URL of the knowledge files: they are cited, and its marker tables are added to the signatures. "
        "Default: OKRCELL_KNOWLEDGE, else the cache, for citations alone."
    ),
]


@app.command
def cluster(
    cells: CellFile,
    *,
    output: TableOutput,
    resolution: Annotated[
        float | None, Parameter(help="Leiden resolution; default: the one with the most persistent number of clusters.")
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
    species: Species = None,
    seed: Seed = 0,
) -> None:
    """Cluster cells without labels: obs["okrcell_cluster"]."""
    check_output(output, cells, suffixes=RESULT_SUFFIXES)
    keys = RequestedKeys(layer=layer, use_rep=use_rep)
    check_cells(cells, keys)
    from okrcell import tl
    from okrcell.tasks.clustering import check_resolutions

    if resolution is not None:
        check_resolutions([resolution])
    adata = read_cells(cells, output, keys)
    with command_progress("Clustering") as step:
        tl.cluster(
            adata,
            load_model(model),
            resolution=resolution,
            use_rep=use_rep,
            layer=layer,
            orthologs=orthologs,
            species=species,
            seed=seed,
            progress=step,
        )
    save_result(adata, output, cells, ["okrcell_cluster"])
    provenance = adata.uns["okrcell"]["cluster"]
    selection = "set by --resolution" if resolution is not None else "its number of clusters is the most persistent"
    print(f"Resolution {provenance['resolution']:g}: {selection}.")
    print_counts(adata, "okrcell_cluster")
    print(f"Wrote {adata.n_obs:,} cells to {output}, {written_to(output, ['okrcell_cluster'], ['X_okrcell_joined'])}.")
    print_findings(adata, "cluster")


@app.command
def integrate(
    cells: CellFile,
    *,
    output: TableOutput,
    batch_key: Annotated[str, Parameter(help="Column of obs with the batches, such as donor or study.")] = "batch",
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
    seed: Seed = 0,
) -> None:
    """Correct the batch effect in an embedding of all cells: obsm["X_okrcell_integrated"]."""
    check_output(output, cells, suffixes=RESULT_SUFFIXES)
    keys = RequestedKeys({"--batch-key (batch_key=...)": batch_key}, layer)
    check_cells(cells, keys)
    from okrcell import tl

    adata = read_cells(cells, output, keys)
    with command_progress("Integrating") as step:
        tl.integrate(
            adata,
            load_model(model),
            batch_key,
            layer=layer,
            orthologs=orthologs,
            species=species,
            seed=seed,
            progress=step,
        )
    save_result(adata, output, cells, slot="X_okrcell_integrated")
    provenance = adata.uns["okrcell"]["integrate"]
    for name, count in zip(provenance["batches"], provenance["cells"], strict=True):
        print(f"  {count:>8,}  {printable(name)}")
    if len(provenance["batches"]) == 1:
        print(f"obs['{batch_key}'] has only one batch: nothing was corrected.")
    print(f"Wrote {adata.n_obs:,} cells to {output}, {vectors_written_to(adata, output, 'X_okrcell_integrated')}.")
    print_findings(adata, "integrate")


@app.command
def describe(
    cells: CellFile,
    *,
    groupby: Annotated[str, Parameter(help="Column of obs with clusters or labels.")] = "okrcell_cluster",
    output: PageOutput = None,
    candidates: Candidates = None,
    strict: Strict = False,
    knowledge: CitedKnowledge = None,
    genes: Annotated[int, Parameter(help="Maximum number of genes per group.")] = 20,
    seed: Annotated[int, Parameter(help="Random seed of the sample of cells whose genes are compared.")] = 0,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
) -> None:
    """Describe each group of cells: likely cell type, distinguishing genes and cited records."""
    check_page_output(output, cells, [candidates])
    hint = ", or run `okrcell cluster` first" if groupby == "okrcell_cluster" else ""
    keys = RequestedKeys({f"--groupby{hint}": groupby}, layer)
    check_cells(cells, keys)
    from okrcell.tasks.candidates import read_candidates
    from okrcell.tl.describe import describe as describe_cells
    from okrcell.tl.describe import descriptions_json, descriptions_page

    candidate_texts = None if candidates is None else read_candidates(candidates)
    adata = read_cells(cells, output, keys)
    print_candidates(adata, candidate_texts, strict=strict)
    with command_progress("Describing") as step:
        describe_cells(
            adata,
            load_model(model),
            groupby,
            candidates=candidate_texts,
            strict=strict,
            knowledge=knowledge,
            genes=genes,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            species=species,
            progress=step,
        )
    provenance = adata.uns["okrcell"]["describe"]
    summary = f"{len(provenance['groups'])} descriptions"
    write_page(adata, output, cells, descriptions_page, descriptions_json, summary)
    print_findings(adata, "describe")
    print_absent_sources(adata, "describe")


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
    strict: Strict = False,
    top: Annotated[int, Parameter(help="Maximum number of genes per group or cell.")] = 20,
    knowledge: CitedKnowledge = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
) -> None:
    """List the genes that support the predicted cell type or the runner-up, with cited records."""
    check_page_output(output, cells, [candidates])
    keys = RequestedKeys({"--groupby": groupby}, layer)
    check_cells(cells, keys)
    from okrcell.tasks.candidates import read_candidates
    from okrcell.tl.explain import explain as explain_cells
    from okrcell.tl.explain import explanations_json, explanations_page

    candidate_texts = None if candidates is None else read_candidates(candidates)
    adata = read_cells(cells, output, keys)
    print_candidates(adata, candidate_texts, strict=strict)
    with command_progress("Explaining") as step:
        explain_cells(
            adata,
            load_model(model),
            groupby,
            cells=cell,
            candidates=candidate_texts,
            strict=strict,
            top=top,
            knowledge=knowledge,
            layer=layer,
            orthologs=orthologs,
            species=species,
            progress=step,
        )
    provenance = adata.uns["okrcell"]["explain"]
    summary = f"{len(provenance['explained'])} explanations"
    write_page(adata, output, cells, explanations_page, explanations_json, summary)
    print_findings(adata, "explain")
    print_absent_sources(adata, "explain")


@app.command
def demo(
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Output folder. Written atomically; an earlier demo is replaced.")
    ] = Path("okrcell-demo"),
    model: ModelPath = None,
) -> None:
    """Annotate and search the 700 blood cells that are bundled with scanpy, and write an HTML report."""
    from okrcell.demo.demo import run_demo

    run_demo(output, load_model(model), log=print)


@app.command
def embed(
    cells: CellFile,
    *,
    output: TableOutput,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
) -> None:
    """Embed each cell as a unit vector: obsm["X_okrcell"]."""
    check_output(output, cells, suffixes=RESULT_SUFFIXES)
    keys = RequestedKeys(layer=layer)
    check_cells(cells, keys)
    from okrcell import tl

    adata = read_cells(cells, output, keys)
    with command_progress("Embedding") as step:
        tl.embed(adata, load_model(model), layer=layer, orthologs=orthologs, species=species, progress=step)
    save_result(adata, output, cells, slot="X_okrcell")
    print(f"Wrote {adata.n_obs:,} embeddings to {output}, {vectors_written_to(adata, output, 'X_okrcell')}.")
    print_findings(adata, "embed")


@app.command
def annotate(
    cells: CellFile,
    *,
    output: TableOutput,
    report: Annotated[
        Path | None, Parameter(help="Also write an HTML report (.html): labels, confidence, pictures, what was read.")
    ] = None,
    candidates: Candidates = None,
    strict: Strict = False,
    knowledge: Annotated[
        str | None, Parameter(help="Folder or URL of marker tables that are added to the signatures of the model.")
    ] = None,
    reference: Annotated[
        Path | None, Parameter(help="Labelled file of cells from another study to learn from.")
    ] = None,
    label_key: Annotated[str, Parameter(help="Column of obs of the reference with the labels.")] = "cell_type",
    donor_key: Annotated[
        str | None,
        Parameter(
            help="Column of obs of the reference with the donors; confidence is then calibrated on held-out donors."
        ),
    ] = None,
    method: Annotated[
        Literal["head", "encoder", "lora"],
        Parameter(help="With --reference: train a linear head, fine-tune the cell encoder, or fine-tune it by LoRA."),
    ] = "head",
    examples_key: Annotated[
        str | None, Parameter(help="Column of obs in which a few of the cells are labelled (few-shot).")
    ] = None,
    seed: Annotated[int, Parameter(help="Random seed, used with --reference or --examples-key.")] = 0,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
) -> None:
    """Predict the type of each cell from candidate texts, a labelled reference or a few labelled cells.

    Without any of them, the candidates are the Cell Ontology types that fit the cells, selected by the model.
    """
    inputs = (reference, candidates)
    check_output(output, cells, suffixes=RESULT_SUFFIXES, inputs=inputs)
    if report is not None:
        check_report(report, cells, inputs)
    keys = RequestedKeys({"--examples-key (examples=...)": examples_key}, layer)
    check_cells(cells, keys)
    reference_keys = RequestedKeys({"--label-key (label_key=...)": label_key, "--donor-key (donor_key=...)": donor_key})
    if reference is not None:
        check_cells(reference, reference_keys)
    from okrcell import tl
    from okrcell.tasks.candidates import read_candidates

    candidate_texts = None if candidates is None else read_candidates(candidates)
    adata = read_cells(cells, output, keys)
    reference_cells = None if reference is None else read_cells(reference, keys=reference_keys)
    print_candidates(adata, candidate_texts, strict=strict)
    with command_progress("Annotating") as step:
        tl.annotate(
            adata,
            load_model(model),
            candidates=candidate_texts,
            reference=reference_cells,
            examples=examples_key,
            label_key=label_key,
            donor_key=donor_key,
            method=method,
            strict=strict,
            knowledge=knowledge,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            species=species,
            progress=step,
        )
    save_result(adata, output, cells, ANNOTATION_COLUMNS)
    print_annotation(adata)
    print(
        f"Wrote {adata.n_obs:,} cells to {output}, {written_to(output, ANNOTATION_COLUMNS, ['okrcell_scores', 'X_okrcell'])}."
    )
    if report is not None:
        write_report(adata, report, cells)
        print(f"Wrote the report {report}.")
    print_findings(adata, "annotate")


@app.command
def find(
    cells: CellFile,
    text: Annotated[str, Parameter(help="Text to search for: a sentence, a name or a Cell Ontology id.")],
    *,
    strict: Strict = False,
    top: Annotated[int, Parameter(help="Number of best matching cells to print.")] = 10,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="Output file (.h5ad, .csv or .tsv) with the scores of all cells."),
    ] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
) -> None:
    """Rank cells by their match with a text."""
    if top < 1:
        raise InputError(f"--top must be at least 1, but it is {top}.")
    if output is not None:
        check_output(output, cells, suffixes=RESULT_SUFFIXES)
    keys = RequestedKeys(layer=layer)
    check_cells(cells, keys)
    import pandas as pd

    from okrcell import tl
    from okrcell.ontology.obs_profile import single_tissue
    from okrcell.tasks.retrieval import resolve_query, top_indices

    adata = read_cells(cells, output, keys)
    resolve_query(text, single_tissue(pd.DataFrame(adata.obs)), strict=strict)  # before the model is loaded
    with command_progress("Searching") as step:
        tl.find_cells(
            adata,
            load_model(model),
            text,
            strict=strict,
            layer=layer,
            orthologs=orthologs,
            species=species,
            progress=step,
        )
    if remark := adata.uns["okrcell"]["find"]["text_resolved"]:
        print(f"  {printable(remark)}", file=sys.stderr)
    obs = pd.DataFrame(adata.obs)
    scores = obs["okrcell_match"].to_numpy()
    columns = [name for name in ("cell_type", "bulk_labels", "tissue", "donor", "okrcell_label") if name in obs]
    print_row("match", "cell", *columns)
    for idx in top_indices(scores, top):
        row = obs.iloc[int(idx)]
        print_row(f"{scores[idx]:.3f}", row.name, *(row[name] for name in columns))
    if output is not None:
        save_result(adata, output, cells, ["okrcell_match"])
        print(f"Wrote {adata.n_obs:,} scores to {output}, {written_to(output, ['okrcell_match'], ['X_okrcell'])}.")
    print_findings(adata, "find")
