"""Accuracy of zero-shot annotation with candidates by id, name, sentence, definition and everyday name, as free text.

    python experiments/free_text.py [--model MODEL] [--json docs/results/free-text.json]

Candidates are a set's own Cell Ontology ids, each by one text of a wording. The text is not resolved to a term: what counts
is what the model reads. For each wording: the cosine of cell and text alone, and the fused model.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from everyday_names import spread_cells
from real_cells import data_folder
from zero_shot import true_types

import okrcell as okr
from okrcell.benchmarking.datasets.wordings import WORDINGS, type_texts
from okrcell.cells.expression import Expression, read_expression
from okrcell.cells.io import open_cells
from okrcell.model.embedder import Embedder
from okrcell.provenance import fingerprint, provenance_record, write_json
from okrcell.tasks.candidates import Candidate, parse_candidates
from okrcell.tasks.zero_shot import annotate_by_similarity, annotate_zero_shot


def main() -> None:
    """Print a Markdown table of accuracies by set and wording."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model folder; default: the bundled model")
    parser.add_argument("--cells", type=int, default=3000, help="maximum number of cells of a set, evenly spread")
    parser.add_argument("--json", type=Path, help="output file: results with their provenance")
    args = parser.parse_args()
    data = data_folder()
    files = sorted((data / "evaluate").glob("*.h5ad")) if data else []
    if not files:
        parser.exit(0, "No labelled files: set OKRCELL_DATA to a folder with evaluate/*.h5ad.\n")
    model = okr.load(args.model)
    rows = [row for file in files if (row := score_file(file, model, args.cells)) is not None]
    wordings = list(WORDINGS)
    print(f"| set | cells | {' | '.join(wordings)} |\n|---|---:|{'---|' * len(wordings)}")
    for row in rows:
        print_row(row["set"], f"{row['cells']:,}", [row["accuracy"][wording] for wording in wordings])
    means = [np.mean([row["accuracy"][wording] for row in rows], axis=0).tolist() for wording in wordings]
    print_row("mean", "", means)
    print(f"\nEach: cosine alone / fused model, accuracy. Weights sha256: {model.fingerprint}")
    if args.json:
        facts = provenance_record("benchmark free text", weights_sha256=model.fingerprint, rows=rows)
        write_json(args.json, facts)


def score_file(file: Path, model: Embedder, n_cells: int) -> dict[str, Any] | None:
    """Score a file by each wording; None if it has fewer than two types with an id."""
    adata = spread_cells(open_cells(file), n_cells)
    truth = true_types(adata)
    term_ids = sorted(set(truth.tolist()) - {""})
    if len(term_ids) < 2:
        return None
    expression = read_expression(adata)
    vectors = model.embed_cells(expression)
    candidates = {"id": parse_candidates(term_ids)} | {
        wording: [Candidate(text, "", (text,)) for text in type_texts(term_ids, wording)]
        for wording in WORDINGS
        if wording != "id"
    }
    right = np.searchsorted(term_ids, truth)
    scored = truth != ""
    accuracy = {
        wording: [
            float((predicted[scored] == right[scored]).mean())
            for predicted in predict(expression, vectors, entries, model)
        ]
        for wording, entries in candidates.items()
    }
    return {"set": file.stem, "sha256": fingerprint(file), "cells": int(scored.sum()), "accuracy": accuracy}


def predict(
    expression: Expression, vectors: np.ndarray, candidates: Sequence[Candidate], model: Embedder
) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the best candidate of each cell: by the cosine alone, and by the fused model."""
    by_cosine = annotate_by_similarity(vectors, candidates, model, model.n_measured_genes(expression))
    fused = annotate_zero_shot(expression, candidates, model, vectors=vectors)
    return by_cosine.prediction.best_idx, fused.prediction.best_idx


def print_row(name: str, n_cells: str, accuracies: Sequence[Sequence[float]]) -> None:
    """Print the accuracies of one set."""
    cells = [name, n_cells, *(" / ".join(f"{value:.3f}" for value in pair) for pair in accuracies)]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
