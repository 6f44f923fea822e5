"""Throughput and peak memory of zero-shot annotation, from the shell to the written file.

    python benchmarks/throughput.py [--cells 10000] [--genes 33000] [--model FOLDER] [--methods okrcell,markers] [--profile]

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
from real_cells import blood, knowledge_folder
from scipy import sparse

METHODS = ("okrcell", "markers", "markers_smoothed", "celltypist")
KEPT = 0.9
"""Fraction of a cell's molecules that each repeat keeps."""
LABEL = "cell_type"


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
    parser.add_argument("--answer", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        _answer(*given.answer, given.candidates)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    with tempfile.TemporaryDirectory() as folder:
        cells, written = Path(folder) / "cells.h5ad", Path(folder) / "named.h5ad"
        _repeated(given.source or blood(Path(folder)), given.cells, given.genes, cells)
        if given.profile:
            _profiled(given, cells, written)
            return
        for method in given.methods.split(","):
            if why := _absent(method):
                print(json.dumps({"method": method, "absent": why}))
                continue
            runs = [_run(_command(method, given, cells, written)) for _ in range(given.repeats)]
            seconds = [one[0] for one in runs]
            line = {
                "method": method,
                "cells": given.cells,
                "genes": given.genes,
                "candidates": len(given.candidates.split(",")),
                "cores": given.cores,
                "seconds": [round(one, 2) for one in seconds],
                "seconds_of_all_cores": [round(one[1], 2) for one in runs],
                "cells_per_second": round(given.cells / statistics.median(seconds)),
                "peak_memory_gb": round(max(one[2] for one in runs) / 1e9, 3),
            }
            print(json.dumps(line), flush=True)


def _run(command: list[str]) -> tuple[float, float, int]:
    """Return wall seconds, CPU seconds (all cores together) and peak memory in bytes of a process."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} ended with status {process.returncode}: {said.read().decode()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def _command(method: str, given: argparse.Namespace, cells: Path, written: Path) -> list[str]:
    if method != "okrcell":
        here = [sys.executable, __file__, "--candidates", given.candidates]
        return [*here, "--answer", method, str(cells), str(written)]
    model = ["--model", str(given.model)] if given.model else []
    return [sys.executable, "-m", "okrcell", *_verb(given, cells, written), *model]


def _verb(given: argparse.Namespace, cells: Path, written: Path) -> list[str]:
    return ["annotate", str(cells), "-o", str(written), "--candidates", given.candidates]


def _absent(method: str) -> str:
    """Reason why a method cannot run here, "" if it can."""
    if method not in METHODS:
        return f"unknown method; choose from {', '.join(METHODS)}"
    if method.startswith("markers") and knowledge_folder() is None:
        return "no marker table: set OKRCELL_KNOWLEDGE"
    return "not installed" if method == "celltypist" and find_spec("celltypist") is None else ""


def _answer(method: str, cells: str, written: str, candidates: str) -> None:
    """Run a baseline: read, annotate, write. Includes the training of CellTypist."""
    from okrcell.benchmarking.baselines import celltypist, markers
    from okrcell.benchmarking.cells import bare
    from okrcell.benchmarking.method import Surroundings
    from okrcell.tasks.candidates import candidates as read_candidates
    from okrcell.tasks.candidates import candidates_in

    adata = anndata.read_h5ad(cells)
    query = bare(adata)
    if method == "celltypist":
        some = np.arange(min(2000, query.n_obs))
        label = adata.obs[LABEL].astype(str).to_numpy(dtype=np.str_)
        named = celltypist.annotate(query[some].copy(), label[some], query, 0)
    else:
        terms = [each.term_id for each in read_candidates(candidates_in(candidates)) if each.term_id]
        kind = markers.Plain if method == "markers" else markers.Smoothed
        named = kind(Surroundings(knowledge=knowledge_folder()))(query, terms, 0)
    adata.obs["named"] = named.label.astype(object)
    adata.write_h5ad(written)


def _repeated(source: Path, cells: int, genes: int, target: Path) -> None:
    """Write ``cells`` cells with ``genes`` genes; genes that the source lacks have no counts."""
    adata = anndata.read_h5ad(source)
    rng = np.random.default_rng(0)
    places = np.arange(cells) % adata.n_obs
    counts = sparse.csr_matrix(adata.X)[places]
    counts.data = rng.binomial(np.rint(counts.data).astype(np.int64), KEPT).astype(np.float32)
    counts.eliminate_zeros()
    counts = counts[:, :genes] if genes < adata.n_vars else counts
    counts.resize((cells, genes))
    var = adata.var.iloc[: min(genes, adata.n_vars)]
    more = pd.DataFrame(index=[f"unmeasured-{number}" for number in range(genes - len(var))])
    var = pd.concat([var, more]).astype(object).fillna("")
    obs = adata.obs.iloc[places].set_axis([f"cell-{place}" for place in range(cells)])
    if LABEL in obs:
        obs = obs[[LABEL]].astype(object)
    anndata.AnnData(counts, obs=obs, var=var).write_h5ad(target)


def _profiled(given: argparse.Namespace, cells: Path, written: Path) -> None:
    import cProfile
    import pstats

    from okrcell.cli import main as okrcell

    model = ["--model", str(given.model)] if given.model else []
    profile = cProfile.Profile()
    with suppress(SystemExit):
        profile.runcall(okrcell, [*_verb(given, cells, written), *model])
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
