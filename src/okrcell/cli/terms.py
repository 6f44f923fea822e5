"""Command that maps labels to ontology terms: standardise."""

from itertools import count
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli._common import CellFile, Output, check_output, print_findings, progress_bar, read_cells, save_output


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
    from okrcell.tl.standardise import standardise as give_terms

    check_output(output, cells)
    override_table = None if overrides is None else read_overrides(overrides)
    embedder = None
    if dense:
        from okrcell.model.sentence_encoder import SentenceEncoder

        embedder = SentenceEncoder()
    adata = read_cells(cells)
    with progress_bar("Standardising") as step:
        give_terms(adata, overrides=override_table, embedder=embedder, progress=step)
    table = adata.uns["okrcell"]["standardise"]["decisions"]
    decisions_path = _decisions_path(output, overrides)
    write_decisions(table, decisions_path)
    save_output(adata, output, cells)
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
