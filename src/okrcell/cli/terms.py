"""Verbs that give words their terms: standardise."""

from itertools import count
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Output, bar, may_write, opened, saved, tell


@app.command
def standardise(
    cells: Path,
    *,
    output: Output,
    overrides: Annotated[Path | None, Parameter(help="The table of an earlier run, gone through by a person.")] = None,
    dense: Annotated[
        bool, Parameter(negative="", help="Compare by vectors where words say too little; slower at first.")
    ] = False,
) -> None:
    """Write ontology ids beside cell types, tissues, diseases, stages, sexes, assays; and a table to review."""
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
    print(f"Wrote {adata.n_obs:,} cells to {output}; review {beside} and hand it back with --overrides.")


def _beside(output: Path, overrides: Path | None) -> Path:
    """Name the table after the output; with a number where a table stands that a person may have gone through."""
    first = output.with_suffix(".standardised.tsv")
    if overrides is None or not first.exists():
        return first
    numbered = (output.with_suffix(f".standardised-{number}.tsv") for number in count(2))
    return next(path for path in numbered if not path.exists())
