"""Effect of enriched texts in pretraining.

    python experiments/enriched_texts.py --corpus CORPUS --descriptions CORPUS/descriptions.parquet -o RUNS [--seeds 0 1 2]

Trains the settings of the bundled model (configs/mini.yaml) once per arm and seed, on the same cells, steps and held-out
studies; only the texts differ. Each model is evaluated on labelled files that it was not trained on: zero-shot accuracy and
macro-F1 with the file's Cell Ontology ids as candidates, and retrieval of the cells of a type by its definition without its
name (AUROC, mean over types). Finished runs are not trained again.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
from real_cells import data_folder
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

import okrcell as okr
from okrcell.cells.io import open_cells
from okrcell.model.embedder import Embedder
from okrcell.ontology.ontology import ontology
from okrcell.provenance import fingerprint, provenance_record
from okrcell.settings import load_settings
from okrcell.training.settings import PretrainSettings

ARMS = {
    "original": {"mix": "original"},
    "sample": {"mix": "sample", "share": 0.5},
    "enriched": {"mix": "enriched"},
}
CONFIG = Path(__file__).parents[1] / "configs" / "mini.yaml"
METRICS = ("accuracy", "macro_f1", "auroc")
TRUE_TYPE_KEY = "cell_type_ontology_term_id"


def main() -> None:
    """Print a Markdown table: mean and range over seeds of each metric, for each arm; write all results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--descriptions", type=Path)
    parser.add_argument("--output", "-o", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["original", "sample"])
    parser.add_argument("--files", nargs="*", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not (args.corpus and args.descriptions and args.output):
        parser.exit(
            0,
            "Nothing to train on: give --corpus, --descriptions and -o. Training takes about six minutes per model.\n",
        )
    files = args.files or sorted(((data_folder() or Path()) / "evaluate").glob("*.h5ad"))
    if not files:
        parser.exit(0, "No labelled files: give some, or set OKRCELL_DATA to a folder with evaluate/*.h5ad.\n")

    rows = []
    for seed in args.seeds:
        for arm in args.arms:
            model = train_model(args, arm, seed)
            for row in score_model(model, files):
                rows.append({"arm": arm, "seed": seed, **row})
    print(f"| texts | {' | '.join(METRICS)} |\n|---|" + "---|" * len(METRICS))
    for arm in args.arms:
        by_seed = [[row for row in rows if row["arm"] == arm and row["seed"] == seed] for seed in args.seeds]
        figures = {name: [float(np.mean([row[name] for row in values])) for values in by_seed] for name in METRICS}
        cells = [f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" for values in figures.values()]
        print(f"| {arm} | {' | '.join(cells)} |")
    if args.json:
        facts = {"descriptions": fingerprint(args.descriptions), "config": CONFIG.name, "rows": rows}
        args.json.write_text(
            json.dumps(provenance_record("benchmark enriched texts", **facts), indent=1) + "\n", encoding="utf-8"
        )


def train_model(args: argparse.Namespace, arm: str, seed: int) -> Path:
    """Train one model unless it exists; return its folder."""
    run = args.output / f"{arm}_{seed}"
    model = run / "model"
    if not model.exists():
        settings = load_settings(PretrainSettings, CONFIG, corpus=args.corpus, output=run, seed=seed)
        stream = settings.stream.model_copy(update={"seed": seed})
        texts = settings.texts.model_copy(update={"descriptions": args.descriptions, **ARMS[arm]})
        okr.pretrain(settings.model_copy(update={"texts": texts, "stream": stream}), resume=(run / "latest").exists())
        print(f"trained {run.name}", flush=True)
    return model


def score_model(path: Path, files: list[Path]) -> list[dict]:
    """Score one model on each file that has two Cell Ontology ids or more."""
    model, rows = okr.load(path), []
    for file in files:
        adata = open_cells(file)
        truth = adata.obs[TRUE_TYPE_KEY].astype(str).replace({"nan": "", "unknown": ""}).to_numpy()
        candidates, mask = sorted(set(truth) - {""}), truth != ""
        if len(candidates) < 2:
            continue
        okr.tl.annotate(adata, model, candidates=candidates)
        answer = adata.obs[f"okrcell_{TRUE_TYPE_KEY}"].astype(str).to_numpy()
        vectors = np.nan_to_num(adata.obsm["X_okrcell"][mask])
        rows.append(
            {
                "set": file.stem,
                "cells": int(mask.sum()),
                "candidates": len(candidates),
                "accuracy": accuracy_score(truth[mask], answer[mask]),
                "macro_f1": f1_score(truth[mask], answer[mask], average="macro", zero_division=0),
                "auroc": float(
                    np.mean([_definition_auroc(vectors, truth[mask] == term, term, model) for term in candidates])
                ),
            }
        )
    return rows


def _definition_auroc(vectors: np.ndarray, is_type: np.ndarray, term_id: str, model: Embedder) -> float:
    """AUROC of the similarity to the definition without the type's names, cells of the type against all others."""
    term = ontology("CL").term(term_id)
    names = sorted((term.name, *term.synonyms), key=len, reverse=True)
    name_pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})s?(?!\w)"
    text = re.sub(name_pattern, "cell", term.definition or term.name, flags=re.IGNORECASE)
    return float(roc_auc_score(is_type, vectors @ model.embed_texts([text])[0]))


if __name__ == "__main__":
    main()
