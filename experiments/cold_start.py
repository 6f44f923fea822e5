"""Cold start: wall time of short commands, each in a process of its own.

    python experiments/cold_start.py [cells.h5ad] [--cells 200] [--repeats 5]

The first cells of the file are annotated once among Cell Ontology ids, which need no text encoder, and once among free
texts. A first run, which is not counted, fills the caches of the file system. The commands take turns, beside a process
that only imports torch and anndata: the speed of a shared machine changes by a factor of two within minutes. Processor
time depends on other jobs less, with OMP_NUM_THREADS=1. One Markdown row is printed per command.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata
from real_cells import blood_file

TERM_IDS = "CL:0000624,CL:0000625,CL:0000236,CL:0000623,CL:0001054,CL:0002396,CL:0000451,CL:0000233"
FREE_TEXTS = "a lymphocyte that makes antibodies,a cell that kills infected cells,a phagocyte of the blood"


def main() -> None:
    """Print the median, minimum and maximum seconds of each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(
        "| command | status | seconds, median | minimum | maximum | ratio to the imports | ratio of processor time |"
        "\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        cells = Path(folder) / "cells.h5ad"
        anndata.read_h5ad(args.file or blood_file(Path(folder)))[: args.cells].copy().write_h5ad(cells)
        commands = _commands(cells, Path(folder) / "annotated.h5ad")
        rounds = [[_run(words) for words in commands.values()] for _ in range(args.repeats + 1)][1:]
    for name, runs in zip(commands, zip(*rounds, strict=True), strict=True):
        seconds = [run[0] for run in runs]
        statuses = ", ".join(map(str, sorted({run[2] for run in runs})))
        references = [reference for reference, *_ in rounds]
        ratios = [
            statistics.median(run[clock] / reference[clock] for run, reference in zip(runs, references, strict=True))
            for clock in (0, 1)
        ]
        figures = (statistics.median(seconds), min(seconds), max(seconds), *ratios)
        print(f"| {name} | {statuses} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")


def _commands(cells: Path, output: Path) -> dict[str, list[str]]:
    okrcell = ["-m", "okrcell"]
    annotate = [*okrcell, "annotate", str(cells), "-o", str(output)]
    return {
        "imports of torch and anndata alone": ["-c", "import torch, anndata"],
        "`--help`": [*okrcell, "--help"],
        "`annotate`, no such file": [*okrcell, "annotate", "absent.h5ad", "-o", str(output)],
        "`annotate`, no such column": [*annotate, "--examples-key", "absent"],
        "`annotate`, ids": [*annotate, "--candidates", TERM_IDS],
        "`annotate`, free text": [*annotate, "--candidates", FREE_TEXTS],
    }


def _run(words: list[str]) -> tuple[float, float, int]:
    """Return wall seconds, processor seconds and exit status."""
    start, used = time.perf_counter(), _processor_seconds()
    ended = subprocess.run([sys.executable, *words], check=False, capture_output=True)
    return time.perf_counter() - start, _processor_seconds() - used, ended.returncode


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
