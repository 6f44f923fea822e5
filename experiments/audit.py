"""Detection and correction of wrong labels by the audit, compared with baselines.

    python experiments/audit.py [--json docs/results/audit.json] [FILES...]
    python experiments/audit.py --whole-types [--json docs/results/audit-whole-types.json] [FILES...]

Wrong labels are injected in files of real cells (`okrcell.data.label_noise`) and detected by the audit, by confident learning
(arXiv 1911.00068: logistic regression on principal components, out of fold), by nearest neighbours, and by similarity of cells
and label texts. Labels changed to a broader or narrower type of the same cells are not scored: they are no errors.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from audit_whole_types import measure, print_whole_types
from real_cells import data_folder
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

import okrcell as okr
from okrcell.data.corpus import Corpus
from okrcell.data.dataset import PairDataset
from okrcell.data.label_noise import NoiseSettings, add_noise
from okrcell.data.prepare import prepare
from okrcell.errors import OkrcellError
from okrcell.model.embedder import Embedder
from okrcell.ontology.relations import related
from okrcell.provenance import provenance_record
from okrcell.tasks.audit_corpus import corpus_expression
from okrcell.tasks.audit_study import pca_features
from okrcell.tasks.classifier import assign_folds, cross_val_predict_proba
from okrcell.tasks.label_errors import AuditSettings, audit_labels, match_probability
from okrcell.tasks.labels import StudyLabels

HELD_OUT = (
    "breast_normal_scdeconr", "tirosh_melanoma_chetah", "marrow_triana_scuba", "tcells_compocyte",
    "camp_fetal_neocortex_soup",
)  # fmt: skip
"""Studies that the bundled model was not trained on (configs/mini.yaml)."""
AVERAGES = ("hcl_pseudobulk", "hema_bulk", "cbmc_pseudobulk")
OVERLAPPING = ("baron_pancreas_2000g", "baron_pancreas_h4", "zheng_scn_pbmc", "onek1k_bcell_scdesignpop")
"""Files that share cells or donors with another evaluated file."""
NOISE = (("shuffled", 0.1), ("shuffled", 0.3), ("sibling", 0.1), ("sibling", 0.3), ("exchanged names", 1.0))
MIN_LABELED_CELLS = 80
"""Minimum number of labelled cells of a study."""


@dataclass
class AuditStudy:
    """Inputs shared by all methods."""

    name: str
    part: str
    pairs: PairDataset
    rows: np.ndarray
    cells: np.ndarray
    pcs: np.ndarray
    labels: StudyLabels
    vectors: np.ndarray
    donor: np.ndarray


def main() -> None:
    """Print a Markdown table for each part: AUROC, average precision, corrected labels, flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "files", nargs="*", type=Path, help="labelled files; default: pretrain/ and evaluate/ of the data"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of draws of wrong labels; default: 3")
    parser.add_argument("--cells", type=int, default=1_000, help="maximum number of cells per file, drawn at random")
    parser.add_argument("--json", type=Path, help="write the results with their provenance")
    parser.add_argument("--whole-types", action="store_true", help="names that are wrong for all cells of a type")
    parser.add_argument("--picture", type=Path, help="draw the results of a --json file, without measuring")
    args = parser.parse_args()
    if args.picture:
        draw(json.loads(args.json.read_text(encoding="utf-8"))["rows"], args.picture)
        return
    data = data_folder()
    if not args.files and data is not None:
        left_out = {*AVERAGES, *OVERLAPPING}
        args.files = [file for file in sorted((data / "pretrain").glob("*.h5ad")) if file.stem not in left_out]
        args.files += sorted((data / "evaluate").glob("*.h5ad"))
    if not args.files:
        parser.exit(0, "No labelled files: give some, or set OKRCELL_DATA to a folder with pretrain/ and evaluate/.\n")
    model, rows, start = okr.load(), [], time.perf_counter()
    if args.whole_types:
        rows = measure(args.files, HELD_OUT, model, args.seeds)
        print_whole_types(rows)
        if args.json:
            write_rows(args.json, "benchmark audit of whole types", model, rows)
        return
    with tempfile.TemporaryDirectory() as folder:
        for i, file in enumerate(args.files, start=1):
            file_start = time.perf_counter()
            study = open_study(file, Path(folder), model, args.cells)
            if study is None:
                print(
                    f"{i}/{len(args.files)} {file.stem} is skipped: fewer than {MIN_LABELED_CELLS} labelled cells, or fewer "
                    "than two labels",
                    flush=True,
                )
                continue
            for kind, rate in NOISE:
                rows += [row for seed in range(args.seeds) for row in score_methods(study, kind, rate, seed)]
            seconds = time.perf_counter() - file_start
            print(
                f"{i}/{len(args.files)} {study.name}: {len(study.rows):,} cells, {len(study.labels.names)} labels, "
                f"{seconds:.0f} s",
                flush=True,
            )
    for part in dict.fromkeys(row["part"] for row in rows):
        print(f"\n**{part}**\n")
        print_table([row for row in rows if row["part"] == part])
    print(f"\n{time.perf_counter() - start:.0f} s")
    if args.json:
        settings = AuditSettings().model_dump(mode="json")
        write_rows(args.json, "benchmark audit", model, rows, settings=settings, cells=args.cells)


def write_rows(path: Path, name: str, model: Embedder, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Write the results with their provenance."""
    record = provenance_record(name, model=model.name, weights_sha256=model.fingerprint, **facts, rows=rows)
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")


def open_study(file: Path, folder: Path, model: Embedder, max_cells: int) -> AuditStudy | None:
    """Prepare a file, draw labelled cells, and embed them; None if there are too few."""
    corpus_folder = folder / file.parent.name / file.stem
    corpus_folder.parent.mkdir(exist_ok=True)
    try:
        prepare([file], corpus_folder)
    except OkrcellError:
        return None
    corpus = Corpus.open(corpus_folder)
    pairs = PairDataset.from_corpus(corpus)
    labeled_rows = np.flatnonzero(pairs.has_text)
    rows = np.sort(np.random.default_rng(0).permutation(labeled_rows)[:max_cells])
    type_codes, label_index = np.unique(pairs.cell_type[pairs.description[rows]], return_inverse=True)
    if len(rows) < MIN_LABELED_CELLS or len(type_codes) < 2:
        return None
    expression = corpus_expression(corpus, rows)
    names = tuple(pairs.cell_type_names[type_code] for type_code in type_codes)
    labels = StudyLabels(label_index.astype(np.int64), names, names)
    part = "held out" if file.stem in HELD_OUT else "evaluate" if file.parent.name == "evaluate" else "learned from"
    donor = corpus.obs["donor"].astype(str).to_numpy()[rows]
    cells = model.embed_cells(expression)
    return AuditStudy(
        file.stem, part, pairs, rows, cells, pca_features(expression), labels, labels.vectors(model), donor
    )  # fmt: skip


def score_methods(study: AuditStudy, noise_kind: str, rate: float, seed: int) -> list[dict[str, Any]]:
    """Inject one kind of noise, and score every method; an empty list if the noise is not applicable."""
    truth = study.labels.label_idx
    labels = noisy_labels(study, noise_kind, rate, seed)
    if labels is None:
        return []
    is_related = related(study.labels.names)
    is_scored = (labels == truth) | ~is_related[truth, labels]
    wrong = (labels != truth) & is_scored
    if wrong.sum() < 5 or wrong[is_scored].all():
        return []
    rows = []
    for method, (trust, likely, flagged) in run_methods(study, labels, is_related, seed).items():
        rows.append({
            "study": study.name, "part": study.part, "noise": noise_kind, "rate": rate, "seed": seed, "method": method,
            "cells": int(is_scored.sum()), "wrong": int(wrong.sum()),
            "auroc": float(roc_auc_score(wrong[is_scored], -trust[is_scored])),
            "average_precision": float(average_precision_score(wrong[is_scored], -trust[is_scored])),
            "right_name": float(np.mean(likely[wrong] == truth[wrong])),
            "flagged": int(flagged[is_scored].sum()), "flagged_wrong": int(flagged[wrong].sum()),
            "expected_wrong": float(np.sum(1 - trust[is_scored])),
        })  # fmt: skip
    return rows


def noisy_labels(study: AuditStudy, kind: str, rate: float, seed: int) -> np.ndarray | None:
    """Return the labels with noise; None if the noise is not applicable."""
    truth = study.labels.label_idx
    if kind == "exchanged names":
        common = np.flatnonzero(np.bincount(truth) >= 10)
        if len(common) < 3:
            return None
        first_label, second_label = np.random.default_rng(seed).permutation(common)[:2]
        changed = np.arange(len(study.labels.names))
        changed[[first_label, second_label]] = second_label, first_label
        return changed[truth]
    try:
        noisy_pairs = add_noise(study.pairs, study.rows, NoiseSettings(kind=kind, rate=rate, seed=seed)).dataset
    except OkrcellError:
        return None
    type_codes = noisy_pairs.cell_type[noisy_pairs.description[study.rows]]
    names = {name: i for i, name in enumerate(study.labels.names)}
    return np.array([names[noisy_pairs.cell_type_names[type_code]] for type_code in type_codes], dtype=np.int64)


def run_methods(
    study: AuditStudy, labels: np.ndarray, is_related: np.ndarray, seed: int
) -> dict[str, tuple[np.ndarray, ...]]:
    """Return for each method the trust in each label, the most likely label, and the flagged labels."""
    cells, pcs, count = study.cells, study.pcs, len(study.labels.names)
    row, rng = np.arange(len(labels)), np.random.default_rng(seed)
    results = {}

    def run_audit(name: str, groups: np.ndarray | None = None, **changes: Any) -> None:
        settings = AuditSettings(seed=seed, **changes)
        result = audit_labels(cells, pcs, study.vectors, labels, is_related, groups, settings)
        results[name] = (np.nan_to_num(result.trust), result.most_likely, result.doubtful)

    run_audit("audit")
    if seed == 0:
        run_audit("audit without texts", words=(0.0,))
        run_audit("audit without refits", rounds=0)
        if len(np.unique(study.donor)) >= 3:
            run_audit("audit, folds of donors", groups=study.donor)
    probability = cross_val_predict_proba(
        pcs, labels, np.ones(len(labels)), assign_folds(labels, None, rng), count, rng
    )
    results["confident learning"] = (
        probability[row, labels],
        probability.argmax(axis=1),
        off_diagonal(probability, labels),
    )
    neighbors = NearestNeighbors(n_neighbors=16).fit(pcs).kneighbors(pcs, return_distance=False)[:, 1:]
    votes = np.stack([(labels[neighbors] == label).mean(axis=1) for label in range(count)], axis=1)
    results["15 neighbours"] = (votes[row, labels], votes.argmax(axis=1), votes.argmax(axis=1) != labels)
    agreement_scores = np.nan_to_num(match_probability(cells, study.vectors, np.bincount(labels, minlength=count)))
    results["text only"] = (
        agreement_scores[row, labels],
        agreement_scores.argmax(axis=1),
        agreement_scores.argmax(axis=1) != labels,
    )
    return results


def off_diagonal(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Flag the off-diagonal cells of the confident joint (confident learning, section 3.1)."""
    mean = [
        probability[labels == label, label].mean() if (labels == label).any() else 2
        for label in range(probability.shape[1])
    ]
    passed = np.where(probability >= np.array(mean), probability, -1)
    return (passed.max(axis=1) >= 0) & (passed.argmax(axis=1) != labels)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the mean over seeds, then over studies, of each method for each kind of noise."""
    columns = ("AUROC", "average precision", "corrected labels", "precision of flags", "recall of flags")
    print("| noise | studies | method | " + " | ".join(columns) + " |")
    print("|---|---:|---" + "|---:" * len(columns) + "|")
    figures_by_method = defaultdict(lambda: defaultdict(list))
    for row in rows:
        n_caught = row["flagged_wrong"]
        precision = n_caught / row["flagged"] if row["flagged"] else np.nan
        figures = (row["auroc"], row["average_precision"], row["right_name"], precision, n_caught / row["wrong"])
        figures_by_method[row["noise"], row["rate"], row["method"]][row["study"]].append(figures)
    with warnings.catch_warnings():
        # Precision is undefined for a study without any flagged label.
        warnings.simplefilter("ignore", RuntimeWarning)
        for (noise, rate, method), studies in figures_by_method.items():
            mean = np.nanmean([np.nanmean(figures_of_study, axis=0) for figures_of_study in studies.values()], axis=0)
            noise_title = noise if rate == 1 else f"{noise} {rate:.0%}"
            print(
                f"| {noise_title} | {len(studies)} | {method} | " + " | ".join(f"{value:.3f}" for value in mean) + " |"
            )


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the average precision of each method: a faint dot per study, a strong dot for their mean."""
    from matplotlib.figure import Figure

    from okrcell.pl._canvas import PALETTE
    from okrcell.storage import atomic_file

    parts = [part for part in ("learned from", "held out", "evaluate") if any(row["part"] == part for row in rows)]
    order = ("text only", "15 neighbours", "confident learning", "audit")
    noises = NOISE[:4]
    figure = Figure(figsize=(11, 1.1 + 1.5 * len(parts)), layout="constrained")
    axes = figure.subplots(len(parts), len(noises), sharex=True, sharey=True, squeeze=False)
    for (line, part), (column, (noise, rate)) in product(enumerate(parts), enumerate(noises)):
        ax = axes[line, column]
        for y, method in enumerate(order):
            values_by_study = defaultdict(list)
            for row in rows:
                if (row["part"], row["noise"], row["rate"], row["method"]) == (part, noise, rate, method):
                    values_by_study[row["study"]].append(row["average_precision"])
            means = [float(np.mean(values)) for values in values_by_study.values()]
            color = PALETTE[0] if method == "audit" else PALETTE[2]
            ax.scatter(means, [y] * len(means), s=14, color=color, alpha=0.3, linewidths=0)
            ax.scatter([np.mean(means)], [y], s=60, color=color, edgecolors="white", zorder=3)
            ax.annotate(f"{np.mean(means):.2f}", (np.mean(means), y), (0, 7), textcoords="offset points",
                        ha="center", fontsize=7.5)  # fmt: skip
        ax.set_yticks(range(len(order)), order, fontsize="small")
        ax.set_xlim(0, 1.04)
        ax.set_ylim(-0.5, len(order) - 0.2)
        ax.grid(axis="x", color="#E4E4E0", linewidth=0.7)
        ax.set_axisbelow(True)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(length=0, labelsize="small")
        if line == 0:
            ax.set_title(f"{noise}, {rate:.0%}", loc="left", fontsize="medium")
        if column == 0:
            ax.set_ylabel(part, fontsize="small")
    figure.supxlabel("average precision of wrong label detection (faint: a study, mean of seeds; strong: mean of studies)",
                     fontsize="small")  # fmt: skip
    with atomic_file(path) as draft:
        figure.savefig(draft, dpi=150)


if __name__ == "__main__":
    main()
