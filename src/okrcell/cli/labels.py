"""Commands for the labels of cells: standardise, audit."""

import sys
from collections import Counter
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from okrcell.cells.slot_keys import RequestedKeys
from okrcell.cli._common import (
    CellFile,
    Layer,
    ModelPath,
    Orthologs,
    Output,
    Species,
    app,
    check_output,
    check_places,
    load_model,
    print_findings,
    print_row,
    read_cells,
    save_output,
)
from okrcell.cli._inputs import check_cells
from okrcell.errors import InputError
from okrcell.escaping import escape_formulas, printable
from okrcell.progress import command_progress

if TYPE_CHECKING:
    import pandas as pd


TABLE_SUFFIXES = (".tsv", ".parquet")
MAX_SKIPPED_SHOWN = 5
"""Maximum number of skipped studies that are printed."""
N_COMMON_PAIRS = 5
"""Number of most frequent pairs of current and likely label that are printed."""


@app.command
def standardise(
    cells: CellFile,
    *,
    output: Output,
    overrides: Annotated[
        Path | None, Parameter(help="Decision table of an earlier run, reviewed and edited by a person.")
    ] = None,
    dense: Annotated[
        bool,
        Parameter(negative="", help="Also compare text embeddings where words do not match; the first use is slower."),
    ] = False,
) -> None:
    """Add ontology ids of cell types, tissues, diseases, stages, sexes and assays, and write a table of decisions to review."""
    from okrcell.ontology.decisions import read_overrides, write_decisions
    from okrcell.tl.standardise import standardise as standardise_cells

    check_output(output, cells, inputs=[overrides])
    decisions_path = _decisions_path(output, overrides)
    check_places([decisions_path], [cells, overrides])
    override_table = None if overrides is None else read_overrides(overrides)
    embedder = None
    if dense:
        from okrcell.model.text_encoder import SentenceEncoder

        embedder = SentenceEncoder()
    adata = read_cells(cells, output)
    with command_progress("Standardising") as step:
        standardise_cells(adata, overrides=override_table, embedder=embedder, progress=step)
    table = adata.uns["okrcell"]["standardise"]["decisions"]
    save_output(adata, output, cells)
    write_decisions(table, decisions_path)
    print_findings(adata, "standardise")
    for column, rows in table.groupby("column", sort=False):
        n_assigned = int((rows["term_id"] != "").sum())
        print(
            f"  {column}: {n_assigned} of {len(rows)} labels, {int(rows.loc[rows['term_id'] != '', 'cells'].sum()):,} cells"
        )
    print(f"Wrote {adata.n_obs:,} cells to {output}; review {decisions_path} and pass it back with --overrides.")


def _decisions_path(output: Path, overrides: Path | None) -> Path:
    """Path of the decision table beside the output, numbered if the name is taken by a table that a person may have edited."""
    default_path = output.with_suffix(".standardised.tsv")
    if overrides is None or not default_path.exists():
        return default_path
    numbered_paths = (output.with_suffix(f".standardised-{i}.tsv") for i in count(2))
    return next(path for path in numbered_paths if not path.exists())


@app.command
def audit(
    cells: Annotated[Path, Parameter(help="Corpus folder, or a file of labelled cells.")],
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="Output table (.tsv or .parquet); default: CORPUS/audit.tsv, or CELLS.audit.tsv beside the file.",
        ),
    ] = None,
    label_key: Annotated[str, Parameter(help="Column of obs with the labels.")] = "cell_type",
    batch_key: Annotated[
        str | None,
        Parameter(help="Column of obs with donors or batches; a label is then only judged by cells of other ones."),
    ] = None,
    top: Annotated[int, Parameter(help="Number of least trusted labels to print.")] = 10,
    run: Annotated[
        Path | None,
        Parameter(help="Folder of a training run on the corpus; trust is then the pair reliability of that run."),
    ] = None,
    model: ModelPath = None,
    layer: Layer = None,
    orthologs: Orthologs = False,
    species: Species = None,
) -> None:
    """Rank labels by the probability that they are correct, with the likely label of each cell."""
    if top < 0:
        raise InputError(f"--top must be at least 0, but it is {top}.")
    is_corpus = (cells / "corpus.json").exists()
    if cells.is_dir() and not is_corpus and cells.suffix != ".zarr" and not any(cells.glob("*.mtx*")):
        raise InputError(f"{cells} is not a corpus: it has no corpus.json. Create one with `okrcell prepare`.")
    if run is not None and not is_corpus:
        raise InputError(
            f"--run needs the corpus of the run, but {cells} is a file. Pass the corpus folder, or leave --run out."
        )
    output = output or (cells / "audit.tsv" if is_corpus else cells.with_name(f"{cells.stem}.audit.tsv"))
    _check_table_output(output, cells)
    if is_corpus:
        if layer is not None or orthologs or species is not None:
            raise InputError(
                "--layer, --orthologs and --species apply to files only: a corpus holds human counts. Leave them out."
            )
        table, groups, facts = _audit_corpus(cells, model, label_key, batch_key, run)
    else:
        table, groups, facts = _audit_file(
            cells, model, label_key, batch_key, layer, orthologs=orthologs, species=species
        )
    table = table.sort_values("trust", kind="stable", na_position="last", ignore_index=True)
    _print_summary(table, top, by_run=run is not None)
    _print_groups(groups)
    _write_outputs(table, groups, facts, output)
    print(
        f"Wrote {len(table):,} labels to {output}, the least trusted first, with {_groups_path(output).name}, a plot "
        f"({output.with_suffix('.png').name}) and the provenance record ({output.with_suffix('.json').name})."
    )


def _groups_path(output: Path) -> Path:
    """Path of the table of groups beside the table of cells."""
    return output.with_suffix(".groups.tsv")


def _audit_corpus(
    corpus: Path, model: Path | None, label_key: str, batch_key: str | None, run: Path | None
) -> "tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]":
    from okrcell.data.corpus import Corpus
    from okrcell.provenance import fingerprint
    from okrcell.tasks.audit_corpus import RELIABILITY_FILE, audit_corpus, read_reliability, use_run_reliability

    reliability = None if run is None else read_reliability(run)
    if run is not None and model is None and (run / "model" / "model.json").exists():
        model = run / "model"
    embedder = load_model(model)
    with command_progress("Auditing") as step:
        result = audit_corpus(corpus, embedder, label_key=label_key, batch_key=batch_key, progress=step)
    for study, reason in list(result.skipped.items())[:MAX_SKIPPED_SHOWN]:
        print(f"  {printable(study)} skipped: {printable(reason)}", file=sys.stderr)
    if len(result.skipped) > MAX_SKIPPED_SHOWN:
        print(
            f"  and {len(result.skipped) - MAX_SKIPPED_SHOWN} more studies, listed in the provenance record",
            file=sys.stderr,
        )
    for remark in result.remarks:
        print(f"  {printable(remark)}", file=sys.stderr)
    facts: dict[str, Any] = {
        "corpus": Corpus.open(corpus).fingerprint,
        "label_key": label_key,
        "batch_key": batch_key or "",
        "model": embedder.name,
        "weights_sha256": embedder.fingerprint,
        "weight_of_words": result.text_weights,
        "left_out": result.skipped,
    }
    if run is None or reliability is None:
        return result.table, result.groups, facts
    facts |= {"trust": "mean reliability over the epochs of a run", "run_sha256": fingerprint(run / RELIABILITY_FILE)}
    return use_run_reliability(result.table, reliability, run), result.groups, facts


def _audit_file(
    cells: Path,
    model: Path | None,
    label_key: str,
    batch_key: str | None,
    layer: str | None,
    *,
    orthologs: bool,
    species: str | None,
) -> "tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]":
    keys = RequestedKeys({"--label-key (label_key=...)": label_key, "--batch-key (batch_key=...)": batch_key}, layer)
    check_cells(cells, keys)
    import numpy as np
    import pandas as pd

    from okrcell.tasks.audit_study import audit_study, check_labels
    from okrcell.tl._anndata import read_counts, write_provenance

    adata = read_cells(cells, keys=keys)
    obs = pd.DataFrame(adata.obs)
    check_labels(obs, label_key, batch_key)
    embedder = load_model(model)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    with command_progress("Auditing") as step:
        result = audit_study(obs, expression, embedder, label_key=label_key, batch_key=batch_key, progress=step)
    write_provenance(
        adata,
        "audit",
        embedder,
        expression,
        remarks=result.labels.remarks,
        label_key=label_key,
        batch_key=batch_key or "",
        weight_of_words=result.audit.text_weight,
        layer=layer or "",
        orthologs=orthologs,
    )
    print_findings(adata, "audit")
    table = result.table()
    table.insert(0, "row", np.arange(len(table)))
    return table, result.group_table(), adata.uns["okrcell"]["audit"]


def _check_table_output(output: Path, cells: Path) -> None:
    """Check before any work is done that table, plot and provenance record can be written.

    Raises
    ------
    InputError
        If the extension is not supported, or an output cannot be written or is the input.
    """
    if output.suffix not in TABLE_SUFFIXES:
        raise InputError(f"The table must be a .tsv or .parquet file, but it is {output}. Name it {output.stem}.tsv.")
    check_places([output, _groups_path(output), output.with_suffix(".png"), output.with_suffix(".json")], [cells])


def _write_outputs(table: "pd.DataFrame", groups: "pd.DataFrame", facts: dict[str, Any], output: Path) -> None:
    from okrcell.pl.audit import DEFAULT_TRUST_LABEL, draw_audit
    from okrcell.provenance import provenance_record, write_json
    from okrcell.storage import atomic_file

    with atomic_file(output) as draft:
        if output.suffix == ".parquet":
            table.to_parquet(draft, index=False)
        else:
            escape_formulas(table).to_csv(draft, sep="\t", index=False, float_format="%.4f")
    with atomic_file(_groups_path(output)) as draft:
        escape_formulas(groups).to_csv(draft, sep="\t", index=False, float_format="%.4f")
    draw_audit(table, trust_label=facts.get("trust", DEFAULT_TRUST_LABEL), show=False, save=output.with_suffix(".png"))
    result_facts = {name: value for name, value in facts.items() if name not in {"verb", "time", "python", "versions"}}
    write_json(
        output.with_suffix(".json"),
        provenance_record(
            "audit",
            **result_facts,
            cells=len(table),
            **_summary_counts(table),
            contradicted=int(groups["contradicted"].sum()),
        ),
    )


def _summary_counts(table: "pd.DataFrame") -> dict[str, Any]:
    trust = table["trust"]
    return {
        "labelled": int(trust.notna().sum()),
        "doubtful": int(table["doubtful"].sum()),
        "expected_wrong": round(float((1 - trust).sum()), 1),
    }


def _print_groups(groups: "pd.DataFrame") -> None:
    """Print the labels that the markers of their cells contradict, with the genes."""
    contradicted = groups[groups["contradicted"]]
    if not len(contradicted):
        return
    n_judged, cells = int((groups["remark"] == "").sum()), int(contradicted["cells"].sum())
    print(
        f"{len(contradicted):,} of {n_judged:,} labels are contradicted by the markers of all their cells ({cells:,} cells; "
        "not counted as doubtful, because the cells of a label confirm each other):"
    )
    for _, row in contradicted.iterrows():
        study = f"{row['study']}: " if "study" in row else ""
        print(f"  {printable(study + row['reason'])}")


def _print_summary(table: "pd.DataFrame", top: int, *, by_run: bool) -> None:
    summary = _summary_counts(table)
    doubtful = table[table["doubtful"]]
    # The reliability of a run is not a probability, so it gives no expected number of errors.
    expected_errors = (
        "" if by_run else f" By the sum of 1 - trust, about {summary['expected_wrong']:,.0f} labels are wrong."
    )
    print(f"{summary['doubtful']:,} of {summary['labelled']:,} labels are doubtful.{expected_errors}")
    pairs = Counter(zip(doubtful["cell_type"], doubtful["likely_cell_type"], strict=True))
    for (label, likely_label), n_cells in pairs.most_common(N_COMMON_PAIRS):
        print(f"  {n_cells:>8,}  {printable(label)} -> {printable(likely_label)}")
    if top and len(doubtful):
        print_row("trust", "row", "study", "label", "likely label", "probability")
    for _, row in doubtful.head(top).iterrows():
        fields = (f"{row['trust']:.3f}", row["row"], row["study"], row["cell_type"], row["likely_cell_type"])
        print_row(*fields, f"{row['likely_share']:.2f}")
