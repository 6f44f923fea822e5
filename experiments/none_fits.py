"""Confidence when no candidate fits: candidates of another organ, compared with the right candidates.

    python experiments/none_fits.py [--model MODEL] [--json docs/results/none-fits.json] [--baseline OTHER.json]

Each set is annotated with its own cell types, and with the cell types of other organs, without those that are equal to,
broader or narrower than a type of the set. Every cell is then wrong, and none should be "confident". ``--baseline`` reads the
confident right cells of an earlier model from its --json file; the script then prints how many of them are still confident.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from real_cells import data_folder

import okrcell as okr
from okrcell.cells.expression import Expression, read_expression
from okrcell.cells.io import open_cells
from okrcell.metrics.annotation import expected_calibration_error
from okrcell.model.embedder import Embedder
from okrcell.ontology.relations import is_descendant, related
from okrcell.provenance import provenance_record
from okrcell.tasks.candidates import parse_candidates
from okrcell.tasks.zero_shot import annotate_zero_shot

SETS = (
    "pbmc3k", "kang_ifnb", "segerstolpe_pancreas", "he2020_liver", "puram_hnscc", "zilionis_nsclc", "kang_pbmc_8donors",
    "xin_pancreas", "wang_pancreas", "grun_pancreas", "ding_pbmc", "pbmc_3chem", "prostate_cancer",
)  # fmt: skip
ORGANS = {
    "blood": (
        "CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell", "B cell", "natural killer cell",
        "classical monocyte", "plasmacytoid dendritic cell", "platelet", "erythrocyte",
    ),
    "brain": (
        "neuron", "astrocyte", "oligodendrocyte", "oligodendrocyte precursor cell", "microglial cell", "ependymal cell",
    ),
    "heart": ("cardiac muscle cell", "cardiac endothelial cell", "pericyte", "epicardial adipocyte", "smooth muscle cell"),
    "islets": (
        "type B pancreatic cell", "pancreatic A cell", "pancreatic D cell", "PP cell", "pancreatic acinar cell",
        "pancreatic ductal cell", "pancreatic stellate cell",
    ),
    "kidney": (
        "epithelial cell of proximal tubule", "podocyte", "kidney collecting duct principal cell",
        "kidney collecting duct intercalated cell", "kidney loop of Henle thick ascending limb epithelial cell",
        "mesangial cell",
    ),
    "liver": ("hepatocyte", "cholangiocyte", "hepatic stellate cell", "Kupffer cell", "endothelial cell of hepatic sinusoid"),
    "retina": (
        "retinal rod cell", "retinal cone cell", "Mueller cell", "retinal bipolar neuron", "amacrine cell",
        "retinal ganglion cell",
    ),
}  # fmt: skip
"""Cell types that a user would list for an organ."""


def confident_cells(
    expression: Expression, vectors: np.ndarray, candidates: list[str], model: Embedder
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the Cell Ontology id predicted for each cell, whether it is confident, and its confidence."""
    parsed = parse_candidates(candidates)
    result = annotate_zero_shot(expression, parsed, model, vectors=vectors)
    ids = np.array([candidate.term_id for candidate in parsed], dtype=object)
    return ids[result.prediction.best_idx], result.prediction.status == "confident", result.prediction.confidence


def measure_set(path: Path, model: Embedder) -> list[dict[str, Any]]:
    """Annotate one set with its own types and with those of every other organ; one row each."""
    adata = open_cells(path)
    expression = read_expression(adata)
    vectors = model.embed_cells(expression)
    truth = adata.obs["cell_type_ontology_term_id"].astype(str).to_numpy()
    types = sorted({term_id for term_id in truth if term_id.startswith("CL:")})
    predicted, confident, confidence = confident_cells(expression, vectors, types, model)
    descends = is_descendant(types, types)
    index = {term_id: i for i, term_id in enumerate(types)}
    labeled = np.array([term_id in index for term_id in truth])
    right = np.zeros(len(truth), dtype=bool)
    right[labeled] = [
        bool(descends[index[true], index[answer]])
        for true, answer in zip(truth[labeled], predicted[labeled], strict=True)
    ]
    rows = [
        {"set": path.stem, "candidates": "its own", "n_candidates": len(types), "cells": int(labeled.sum()),
         "confident": float(confident[labeled].mean()), "accuracy": float(right[labeled].mean()),
         "mean_confidence": float(confidence[labeled].mean()),
         "ece": expected_calibration_error(confidence[labeled], right[labeled]),
         "confident_right": np.flatnonzero(confident & right).tolist(),
         "confident_wrong": float((confident & ~right)[labeled].mean())}
    ]  # fmt: skip
    for organ, names in ORGANS.items():
        term_ids = [candidate.term_id for candidate in parse_candidates(list(names))]
        foreign = [name for name, term_id in zip(names, term_ids, strict=True) if not related([term_id], types).any()]
        if len(foreign) < max(3, len(names) - 3):
            continue  # an organ of this set
        _, is_confident, _ = confident_cells(expression, vectors, foreign, model)
        rows.append({"set": path.stem, "candidates": organ, "n_candidates": len(foreign), "cells": adata.n_obs,
                     "confident": float(is_confident.mean())})  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the results with their provenance")
    parser.add_argument("--baseline", type=Path, help="results of an earlier model")
    parser.add_argument("--sets", nargs="*", default=SETS, help="names of sets; default: thirteen evaluate sets")
    parser.add_argument("--model", type=Path, help="model folder; default: the bundled model")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        print("Skipped: there are no data sets. Set OKRCELL_DATA to a folder with evaluate/*.h5ad.")
        return
    model = okr.load(options.model)
    rows: list[dict[str, Any]] = []
    earlier = {}
    if options.baseline:
        earlier = {
            row["set"]: row["confident_right"]
            for row in json.loads(options.baseline.read_text())["rows"]
            if row["candidates"] == "its own"
        }
    for name in options.sets:
        path = next(folder.glob(f"*/{name}.h5ad"))
        for row in measure_set(path, model):
            if row["candidates"] == "its own" and name in earlier:
                row["still_confident"] = float(np.isin(earlier[name], row["confident_right"]).mean())
            rows.append(row)
            values = {key: value for key, value in row.items() if key != "confident_right"}
            print(
                {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()},
                flush=True,
            )
    other = [
        np.mean([row["confident"] for row in rows if row["set"] == name and row["candidates"] != "its own"])
        for name in options.sets
    ]
    print(f"confident with candidates of another organ: mean over sets {np.mean(other):.3f}, largest {max(other):.3f}")
    calibration_errors = [row["ece"] for row in rows if row["candidates"] == "its own"]
    print(
        f"ECE with its own types: mean over sets {np.mean(calibration_errors):.3f}, largest {max(calibration_errors):.3f}"
    )
    if earlier:
        still = np.mean([row["still_confident"] for row in rows if "still_confident" in row])
        print(f"confident right cells of the baseline that are still confident: mean over sets {still:.3f}")
    if options.json:
        record = provenance_record("experiment none_fits", model=model.name, weights_sha256=model.fingerprint)
        options.json.write_text(json.dumps({**record, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
