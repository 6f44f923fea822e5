"""Throughput and peak memory of `okrcell annotate`, from the shell to the written file.

    python experiments/annotate.py [cells.h5ad] --cells 10000 --candidates "T cell,B cell,CL:0000576"

The cells of the file are repeated up to --cells. Each run is a process of its own, start-up and writing included.
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
import numpy as np
from real_cells import blood_file
from scipy import sparse

CANDIDATES = (
    "naive CD4 T cell,memory CD4 T cell,CD8 T cell,regulatory T cell,natural killer cell,naive B cell,memory B cell,"
    "plasma cell,CD14 monocyte,CD16 monocyte,conventional dendritic cell,plasmacytoid dendritic cell,platelet,"
    "hematopoietic stem cell,neutrophil,basophil,mast cell,erythrocyte,macrophage,gamma delta T cell"
)


def main() -> None:
    """Print cells per second and peak memory over the repeats: median, minimum and maximum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--candidates", default=CANDIDATES)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        cells = Path(folder) / "cells.h5ad"
        _write_repeated(args.file or blood_file(Path(folder)), args.cells, cells)
        seconds = []
        for _ in range(args.repeats):
            start = time.perf_counter()
            command = [sys.executable, "-m", "okrcell", "annotate", cells, "-o", Path(folder) / "annotated.h5ad"]
            subprocess.run([*map(str, command), "--candidates", args.candidates], check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    speed = [args.cells / value for value in seconds]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"{args.cells:,} cells, {len(args.candidates.split(','))} candidates, {args.repeats} runs")
    print(f"cells/s, start-up included: {statistics.median(speed):,.0f} ({min(speed):,.0f} - {max(speed):,.0f})")
    print(f"seconds: {statistics.median(seconds):.1f} ({min(seconds):.1f} - {max(seconds):.1f})")
    print(f"peak memory: {peak:.2f} GiB")


def _write_repeated(source: Path, cells: int, target: Path) -> None:
    adata = anndata.read_h5ad(source)
    rows = np.arange(cells) % adata.n_obs
    obs = adata.obs.iloc[rows].set_axis([f"cell-{i}" for i in range(cells)])
    anndata.AnnData(sparse.csr_matrix(adata.X)[rows], obs=obs, var=adata.var).write_h5ad(target)


if __name__ == "__main__":
    main()
