"""Accuracy of zero-shot annotation with candidates by everyday names, beside candidates by Cell Ontology ids.

    python experiments/everyday_names.py [--json docs/results/everyday-names.json]

Each style gives every true type of a set a name and the id that the name means. Candidates are the names (`names`), the
meant ids (`ids`), or the names as free text, not resolved to terms (`text`). The true type of a cell is the meant id.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from real_cells import data_folder
from zero_shot import true_types

import okrcell as okr
from okrcell.benchmarking.datasets.wordings import read_everyday_names
from okrcell.cells.expression import read_expression
from okrcell.cells.io import open_cells
from okrcell.model.embedder import Embedder
from okrcell.ontology.obs_profile import single_tissue
from okrcell.provenance import fingerprint, provenance_record, write_json
from okrcell.tasks.candidates import Candidate, parse_candidates, resolve_candidates
from okrcell.tasks.zero_shot import annotate_zero_shot

SETS = (
    "wang_pancreas", "xin_pancreas", "segerstolpe_pancreas", "grun_pancreas", "pbmc3k", "kang_ifnb", "kang_pbmc_8donors",
)  # fmt: skip
ISLETS = {
    "CL:0000171": "alpha", "CL:0000169": "beta", "CL:0000173": "delta", "CL:0002275": "gamma", "CL:0005019": "epsilon",
    "CL:0002064": "acinar", "CL:0002079": "ductal", "CL:0000115": "endothelial", "CL:0002410": "activated_stellate",
    "CL:0002573": "schwann", "CL:0000235": "immune=CL:0000738", "CL:0000097": "immune=CL:0000738",
}  # fmt: skip
ISLET_CELLS = {
    "CL:0000171": "alpha cells", "CL:0000169": "beta cells", "CL:0000173": "delta cells", "CL:0002275": "gamma cells",
    "CL:0005019": "epsilon cells", "CL:0002064": "acinar cells", "CL:0002079": "ductal cells",
    "CL:0000115": "endothelial cells", "CL:0002410": "stellate cells", "CL:0002573": "Schwann cells",
    "CL:0000235": "macrophages", "CL:0000097": "mast cells",
}  # fmt: skip
STYLES: dict[str, dict[str, str]] = {
    "Azimuth level 1": ISLETS | {
        "CL:0000236": "B", "CL:0001054": "Mono=CL:0000576", "CL:0002396": "Mono=CL:0000576", "CL:0000625": "CD8 T",
        "CL:0000895": "CD4 T=CL:0000624", "CL:0000897": "CD4 T=CL:0000624", "CL:0000896": "CD4 T=CL:0000624",
        "CL:0000624": "CD4 T", "CL:0000623": "NK", "CL:0000451": "DC", "CL:0000784": "DC=CL:0000451",
        "CL:0000233": "Platelet", "CL:0000556": "Platelet=CL:0000233", "CL:0000232": "Eryth",
    },
    "Azimuth level 2": ISLETS | {
        "CL:0000236": "B naive=CL:0000788", "CL:0001054": "CD14 Mono", "CL:0002396": "CD16 Mono",
        "CL:0000625": "CD8 TEM=CL:0000913", "CL:0000895": "CD4 Naive", "CL:0000897": "CD4 TCM=CL:0000904",
        "CL:0000896": "CD4 TEM=CL:0000905", "CL:0000624": "CD4 TCM=CL:0000904", "CL:0000623": "NK",
        "CL:0000451": "cDC2=CL:0002399", "CL:0000784": "pDC", "CL:0000233": "Platelet", "CL:0000556": "Platelet=CL:0000233",
        "CL:0000232": "Eryth",
    },
    "CellTypist": ISLET_CELLS | {
        "CL:0000236": "B cells", "CL:0001054": "Classical monocytes=CL:0000860",
        "CL:0002396": "Non-classical monocytes=CL:0000875", "CL:0000625": "Tem/Trm cytotoxic T cells=CL:0000910",
        "CL:0000895": "Tcm/Naive helper T cells=CL:0000912", "CL:0000897": "Tem/Effector helper T cells=CL:0000912",
        "CL:0000896": "Tem/Effector helper T cells=CL:0000912", "CL:0000624": "Tcm/Naive helper T cells=CL:0000912",
        "CL:0000623": "CD16+ NK cells=CL:0000939", "CL:0000451": "DC2=CL:0002399", "CL:0000784": "pDC",
        "CL:0000233": "Megakaryocytes/platelets=CL:0000556", "CL:0000556": "Megakaryocytes/platelets",
        "CL:0000232": "Erythrocytes",
    },
    "plain English": dict(read_everyday_names()),
}  # fmt: skip
"""Name of each true type by style; "name=id" where the name means another term."""


def main() -> None:
    """Print a Markdown table of accuracies by set and style."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model folder; default: the bundled model")
    parser.add_argument("--cells", type=int, default=3000, help="maximum number of cells of a set, evenly spread")
    parser.add_argument("--json", type=Path, help="output file: results with their provenance")
    args = parser.parse_args()
    data = data_folder()
    files = [] if data is None else [path for name in SETS if (path := data / "evaluate" / f"{name}.h5ad").exists()]
    if not files:
        parser.exit(0, "No labelled files: set OKRCELL_DATA to a folder with evaluate/*.h5ad.\n")
    model = okr.load(args.model)
    rows: list[dict[str, Any]] = []
    print("| set | cells | style | ids | names | difference | text | names not resolved |")
    print("|---|---:|---|---:|---:|---:|---:|---|")
    for file in files:
        for row in score_set(spread_cells(open_cells(file), args.cells), model):
            rows.append({"set": file.stem, "sha256": fingerprint(file), **row})
            difference = 100 * (row["names"] - row["ids"])
            print(
                f"| {file.stem} | {row['cells']:,} | {row['style']} | {row['ids']:.3f} | {row['names']:.3f} | "
                f"{difference:+.1f} | {row['text']:.3f} | {', '.join(row['unresolved']) or 'none'} |",
                flush=True,
            )
    print(f"\nWeights sha256: {model.fingerprint}")
    if args.json:
        facts = provenance_record("benchmark everyday names", weights_sha256=model.fingerprint, rows=rows)
        write_json(args.json, facts)


def spread_cells(adata: AnnData, n_cells: int) -> AnnData:
    """Return at most ``n_cells`` cells, evenly spread over the file, in memory."""
    rows = np.unique(np.linspace(0, adata.n_obs - 1, min(n_cells, adata.n_obs)).astype(np.intp))
    return adata[rows].to_memory()


def score_set(adata: AnnData, model: Embedder) -> list[dict[str, Any]]:
    """Annotate a set by the ids and by the names of each style."""
    truth, tissue_id = true_types(adata), single_tissue(pd.DataFrame(adata.obs))
    expression = read_expression(adata)
    vectors = model.embed_cells(expression)
    best_by_candidates: dict[tuple[tuple[str, tuple[str, ...]], ...], np.ndarray] = {}

    def accuracy(candidates: list[Candidate], meant: np.ndarray, id_of: dict[str, str]) -> float:
        # The names of candidates do not influence their scores.
        key = tuple((candidate.term_id, candidate.texts) for candidate in candidates)
        if key not in best_by_candidates:
            prediction = annotate_zero_shot(expression, candidates, model, vectors=vectors).prediction
            best_by_candidates[key] = prediction.best_idx
        predicted = np.array([id_of[candidate.name] for candidate in candidates])[best_by_candidates[key]]
        return float((predicted[truth != ""] == meant[truth != ""]).mean())

    rows: list[dict[str, Any]] = []
    for style, names in STYLES.items():
        entries = {term_id: names[term_id].partition("=") for term_id in sorted(set(truth.tolist()) - {""})}
        meant_id = {term_id: meant or term_id for term_id, (_, _, meant) in entries.items()}
        id_of_name = {name: meant_id[term_id] for term_id, (name, _, _) in entries.items()}
        meant = np.array([meant_id.get(term_id, "") for term_id in truth.tolist()])
        by_id = parse_candidates(list(dict.fromkeys(meant_id.values())))
        resolved = resolve_candidates(list(id_of_name), tissue_id).candidates
        rows.append({
            "style": style,
            "cells": int((truth != "").sum()),
            "ids": accuracy(by_id, meant, {candidate.name: candidate.term_id for candidate in by_id}),
            "names": accuracy(resolved, meant, id_of_name),
            "text": accuracy([Candidate(name, "", (name,)) for name in id_of_name], meant, id_of_name),
            "unresolved": [candidate.name for candidate in resolved if not candidate.term_id],
            "resolved_otherwise": [
                f"{candidate.name} -> {candidate.term_id}"
                for candidate in resolved
                if candidate.term_id not in ("", id_of_name[candidate.name])
            ],
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
