"""Openly licensed marker statements that are part of the package (CC BY 4.0, see NOTICE)."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from okrcell.knowledge.cell_type_markers import MarkerStatement, MarkerStatements
from okrcell.knowledge.markers import MarkerRow, read_rows

OPEN_MARKERS_FILE = "open_markers.csv.gz"
COLUMNS = ("cell_type", "gene", "resource", "tissue", "present", "snapshot")


@cache
def read_open_markers() -> MarkerStatements:
    """Read the table that ``scripts/build_open_markers.py`` writes: ASCT+B, and the texts of the Cell Ontology."""
    rows: list[MarkerStatement] = []
    snapshots: dict[str, str] = {}
    for row in read_rows(Path(str(files("okrcell.knowledge"))) / "data" / OPEN_MARKERS_FILE, *COLUMNS):
        marker = MarkerRow(row["cell_type"], row["gene"], row["resource"], row["tissue"], row["present"] == "1")
        rows.append((marker, row["resource"]))
        snapshots[row["resource"]] = row["snapshot"]
    tables = tuple(f"{name}: {version}" for name, version in snapshots.items())
    return MarkerStatements(rows, tables, snapshots)
