"""Write the openly licensed marker statements that are part of the package.

    python scripts/build_open_markers.py KNOWLEDGE

KNOWLEDGE is the folder of the knowledge files (`okrcell knowledge list`). The table holds the rows of ASCT+B in the Cell Marker
Accordion and the genes that the texts of the Cell Ontology state, both CC BY 4.0.
"""

import argparse
import csv
import gzip
import io
from pathlib import Path

import okrcell.knowledge
from okrcell.descriptions.ontology_markers import read_statements
from okrcell.knowledge.downloads import KnowledgeFiles
from okrcell.knowledge.open_markers import COLUMNS, OPEN_MARKERS_FILE


def write_table(knowledge: Path, target: Path) -> int:
    """Write the table, the same bytes for the same files; return the number of its rows."""
    statements = read_statements(KnowledgeFiles(knowledge)).openly_licensed()
    rows = {
        (row.cell_type, row.gene, resource, row.tissue, str(int(row.present)), statements.snapshots[resource])
        for row, resource in statements.rows
        if row.gene
    }
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *sorted(rows)])
    target.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return len(rows)


def main() -> None:
    """Write the table into the package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("knowledge", type=Path)
    options = parser.parse_args()
    target = Path(next(iter(okrcell.knowledge.__path__))) / "data" / OPEN_MARKERS_FILE
    print(f"{write_table(options.knowledge, target):,} statements in {target.name}, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
