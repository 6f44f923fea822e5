"""Accuracy of mapping author labels to Cell Ontology terms.

    python experiments/labels.py [--dense] [--json labels.json]

Each distinct pair of ``cell_type`` and a nonempty ``cell_type_ontology_term_id`` in a folder of data sets counts once; a label
that occurs in several tissues counts in equal parts for each. Steps are cumulative: names, synonyms, abbreviations and parts,
vectors. The prediction of a step is its best match, without a minimum score.
"""

import argparse
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import h5py
from anndata.io import read_elem
from real_cells import data_folder

from okrcell.ontology.matcher import MIN_MATCH_SCORE, TermMatch, match_label
from okrcell.ontology.ontology import ontology
from okrcell.ontology.standardise import term_by_id, tissue_term
from okrcell.provenance import provenance_record

CONFIDENT_ONLY = "of these, score high enough"
STEPS = {
    "names": ("id", "name"),
    "+ synonyms": ("id", "name", "synonym"),
    "+ abbreviations and parts": ("id", "name", "synonym", "abbreviation", "part"),
    CONFIDENT_ONLY: ("id", "name", "synonym", "abbreviation", "part"),
    "+ dense": ("id", "name", "synonym", "abbreviation", "part", "dense"),
}
LabelPairs = dict[tuple[str, str], set[str]]
"""(label, term id) to the ids of the tissues that it occurs in."""
LabelMatches = dict[tuple[str, str], tuple[TermMatch, ...]]
"""(label, tissue id) to its matches."""


def main() -> None:
    """Print a Markdown table of the fractions that are exact, and exact or a direct parent or child."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dense", action="store_true", help="also match by vectors")
    parser.add_argument("--json", type=Path, help="write the results with their provenance")
    args = parser.parse_args()
    data = data_folder()
    if data is None:
        parser.exit(0, "No data sets: set OKRCELL_DATA to a folder with h5ad files.\n")
    embedder = None
    if args.dense:
        from okrcell.model.text_encoder import SentenceEncoder

        embedder = SentenceEncoder()
    sets = {"all": labeled_pairs(sorted(data.rglob("*.h5ad")))}
    for name in ("pretrain", "evaluate"):
        if (data / name).is_dir():
            sets[name] = labeled_pairs(sorted((data / name).rglob("*.h5ad")))
    rows = []
    print("| pairs of | tissue given | step | pairs | exact | exact or direct parent or child | no match |")
    print("|---|---|---|---:|---:|---:|---:|")
    for name, pairs in sets.items():
        for with_tissue in (False, True):
            matches = {
                (label, tissue): match_label(label, "CL", tissue_id=tissue, embedder=embedder, top=50)
                for (label, _), tissues in pairs.items()
                for tissue in (tissues if with_tissue else {""})
            }
            confident_matches = {
                key: tuple(candidate for candidate in candidates if candidate.score >= MIN_MATCH_SCORE)
                for key, candidates in matches.items()
            }
            for step, allowed in STEPS.items():
                if step == "+ dense" and embedder is None:
                    continue
                answers = confident_matches if step == CONFIDENT_ONLY else matches
                exact, near, nothing = match_fractions(pairs, answers, allowed, with_tissue=with_tissue)
                row = {"pairs_of": name, "tissue": with_tissue, "step": step, "pairs": len(pairs),
                       "exact": exact, "near": near, "nothing": nothing}  # fmt: skip
                rows.append(row)
                tissue_text = "yes" if with_tissue else "no"
                print(f"| {name} | {tissue_text} | {step} | {len(pairs)} | {exact:.3f} | {near:.3f} | {nothing:.3f} |")
    bands = score_bands(sets["all"])
    print("\nWith the tissue given, by score (all pairs):\n\n| score | fraction | exact | near |\n|---|---:|---:|---:|")
    for band in bands:
        print(f"| {band['score']} | {band['share']:.3f} | {band['exact']:.3f} | {band['near']:.3f} |")
    if args.json:
        encoder = "" if embedder is None else embedder.name
        facts = provenance_record(
            "benchmark labels", snapshot=ontology("CL").snapshot, embedder=encoder, rows=rows, bands=bands
        )
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def labeled_pairs(files: list[Path]) -> LabelPairs:
    """Collect (label, term id) with the ids of the tissues that it occurs in ("" if the tissue is unknown)."""
    pairs: LabelPairs = defaultdict(set)
    for path in files:
        with h5py.File(path) as file:
            obs = read_elem(file["obs"])
        if not {"cell_type", "cell_type_ontology_term_id"} <= set(obs):
            continue
        columns = [name for name in ("cell_type", "cell_type_ontology_term_id", "tissue") if name in obs]
        columns += [name for name in ("tissue_ontology_term_id",) if name in obs]
        for row in obs[columns].astype(object).drop_duplicates().to_dict("records"):
            term = ontology("CL").current_id(str(row["cell_type_ontology_term_id"]))
            if term:
                tissue_match = term_by_id(str(row.get("tissue_ontology_term_id", "")), "UBERON")
                tissue = tissue_match or tissue_term(str(row.get("tissue", "")))
                pairs[str(row["cell_type"]), term].add(tissue.id if tissue else "")
    return dict(pairs)


def match_fractions(
    pairs: LabelPairs, matches: LabelMatches, allowed: tuple[str, ...], *, with_tissue: bool
) -> tuple[float, float, float]:
    """Return the fractions of pairs that are exact, exact or one step off, and without a match."""
    exact = near = nothing = 0.0
    for (label, term), tissues in pairs.items():
        tissue_ids = tissues if with_tissue else {""}
        for tissue in tissue_ids:
            best = next((candidate for candidate in matches[label, tissue] if candidate.method in allowed), None)
            exact += is_exact(best, term) / len(tissue_ids)
            near += is_near(best, term) / len(tissue_ids)
            nothing += (best is None) / len(tissue_ids)
    return exact / len(pairs), near / len(pairs), nothing / len(pairs)


def score_bands(pairs: LabelPairs) -> list[dict]:
    """Return the accuracy of the best match by its score, to check the threshold `MIN_MATCH_SCORE`."""
    edges = (0.0, 0.3, 0.45, MIN_MATCH_SCORE, 0.75, 0.9, 1.01)
    answers = [
        (best[0], term, 1 / len(tissues))
        for (label, term), tissues in pairs.items()
        for tissue in tissues
        if (best := match_label(label, "CL", tissue_id=tissue, top=1))
    ]
    bands = []
    for low, high in pairwise(edges):
        inside = [(candidate, term, weight) for candidate, term, weight in answers if low <= candidate.score < high]
        total = sum(weight for *_, weight in inside)
        if total:
            bands.append({
                "score": f"{low:.2f} to {min(high, 1):.2f}",
                "share": total / len(pairs),
                "exact": sum(is_exact(candidate, term) * weight for candidate, term, weight in inside) / total,
                "near": sum(is_near(candidate, term) * weight for candidate, term, weight in inside) / total,
            })  # fmt: skip
    return bands


def is_exact(best: TermMatch | None, term: str) -> bool:
    """Whether the match is the term itself."""
    return best is not None and best.term.id == term


def is_near(best: TermMatch | None, term: str) -> bool:
    """Whether the match is the term, or a parent or child of it."""
    cells = ontology("CL")
    return best is not None and (
        best.term.id == term or best.term.id in cells.parents(term) or term in cells.parents(best.term.id)
    )


if __name__ == "__main__":
    main()
