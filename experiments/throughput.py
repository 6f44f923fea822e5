"""Throughput and peak memory of zero-shot annotation, from the shell to the written file.

    python experiments/throughput.py [--cells 10000] [--genes 33000] [--model FOLDER] [--methods okrcell,markers] [--profile]

Cells of a real file are repeated, each time thinned at random, so that all cells differ. Every run is a process of its own,
start-up and writing included; one JSON line is printed per method. ``--profile`` prints a profile of okrcell.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from annotate import CANDIDATES
from real_cells import blood_file, knowledge_folder
from scipy import sparse

METHODS = ("okrcell", "markers", "markers_smoothed", "celltypist")
DOWNSAMPLING_FRACTION = 0.9
"""Fraction of a cell's molecules that each repeat keeps."""
LABEL_KEY = "cell_type"


def main() -> None:
    """Write the file, run every method on it, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="file of real cells; PBMC 3k by default")
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--genes", type=int, default=33_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--candidates", default=CANDIDATES)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--methods", default="okrcell,markers,markers_smoothed,celltypist")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--baseline", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.baseline:
        _run_baseline(*args.baseline, args.candidates)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    with tempfile.TemporaryDirectory() as folder:
        cells, output = Path(folder) / "cells.h5ad", Path(folder) / "annotated.h5ad"
        _write_repeated(args.source or blood_file(Path(folder)), args.cells, args.genes, cells)
        if args.profile:
            _print_profile(args, cells, output)
            return
        for method in args.methods.split(","):
            if reason := _unavailable_reason(method):
                print(json.dumps({"method": method, "absent": reason}))
                continue
            runs = [_run_process(_command(method, args, cells, output)) for _ in range(args.repeats)]
            seconds = [run[0] for run in runs]
            line = {
                "method": method,
                "cells": args.cells,
                "genes": args.genes,
                "candidates": len(args.candidates.split(",")),
                "cores": args.cores,
                "seconds": [round(run, 2) for run in seconds],
                "seconds_of_all_cores": [round(run[1], 2) for run in runs],
                "cells_per_second": round(args.cells / statistics.median(seconds)),
                "peak_memory_gb": round(max(run[2] for run in runs) / 1e9, 3),
            }
            print(json.dumps(line), flush=True)


def _run_process(command: list[str]) -> tuple[float, float, int]:
    """Return wall seconds, CPU seconds (all cores together) and peak memory in bytes of a process."""
    with tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            stderr.seek(0)
            sys.exit(f"{' '.join(command)} ended with status {process.returncode}: {stderr.read().decode()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def _command(method: str, args: argparse.Namespace, cells: Path, output: Path) -> list[str]:
    if method != "okrcell":
        command = [sys.executable, __file__, "--candidates", args.candidates]
        return [*command, "--baseline", method, str(cells), str(output)]
    model = ["--model", str(args.model)] if args.model else []
    return [sys.executable, "-m", "okrcell", *_annotate_arguments(args, cells, output), *model]


def _annotate_arguments(args: argparse.Namespace, cells: Path, output: Path) -> list[str]:
    return ["annotate", str(cells), "-o", str(output), "--candidates", args.candidates]


def _unavailable_reason(method: str) -> str:
    """Reason why a method cannot run here, "" if it can."""
    if method not in METHODS:
        return f"unknown method; choose from {', '.join(METHODS)}"
    if method.startswith("markers") and knowledge_folder() is None:
        return "no marker table: set OKRCELL_KNOWLEDGE"
    return "not installed" if method == "celltypist" and find_spec("celltypist") is None else ""


def _run_baseline(method: str, cells: str, output: str, candidates: str) -> None:
    """Run a baseline: read, annotate, write. Includes the training of CellTypist."""
    from okrcell.benchmarking.baselines import celltypist
    from okrcell.benchmarking.baselines import marker_genes as markers
    from okrcell.benchmarking.methods import MethodContext, unlabeled_cells
    from okrcell.tasks.candidates import parse_candidates as resolve_candidates
    from okrcell.tasks.candidates import read_candidates

    adata = anndata.read_h5ad(cells)
    query = unlabeled_cells(adata)
    if method == "celltypist":
        train_rows = np.arange(min(2000, query.n_obs))
        label = adata.obs[LABEL_KEY].astype(str).to_numpy(dtype=np.str_)
        annotation = celltypist.annotate(query[train_rows].copy(), label[train_rows], query, 0)
    else:
        terms = [
            candidate.term_id for candidate in resolve_candidates(read_candidates(candidates)) if candidate.term_id
        ]
        annotator = markers.MarkerAnnotator if method == "markers" else markers.SmoothedMarkerAnnotator
        annotation = annotator(MethodContext(knowledge=knowledge_folder()))(query, terms, 0)
    adata.obs["prediction"] = annotation.label.astype(object)
    adata.write_h5ad(output)


def _write_repeated(source: Path, cells: int, genes: int, target: Path) -> None:
    """Write ``cells`` cells with ``genes`` genes; genes that the source lacks have a name of the gene table and no counts."""
    adata = anndata.read_h5ad(source)
    rng = np.random.default_rng(0)
    rows = np.arange(cells) % adata.n_obs
    counts = sparse.csr_matrix(adata.X)[rows]
    counts.data = rng.binomial(np.rint(counts.data).astype(np.int64), DOWNSAMPLING_FRACTION).astype(np.float32)
    counts.eliminate_zeros()
    counts = counts[:, :genes] if genes < adata.n_vars else counts
    counts.resize((cells, genes))
    var = adata.var.iloc[: min(genes, adata.n_vars)]
    unmeasured = pd.DataFrame(index=_other_genes(var.index, genes - len(var)))
    var = pd.concat([var, unmeasured]).astype(object).fillna("")
    obs = adata.obs.iloc[rows].set_axis([f"cell-{i}" for i in range(cells)])
    if LABEL_KEY in obs:
        obs = obs[[LABEL_KEY]].astype(object)
    anndata.AnnData(counts, obs=obs, var=var).write_h5ad(target)


def _other_genes(names: pd.Index, n_genes: int) -> list[str]:
    """Return names of genes that are not among ``names``: those of the gene table first, so that the file is recognised."""
    from okrcell.cells.genes import GeneTable

    symbols = pd.Index(GeneTable.bundled().symbol).drop_duplicates().difference(names, sort=False)
    return [*symbols[:n_genes], *(f"unmeasured-{i}" for i in range(n_genes - len(symbols)))]


def _print_profile(args: argparse.Namespace, cells: Path, output: Path) -> None:
    import cProfile
    import pstats

    from okrcell.cli import main as okrcell

    model = ["--model", str(args.model)] if args.model else []
    profile = cProfile.Profile()
    with suppress(SystemExit):
        profile.runcall(okrcell, [*_annotate_arguments(args, cells, output), *model])
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
