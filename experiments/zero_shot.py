"""Accuracy of zero-shot annotation on labelled files, beside the same without each of its parts.

    python experiments/zero_shot.py [--markers KNOWLEDGE] [--json docs/results/zero-shot.json] [FILES...]

The candidates of a file are its own Cell Ontology ids; cells without an id are annotated, but not scored. Intervals are
Student's 95 % intervals over sets. With ``--markers``, also marker scores, and the model with the user's marker tables.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from real_cells import data_folder

import okrcell as okr
from okrcell.benchmarking.baselines.marker_genes import MARKER_TABLE_FILE, SmoothedMarkerAnnotator
from okrcell.benchmarking.baselines.okrcell import without_similarity
from okrcell.benchmarking.methods import Annotation, MethodContext, unlabeled_cells
from okrcell.cells.expression import read_expression
from okrcell.cells.io import open_cells
from okrcell.errors import InputError
from okrcell.metrics.annotation import accuracy_by_coverage, annotation_scores
from okrcell.metrics.intervals import Estimate, estimate
from okrcell.model.embedder import Embedder
from okrcell.ontology.ontology import ontology
from okrcell.provenance import fingerprint, provenance_record, write_json
from okrcell.tasks.candidates import parse_candidates
from okrcell.tasks.marker_tables import add_marker_tables
from okrcell.tasks.zero_shot import ZeroShotPrediction, annotate_by_similarity, annotate_zero_shot

TRUE_TYPE_KEY = "cell_type_ontology_term_id"
METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
METHODS = {
    "fused": "fused model",
    "similarity": "cosine of cell and text alone",
    "signatures": "signature scores alone",
    "unsmoothed": "without neighbours",
    "tables": "with the user's marker tables",
    "markers": "marker genes, smoothed over neighbours",
}
WITH_TABLES = ("tables", "markers")
"""Methods that need marker tables."""
FIRST_SIX = ("pbmc3k", "kang_ifnb", "kang_pbmc_8donors", "segerstolpe_pancreas", "xin_pancreas", "wang_pancreas")
"""Sets of the first releases, with a mean of their own."""
MarkerMethod = Callable[[AnnData, list[str], int], Annotation]


def main() -> None:
    """Print a Markdown table of the sets, and a table of means over sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="labelled h5ad files; default: evaluate/*.h5ad of the data")
    parser.add_argument("--model", type=Path, help="model folder; default: the bundled model")
    parser.add_argument(
        "--markers", type=Path, metavar="KNOWLEDGE", help="add marker scores, with the tables of a folder"
    )
    parser.add_argument("--json", type=Path, help="output file: results with their provenance")
    args = parser.parse_args()

    if not args.files and (data := data_folder()):
        args.files = sorted((data / "evaluate").glob("*.h5ad"))
    if not args.files:
        parser.exit(0, "No labelled files: pass some, or set OKRCELL_DATA to a folder with evaluate/*.h5ad.\n")
    model = okr.load(args.model)
    markers = SmoothedMarkerAnnotator(MethodContext(knowledge=args.markers)) if args.markers else None
    extended = add_marker_tables(model, args.markers) if args.markers else None
    methods = [name for name in METHODS if name not in WITH_TABLES or markers]

    print_header(methods)
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    for file in args.files:
        row = score_file(file, model, markers, extended)
        if row is None:
            skipped.append(file.stem)
            continue
        rows.append(row)
        print_row(row, methods)
    if not rows:
        parser.exit(1, "No file has two or more types with a Cell Ontology id.\n")
    means = mean_over_sets(rows, methods)
    print_means(means, len(rows))
    first_six = [row for row in rows if row["set"] in FIRST_SIX]
    if len(first_six) == len(FIRST_SIX):
        print_means(mean_over_sets(first_six, methods), len(first_six))
    if skipped:
        print(f"\nSkipped, fewer than two types with a Cell Ontology id: {', '.join(skipped)}.")
    if args.json:
        record = provenance_record(
            "benchmark zero-shot",
            model=model.name,
            weights_sha256=model.fingerprint,
            marker_table_sha256=fingerprint(args.markers / MARKER_TABLE_FILE) if args.markers else None,
            methods={name: METHODS[name] for name in methods},
            rows=rows,
            skipped=skipped,
            over_sets=to_values(means),
        )
        write_json(args.json, record)


def score_file(
    file: Path, model: Embedder, markers: MarkerMethod | None, extended: Embedder | None
) -> dict[str, Any] | None:
    """Annotate a file with each method and score it; None if it has fewer than two types with an id.

    Parameters
    ----------
    extended
        The model with the user's marker tables.
    """
    start = time.perf_counter()
    adata = open_cells(file)
    truth = true_types(adata)
    term_ids = sorted(set(truth.tolist()) - {""})
    if len(term_ids) < 2:
        return None
    expression, candidates = read_expression(adata), parse_candidates(term_ids)
    vectors = model.embed_cells(expression)
    fused = annotate_zero_shot(expression, candidates, model, vectors=vectors)
    predictions = {
        "fused": predicted_ids(fused),
        "similarity": predicted_ids(
            annotate_by_similarity(vectors, candidates, model, model.n_measured_genes(expression))
        ),
        "signatures": predicted_ids(
            annotate_zero_shot(expression, candidates, without_similarity(model), vectors=vectors)
        ),
    }
    predictions["unsmoothed"] = predicted_ids(
        annotate_zero_shot(expression, candidates, model, vectors=vectors, smooth=False)
    )
    if extended is not None:
        predictions["tables"] = predicted_ids(annotate_zero_shot(expression, candidates, extended, vectors=vectors))
    if markers is not None:
        predictions["markers"] = predict_by_markers(adata, term_ids, markers)
    scored = truth != ""
    scores = {name: annotation_scores(truth[scored], ids[scored]) for name, ids in predictions.items()}
    confidence = fused.prediction.confidence[scored]
    is_right = truth[scored] == predictions["fused"][scored]
    return {
        "set": file.stem,
        "sha256": fingerprint(file),
        "cells": int(scored.sum()),
        "candidates": len(term_ids),
        "scores": {name: {metric: getattr(values, metric) for metric in METRICS} for name, values in scores.items()},
        "accuracy_of_confident_half": accuracy_by_coverage(confidence, is_right)[0.5],
        "mean_confidence": float(confidence.mean()),
        "seconds": round(time.perf_counter() - start, 1),
    }


def true_types(adata: AnnData) -> NDArray[np.str_]:
    """Return the current Cell Ontology id of each cell of a file, "" where there is none."""
    if TRUE_TYPE_KEY not in adata.obs:
        return np.full(adata.n_obs, "", dtype=np.str_)
    labels = adata.obs[TRUE_TYPE_KEY].astype(str)
    current = {label: ontology("CL").current_id(label) or "" for label in labels.unique()}
    return labels.map(current).astype(str).to_numpy(dtype=np.str_)


def predicted_ids(result: ZeroShotPrediction) -> NDArray[np.str_]:
    """Return the predicted Cell Ontology id of each cell, "" for a cell without expression."""
    term_ids = np.array([candidate.term_id for candidate in result.candidates], dtype=np.str_)
    return np.where(np.isnan(result.scores[:, 0]), "", term_ids[result.prediction.best_idx])


def predict_by_markers(adata: AnnData, term_ids: list[str], markers: MarkerMethod) -> NDArray[np.str_]:
    """Return the type with the highest marker score of each cell; "" for all cells if the markers cannot be scored."""
    try:
        return markers(unlabeled_cells(adata), term_ids, 0).label
    except InputError:
        return np.full(adata.n_obs, "", dtype=np.str_)


def mean_over_sets(rows: list[dict[str, Any]], methods: list[str]) -> dict[str, dict[str, Estimate | None]]:
    """Return mean and interval over sets of each method's metrics, and of the paired differences fused minus method."""

    def values(method: str, metric: str) -> NDArray[np.float64]:
        return np.array([row["scores"][method][metric] for row in rows])

    means = {name: {metric: estimate(values(name, metric).tolist()) for metric in METRICS} for name in methods}
    differences = {
        f"fused minus {name}": {
            metric: estimate((values("fused", metric) - values(name, metric)).tolist()) for metric in METRICS
        }
        for name in methods
        if name != "fused"
    }
    return means | differences


def to_values(means: dict[str, dict[str, Estimate | None]]) -> dict[str, Any]:
    """Convert estimates to JSON values."""
    return {
        name: {metric: None if value is None else vars(value) for metric, value in metrics.items()}
        for name, metrics in means.items()
    }


def print_header(methods: list[str]) -> None:
    """Print the header of the table of sets."""
    columns = ["set", "cells", "candidates"]
    columns += [METHODS[name] for name in methods]
    columns += ["fused model, accuracy of the confident half", "fused model, mean confidence"]
    print(f"Each set: {' / '.join(METRICS.values())}.\n")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def print_row(row: dict[str, Any], methods: list[str]) -> None:
    """Print the scores of one set."""
    cells = [row["set"], f"{row['cells']:,}", str(row["candidates"])]
    cells += [" / ".join(f"{row['scores'][name][metric]:.3f}" for metric in METRICS) for name in methods]
    cells += [f"{row['accuracy_of_confident_half']:.3f}", f"{row['mean_confidence']:.3f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


def print_means(means: dict[str, dict[str, Estimate | None]], n_sets: int) -> None:
    """Print means and differences over sets with their intervals."""
    titles = METHODS | {f"fused minus {name}": f"fused model minus {title}" for name, title in METHODS.items()}
    print(
        f"\n| mean over {n_sets} sets [95 % interval] | {' | '.join(METRICS.values())} |\n|---|{'---|' * len(METRICS)}"
    )
    for name, metrics in means.items():
        sign = "+" if name.startswith("fused minus") else ""
        print(f"| {titles[name]} | {' | '.join(format_estimate(value, sign) for value in metrics.values())} |")


def format_estimate(value: Estimate | None, sign: str = "") -> str:
    """Format a mean with its interval, such as "0.712 [0.600, 0.824]"."""
    if value is None:
        return "-"
    mean = f"{value.mean:{sign}.3f}"
    return mean if value.low is None else f"{mean} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


if __name__ == "__main__":
    main()
