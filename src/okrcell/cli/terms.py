"""Command that maps labels to ontology terms: standardise."""

from itertools import count
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import CellFile, Output, bar, may_write, opened, saved, tell


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
    from okrcell.texts.decisions import read_overrides, write_decisions
    from okrcell.tl.standardise import standardise as give_terms

    may_write(output, cells)
    chosen = None if overrides is None else read_overrides(overrides)
    embedder = None
    if dense:
        from okrcell.model.sentence_encoder import SentenceEncoder

        embedder = SentenceEncoder()
    adata = opened(cells)
    with bar("Standardising") as step:
        give_terms(adata, overrides=chosen, embedder=embedder, progress=step)
    table = adata.uns["okrcell"]["standardise"]["decisions"]
    beside = _beside(output, overrides)
    write_decisions(table, beside)
    saved(adata, output, cells)
    tell(adata, "standardise")
    for column, rows in table.groupby("column", sort=False):
        given = int((rows["term_id"] != "").sum())
        print(
            f"  {column}: {given} of {len(rows)} labels, {int(rows.loc[rows['term_id'] != '', 'cells'].sum()):,} cells"
        )
    print(f"Wrote {adata.n_obs:,} cells to {output}; review {beside} and pass it back with --overrides.")


def _beside(output: Path, overrides: Path | None) -> Path:
    """Path of the decision table beside the output, numbered if the name is taken by a table that a person may have edited."""
    first = output.with_suffix(".standardised.tsv")
    if overrides is None or not first.exists():
        return first
    numbered = (output.with_suffix(f".standardised-{number}.tsv") for number in count(2))
    return next(path for path in numbered if not path.exists())
