"""Table of recall and F1 of each cell type and method, as Markdown."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from okrcell.benchmarking.report.summary import dataset_title
from okrcell.benchmarking.tasks.zero_shot import MOUSE
from okrcell.escaping import escape_markdown
from okrcell.ontology.ontology import ontology

MISSING = "–"


def per_type_table(records: Sequence[Mapping[str, Any]], methods: Mapping[str, Mapping[str, str]]) -> str:
    """Return a Markdown page with the recall and F1 of each type and method; "" if no record counts cells by type.

    Counts of cells are summed over the human data sets of the task zero_shot, and over seeds. Methods that lack a data set
    are left out, because their numbers would be of other cells.

    Parameters
    ----------
    records
        Lines of the records.
    methods
        Method to its "title" and "kind", in the order of the report.
    """
    counted = [
        record
        for record in records
        if record["task"] == "zero_shot" and "counts_by_type" in record.get("detail", {}) and record["case"] != MOUSE
    ]
    sets = list(dict.fromkeys(record["set"] for record in counted))
    runs = {name: {(line["set"], line["seed"]) for line in counted if line["method"] == name} for name in methods}
    all_runs = set[tuple[str, int]]().union(*runs.values())
    complete = [name for name in methods if all_runs and runs[name] == all_runs]
    if not complete:
        return ""
    totals = {name: _sum_counts([line for line in counted if line["method"] == name]) for name in complete}
    n_seeds = len({seed for _, seed in all_runs})
    omitted = [methods[name]["title"] for name in methods if runs[name] and name not in complete]
    lines = [
        "# Zero-shot annotation by cell type",
        "",
        f"Recall (accuracy of the cells of the type) / F1 of each method, over the cells of {len(sets)} data sets "
        f"({', '.join(escape_markdown(dataset_title(name)) for name in sets)}); the candidates of a data set are its own "
        f"types. Counts are summed over data sets and {n_seeds} seeds; cells are the mean over seeds. Written by "
        "`okrcell benchmark` from `runs.jsonl`.",
        *(["", f"Left out, no scores on some data sets: {escape_markdown(', '.join(omitted))}."] if omitted else []),
        "",
        f"| type | cells | sets | {' | '.join(escape_markdown(methods[name]['title']) for name in complete)} |",
        f"| --- | ---: | ---: |{' ---: |' * len(complete)}",
        *_type_rows(totals, counted, n_seeds),
    ]
    return "\n".join(lines) + "\n"


def _sum_counts(records: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Sum over records of the numbers of cells, of cells with the label, and of those that are both, by type."""
    totals: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3, dtype=np.int64))
    for record in records:
        for term_id, counts in record["detail"]["counts_by_type"].items():
            totals[term_id] = totals[term_id] + np.array(counts)
    return totals


def _type_rows(
    totals: Mapping[str, Mapping[str, np.ndarray]], records: Sequence[Mapping[str, Any]], n_seeds: int
) -> list[str]:
    n_cells = {term_id: int(counts[0]) for term_id, counts in next(iter(totals.values())).items()}
    rows: list[str] = []
    for term_id in sorted(n_cells, key=lambda name: (-n_cells[name], name)):
        sets = {record["set"] for record in records if term_id in record["detail"]["counts_by_type"]}
        title = escape_markdown(f"{ontology('CL').term(term_id).name} ({term_id})")
        scores = [_format_scores(*counts[term_id].tolist()) for counts in totals.values()]
        rows.append(f"| {title} | {round(n_cells[term_id] / n_seeds):,} | {len(sets)} | {' | '.join(scores)} |")
    return rows


def _format_scores(n_cells: int, n_predicted: int, n_right: int) -> str:
    recall = f"{n_right / n_cells:.3f}" if n_cells else MISSING
    return f"{recall} / {2 * n_right / (n_cells + n_predicted):.3f}" if n_cells + n_predicted else MISSING
