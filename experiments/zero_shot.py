"""Accuracy of zero-shot annotation on labelled files.

    python experiments/zero_shot.py [pbmc3k.h5ad kang_ifnb.h5ad]

The candidates of a file are its own Cell Ontology ids. Cells without an id are annotated, but not scored.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from real_cells import data_folder
from sklearn.metrics import accuracy_score, f1_score

import okrcell as okr
from okrcell.cells.io import open_cells
from okrcell.provenance import provenance_record

TRUE_TYPE_KEY = "cell_type_ontology_term_id"


def main() -> None:
    """Print a Markdown table: accuracy, macro-F1, and accuracy of the most confident half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", type=Path, help="write the results with their provenance")
    args = parser.parse_args()

    if not args.files and (data := data_folder()):
        args.files = sorted((data / "evaluate").glob("*.h5ad"))
    if not args.files:
        parser.exit(0, "No labelled files: give some, or set OKRCELL_DATA to a folder with evaluate/*.h5ad.\n")
    model = okr.load(args.model)
    print("| set | cells | candidates | accuracy | macro-F1 | accuracy, confident half | mean confidence |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for file in args.files:
        adata = open_cells(file)
        truth = adata.obs[TRUE_TYPE_KEY].astype(str).replace({"nan": "", "unknown": ""})
        candidates = sorted(set(truth) - {""})
        if len(candidates) < 2:
            print(f"| {file.stem} | {adata.n_obs:,} | {len(candidates)} | - | - | - | - |")
            continue
        okr.tl.annotate(adata, model, candidates=candidates)
        mask = (truth != "").to_numpy()
        answer = adata.obs[f"okrcell_{TRUE_TYPE_KEY}"].astype(str)[mask]
        truth, confidence = truth[mask], adata.obs["okrcell_confidence"].to_numpy()[mask]
        most_confident = np.argsort(-confidence, kind="stable")[: len(truth) // 2]
        row = {
            "set": file.stem,
            "cells": int(mask.sum()),
            "candidates": len(candidates),
            "accuracy": accuracy_score(truth, answer),
            "macro_f1": f1_score(truth, answer, average="macro", zero_division=0),
            "accuracy_of_confident_half": accuracy_score(truth.iloc[most_confident], answer.iloc[most_confident]),
            "mean_confidence": float(confidence.mean()),
        }
        rows.append(row)
        print(
            "| "
            + " | ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
            + " |"
        )
    means = {name: float(np.mean([row[name] for row in rows])) for name in ("accuracy", "macro_f1")}
    print(f"| mean | | | {means['accuracy']:.3f} | {means['macro_f1']:.3f} | | |")
    if args.json:
        facts = provenance_record("benchmark zero-shot", model=model.name, weights_sha256=model.fingerprint, rows=rows)
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
