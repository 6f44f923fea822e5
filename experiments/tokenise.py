"""Throughput of the cell tokenizers.

Input: cells of a blood sample, or of the given file (such as pbmc3k), repeated up to --cells.

    python experiments/tokenise.py [cells.h5ad] --cells 10000
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from real_cells import blood_file
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.cells.genes import GeneVocabulary
from okrcell.cells.io import open_cells
from okrcell.cells.tokenizer import BinTokenizer, TokenizerSettings
from okrcell.model.checkpoint import GENES_FILE
from okrcell.model.embedder import bundled_model


def main() -> None:
    """Time each tokenizer and print cells per second over the repeats: median, minimum and maximum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        expression = read_expression(open_cells(args.file or blood_file(Path(folder))))
        rows = sparse.vstack(list(expression.blocks())).tocsr()
    rows = rows[np.arange(args.cells) % rows.shape[0]]
    vocabulary = GeneVocabulary.load(bundled_model() / GENES_FILE)
    print(f"{args.cells:,} cells, {rows.nnz / args.cells:.0f} genes each, {torch.get_num_threads()} threads")
    print(f"{'tokenizer':<44}{'cells/s':>10}   slowest - fastest")
    for kind, select, value, limit in (
        ("quantile_bins", "hashed", "expression", 1200),
        ("quantile_bins", "relative", "relative", 512),
        ("rank", "relative", "relative", 1200),
    ):
        settings = TokenizerSettings(kind=kind, select=select, value=value, limit=limit)
        tokenizer = BinTokenizer(settings, vocabulary, expression.table)
        tokenizer.tokenize(rows[:256])
        speeds = []
        for _ in range(args.repeats):
            start = time.perf_counter()
            tokenizer.tokenize(rows)
            speeds.append(args.cells / (time.perf_counter() - start))
        name = f"{kind}, {select}, {value}, {limit}"
        print(f"{name:<44}{statistics.median(speeds):>10,.0f}   {min(speeds):,.0f} - {max(speeds):,.0f}")


if __name__ == "__main__":
    main()
