"""Detection and correction of wrong labels by the audit, compared with baselines.

    python benchmarks/audit.py [--json docs/results/audit.json] [FILES...]

Wrong labels are injected in files of real cells (`okrcell.pairs.noise`) and detected by the audit, by confident learning
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
from real_cells import data_folder
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

import okrcell as okr
from okrcell.cells.corpus import Corpus
from okrcell.errors import OkrcellError
from okrcell.model.embedder import Embedder
from okrcell.pairs.kinship import kinship
from okrcell.pairs.noise import NoiseSettings, noisy
from okrcell.pairs.pair import Pairs
from okrcell.pairs.prepare import prepare
from okrcell.provenance import receipt
from okrcell.tasks.audit import AuditSettings, audit
from okrcell.tasks.auditing.agreement import agreement
from okrcell.tasks.auditing.corpus_cells import cells_of
from okrcell.tasks.auditing.directions import directions
from okrcell.tasks.auditing.other_cells import folds, foretold
from okrcell.tasks.auditing.study_labels import StudyLabels

HELD_OUT = (
    "breast_normal_scdeconr", "tirosh_melanoma_chetah", "marrow_triana_scuba", "tcells_compocyte",
    "camp_fetal_neocortex_soup",
)  # fmt: skip
"""Studies that the bundled model was not trained on (configs/mini.yaml)."""
AVERAGES = ("hcl_pseudobulk", "hema_bulk", "cbmc_pseudobulk")
OVERLAPPING = ("baron_pancreas_2000g", "baron_pancreas_h4", "zheng_scn_pbmc", "onek1k_bcell_scdesignpop")
"""Files that share cells or donors with another evaluated file."""
NOISE = (("shuffled", 0.1), ("shuffled", 0.3), ("sibling", 0.1), ("sibling", 0.3), ("exchanged names", 1.0))
FEWEST = 80
"""Minimum number of labelled cells of a study."""


@dataclass
class Study:
    """Inputs shared by all methods."""

    name: str
    part: str
    pairs: Pairs
    rows: np.ndarray
    cells: np.ndarray
    own: np.ndarray
    labels: StudyLabels
    vectors: np.ndarray
    donor: np.ndarray


def main() -> None:
    """Print a Markdown table for each part: AUROC, average precision, corrected labels, flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=1_000, help="maximum number of cells per file, drawn at random")
    parser.add_argument("--json", type=Path, help="write the results with their provenance")
    parser.add_argument("--picture", type=Path, help="draw the results of a --json file, without measuring")
    given = parser.parse_args()
    if given.picture:
        draw(json.loads(given.json.read_text(encoding="utf-8"))["rows"], given.picture)
        return
    data = data_folder()
    if not given.files and data is not None:
        left_out = {*AVERAGES, *OVERLAPPING}
        given.files = [file for file in sorted((data / "pretrain").glob("*.h5ad")) if file.stem not in left_out]
        given.files += sorted((data / "evaluate").glob("*.h5ad"))
    if not given.files:
        parser.exit(0, "No labelled files: give some, or set OKRCELL_DATA to a folder with pretrain/ and evaluate/.\n")
    model, rows, start = okr.load(), [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for file in given.files:
            study = opened(file, Path(folder), model, given.cells)
            if study is None:
                print(f"{file.stem} is skipped: fewer than {FEWEST} labelled cells, or fewer than two labels")
                continue
            for kind, rate in NOISE:
                rows += [row for seed in range(given.seeds) for row in measured(study, kind, rate, seed)]
            print(f"{study.name}: {len(study.rows):,} cells, {len(study.labels.names)} labels", flush=True)
    for part in dict.fromkeys(row["part"] for row in rows):
        print(f"\n**{part}**\n")
        tell([row for row in rows if row["part"] == part])
    print(f"\n{time.perf_counter() - start:.0f} s")
    if given.json:
        settings = AuditSettings().model_dump(mode="json")
        facts = {"model": model.name, "weights_sha256": model.fingerprint, "settings": settings, "cells": given.cells}
        given.json.write_text(json.dumps(receipt("benchmark audit", **facts, rows=rows)) + "\n", encoding="utf-8")


def opened(file: Path, folder: Path, model: Embedder, most: int) -> Study | None:
    """Prepare a file, draw labelled cells, and embed them; None if there are too few."""
    corpus_folder = folder / file.parent.name / file.stem
    corpus_folder.parent.mkdir(exist_ok=True)
    try:
        prepare([file], corpus_folder)
    except OkrcellError:
        return None
    corpus = Corpus.open(corpus_folder)
    pairs = Pairs.of(corpus)
    labelled = np.flatnonzero(pairs.described)
    rows = np.sort(np.random.default_rng(0).permutation(labelled)[:most])
    kinds, place = np.unique(pairs.cell_type[pairs.description[rows]], return_inverse=True)
    if len(rows) < FEWEST or len(kinds) < 2:
        return None
    expression = cells_of(corpus, rows)
    names = tuple(pairs.cell_type_names[kind] for kind in kinds)
    labels = StudyLabels(place.astype(np.int64), names, names)
    part = "held out" if file.stem in HELD_OUT else "evaluate" if file.parent.name == "evaluate" else "learned from"
    donor = corpus.obs["donor"].astype(str).to_numpy()[rows]
    cells = model.embed_cells(expression)
    return Study(
        file.stem, part, pairs, rows, cells, directions(expression), labels, labels.vectors(model), donor
    )  # fmt: skip


def measured(study: Study, kind: str, rate: float, seed: int) -> list[dict[str, Any]]:
    """Inject one kind of noise, and score every method; an empty list if the noise is not applicable."""
    truth = study.labels.given
    given = spoilt(study, kind, rate, seed)
    if given is None:
        return []
    related = kinship(study.labels.names)
    scored = (given == truth) | ~related[truth, given]
    wrong = (given != truth) & scored
    if wrong.sum() < 5 or wrong[scored].all():
        return []
    rows = []
    for method, (trust, likely, flagged) in methods(study, given, related, seed).items():
        rows.append({
            "study": study.name, "part": study.part, "noise": kind, "rate": rate, "seed": seed, "method": method,
            "cells": int(scored.sum()), "wrong": int(wrong.sum()),
            "auroc": float(roc_auc_score(wrong[scored], -trust[scored])),
            "average_precision": float(average_precision_score(wrong[scored], -trust[scored])),
            "right_name": float(np.mean(likely[wrong] == truth[wrong])),
            "flagged": int(flagged[scored].sum()), "flagged_wrong": int(flagged[wrong].sum()),
            "expected_wrong": float(np.sum(1 - trust[scored])),
        })  # fmt: skip
    return rows


def spoilt(study: Study, kind: str, rate: float, seed: int) -> np.ndarray | None:
    """Return the labels with noise; None if the noise is not applicable."""
    truth = study.labels.given
    if kind == "exchanged names":
        common = np.flatnonzero(np.bincount(truth) >= 10)
        if len(common) < 3:
            return None
        one, other = np.random.default_rng(seed).permutation(common)[:2]
        changed = np.arange(len(study.labels.names))
        changed[[one, other]] = other, one
        return changed[truth]
    try:
        made = noisy(study.pairs, study.rows, NoiseSettings(kind=kind, rate=rate, seed=seed)).pairs
    except OkrcellError:
        return None
    kinds = made.cell_type[made.description[study.rows]]
    names = {name: place for place, name in enumerate(study.labels.names)}
    return np.array([names[made.cell_type_names[number]] for number in kinds], dtype=np.int64)


def methods(study: Study, given: np.ndarray, related: np.ndarray, seed: int) -> dict[str, tuple[np.ndarray, ...]]:
    """Return for each method the trust in each label, the most likely label, and the flagged labels."""
    cells, own, count = study.cells, study.own, len(study.labels.names)
    row, rng = np.arange(len(given)), np.random.default_rng(seed)
    found = {}

    def heard(name: str, groups: np.ndarray | None = None, **changes: Any) -> None:
        settings = AuditSettings(seed=seed, **changes)
        told = audit(cells, own, study.vectors, given, related, groups, settings)
        found[name] = (np.nan_to_num(told.trust), told.likely, told.doubtful)

    heard("audit")
    if seed == 0:
        heard("audit without words", words=(0.0,))
        heard("audit asked once", rounds=0)
        if len(np.unique(study.donor)) >= 3:
            heard("audit, folds of donors", groups=study.donor)
    probability = foretold(own, given, np.ones(len(given)), folds(given, None, rng), count, rng)
    found["confident learning"] = (
        probability[row, given],
        probability.argmax(axis=1),
        off_diagonal(probability, given),
    )
    near = NearestNeighbors(n_neighbors=16).fit(own).kneighbors(own, return_distance=False)[:, 1:]
    votes = np.stack([(given[near] == label).mean(axis=1) for label in range(count)], axis=1)
    found["15 neighbours"] = (votes[row, given], votes.argmax(axis=1), votes.argmax(axis=1) != given)
    agreed = np.nan_to_num(agreement(cells, study.vectors, np.bincount(given, minlength=count)))
    found["words only"] = (agreed[row, given], agreed.argmax(axis=1), agreed.argmax(axis=1) != given)
    return found


def off_diagonal(probability: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Flag the off-diagonal cells of the confident joint (confident learning, section 3.1)."""
    mean = [
        probability[given == label, label].mean() if (given == label).any() else 2
        for label in range(probability.shape[1])
    ]
    passed = np.where(probability >= np.array(mean), probability, -1)
    return (passed.max(axis=1) >= 0) & (passed.argmax(axis=1) != given)


def tell(rows: list[dict[str, Any]]) -> None:
    """Print the mean over seeds, then over studies, of each method for each kind of noise."""
    columns = ("AUROC", "average precision", "corrected labels", "precision of flags", "recall of flags")
    print("| noise | studies | method | " + " | ".join(columns) + " |")
    print("|---|---:|---" + "|---:" * len(columns) + "|")
    by = defaultdict(lambda: defaultdict(list))
    for row in rows:
        caught = row["flagged_wrong"]
        precision = caught / row["flagged"] if row["flagged"] else np.nan
        figures = (row["auroc"], row["average_precision"], row["right_name"], precision, caught / row["wrong"])
        by[row["noise"], row["rate"], row["method"]][row["study"]].append(figures)
    with warnings.catch_warnings():
        # Precision is undefined for a study without any flagged label.
        warnings.simplefilter("ignore", RuntimeWarning)
        for (noise, rate, method), studies in by.items():
            mean = np.nanmean([np.nanmean(some, axis=0) for some in studies.values()], axis=0)
            what = noise if rate == 1 else f"{noise} {rate:.0%}"
            print(f"| {what} | {len(studies)} | {method} | " + " | ".join(f"{value:.3f}" for value in mean) + " |")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the average precision of each method: a faint dot per study, a strong dot for their mean."""
    from matplotlib.figure import Figure

    from okrcell.files import whole_file
    from okrcell.pl.canvas import CATEGORIES

    parts = [part for part in ("learned from", "held out", "evaluate") if any(row["part"] == part for row in rows)]
    order = ("words only", "15 neighbours", "confident learning", "audit")
    noises = NOISE[:4]
    figure = Figure(figsize=(11, 1.1 + 1.5 * len(parts)), layout="constrained")
    axes = figure.subplots(len(parts), len(noises), sharex=True, sharey=True, squeeze=False)
    for (line, part), (column, (noise, rate)) in product(enumerate(parts), enumerate(noises)):
        ax = axes[line, column]
        for place, method in enumerate(order):
            by = defaultdict(list)
            for row in rows:
                if (row["part"], row["noise"], row["rate"], row["method"]) == (part, noise, rate, method):
                    by[row["study"]].append(row["average_precision"])
            means = [float(np.mean(some)) for some in by.values()]
            colour = CATEGORIES[0] if method == "audit" else CATEGORIES[2]
            ax.scatter(means, [place] * len(means), s=14, color=colour, alpha=0.3, linewidths=0)
            ax.scatter([np.mean(means)], [place], s=60, color=colour, edgecolors="white", zorder=3)
            ax.annotate(f"{np.mean(means):.2f}", (np.mean(means), place), (0, 7), textcoords="offset points",
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
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=150)


if __name__ == "__main__":
    main()
