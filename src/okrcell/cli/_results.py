"""Results of commands on cells: counts on the terminal, tables, and the HTML report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from okrcell.cli._common import check_places, save_output
from okrcell.errors import InputError
from okrcell.escaping import printable

if TYPE_CHECKING:
    from anndata import AnnData

SEPARATORS = {".csv": ",", ".tsv": "\t"}
RESULT_SUFFIXES = (".h5ad", *SEPARATORS)
ANNOTATION_COLUMNS = (
    "okrcell_label",
    "okrcell_cell_type",
    "okrcell_cell_type_ontology_term_id",
    "okrcell_confidence",
    "okrcell_status",
    "okrcell_broader_cell_type",
    "okrcell_broader_cell_type_ontology_term_id",
)
"""Columns of obs that `okrcell.tl.annotate` writes."""


def save_result(
    adata: "AnnData", output: Path, cells: Path, columns: Sequence[str] = (), slot: str | None = None
) -> None:
    """Write cells to an h5ad file, or columns of obs and a slot of obsm to a csv or tsv table.

    The columns of the slot are named as by `scanpy.get.obs_df`: "X_okrcell-0", "X_okrcell-1" ...
    """
    if output.suffix not in SEPARATORS:
        save_output(adata, output, cells)
        return
    import pandas as pd

    from okrcell.escaping import escape_formulas
    from okrcell.storage import atomic_file

    table = pd.DataFrame(adata.obs)[list(columns)]
    table.insert(0, "cell", adata.obs_names)
    if slot is not None:
        vectors = pd.DataFrame(adata.obsm[slot], index=table.index).add_prefix(f"{slot}-")
        table = pd.concat([table, vectors], axis=1)
    with atomic_file(output) as draft:
        escape_formulas(table).to_csv(draft, sep=SEPARATORS[output.suffix], index=False, lineterminator="\n")


def vectors_written_to(adata: "AnnData", output: Path, slot: str) -> str:
    """Name what was written: a slot of obsm, or the columns of a table."""
    if output.suffix in SEPARATORS:
        return f"columns cell, {slot}-0 to {slot}-{adata.obsm[slot].shape[1] - 1}"
    return f"in obsm['{slot}']"


def written_to(output: Path, columns: Sequence[str], slots: Sequence[str]) -> str:
    """Name what was written: columns of obs and slots of obsm, or the columns of a table."""
    if output.suffix in SEPARATORS:
        return f"columns cell, {', '.join(columns)}"
    return f"in obs: {', '.join(columns)}; in obsm: {', '.join(slots)}"


def print_counts(adata: "AnnData", column: str) -> None:
    """Print the number of cells of each value of a column of obs, largest first."""
    import pandas as pd

    for name, count in pd.Series(adata.obs[column]).value_counts().items():
        print(f"  {count:>8,}  {printable(name)}")


def print_annotation(adata: "AnnData") -> None:
    """Print the number of cells of each label, largest first, with the mean confidence, and of each status."""
    import pandas as pd

    obs = pd.DataFrame(adata.obs)
    groups = obs.groupby("okrcell_label", observed=True)["okrcell_confidence"]
    for name, confidence in sorted(groups, key=lambda group: -len(group[1])):
        print(f"  {len(confidence):>8,}  {printable(name)}  (mean confidence {confidence.mean():.2f})")
    statuses = obs["okrcell_status"].value_counts()
    print(f"Status: {', '.join(f'{count:,} {name}' for name, count in statuses.items())}.")
    outside = list(adata.uns["okrcell"]["annotate"].get("outside_types", []))
    if outside and statuses.get("unknown", 0):
        print(f"Of the unknown cells, many resemble types outside the candidates: {printable('; '.join(outside))}.")


def check_report(report: Path, cells: Path, inputs: Sequence[Path | str | None] = ()) -> None:
    """Check before any work is done that the report can be written.

    Raises
    ------
    InputError
        If the name does not end in .html, or the place cannot be written or is an input.
    """
    if report.suffix not in (".html", ".htm"):
        raise InputError(f"The report must end in .html, but it is {report}. Name it {report.name}.html.")
    check_places([report], [cells, *inputs])


def write_report(adata: "AnnData", report: Path, cells: Path) -> None:
    """Write the HTML report of an annotation atomically."""
    from okrcell.report.annotation import annotation_report
    from okrcell.storage import atomic_file

    with atomic_file(report) as draft:
        draft.write_text(annotation_report(adata, cells.name), encoding="utf-8")
