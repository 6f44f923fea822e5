"""Table of the README: means over data sets and differences to baselines, with 95 % intervals over data sets.

    python experiments/intervals_over_studies.py [docs/results/six-tasks/scores.parquet]

Scores of one data set are first averaged over seeds. An interval over data sets says what to expect on another study; an
interval over seeds, which draw other cells of the same sets, does not.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from okrcell.benchmarking.methods import METHODS
from okrcell.metrics.intervals import estimate

SCORES = Path(__file__).parents[1] / "docs" / "results" / "six-tasks" / "scores.parquet"


class Comparison(NamedTuple):
    """One row of the table."""

    title: str
    task: str
    metric: str
    case: str | None = None
    """Only items of this case; None for all."""
    method: str = "okrcell"


COMPARISONS = (
    Comparison("zero-shot, macro-F1", "zero_shot", "macro_f1"),
    Comparison("zero-shot, accuracy", "zero_shot", "accuracy"),
    Comparison("no candidates, right or one step away", "open_types", "ontology_within_one_step", "tissue told"),
    Comparison("type missing from the candidates, AUROC", "unknown", "auroc_unknown"),
    Comparison("types never seen as cells, macro-F1", "unseen_types", "macro_f1", method="unseen"),
    Comparison("types never seen as cells, accuracy", "unseen_types", "accuracy", method="unseen"),
    Comparison("clustering, AvgBIO", "clustering", "avg_bio"),
    Comparison("integration, AvgBIO", "integration", "avg_bio"),
    Comparison("integration, AvgBatch", "integration", "avg_batch"),
    Comparison("annotation from another study, macro-F1", "annotation", "macro_f1"),
    Comparison("annotation from another study, accuracy", "annotation", "accuracy"),
    Comparison("1 example per type, macro-F1", "few_shot", "macro_f1", "K = 1"),
    Comparison("5 examples per type, macro-F1", "few_shot", "macro_f1", "K = 5"),
    Comparison("9 examples per type, macro-F1", "few_shot", "macro_f1", "K = 9"),
)
CONTROLS = {
    *(name for name, method in METHODS.items() if method.kind != "baseline"),
    *("cell_only", "info_nce", "seed_1", "seed_2", "unseen"),
}
"""Models of ours and their parts; all other methods are baselines."""


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", nargs="?", type=Path, default=SCORES)
    scores = pd.read_parquet(parser.parse_args().scores)
    print("| task | sets | okrcell | baseline | difference, points |")
    print("|---|---|---|---|---|")
    for comparison in COMPARISONS:
        for line in rows(scores, comparison):
            print(line)


def rows(scores: pd.DataFrame, comparison: Comparison) -> list[str]:
    """Rows of one comparison: with every baseline that was run on all sets, the best first."""
    items = scores[(scores["task"] == comparison.task) & scores[comparison.metric].notna()]
    if comparison.case is not None:
        items = items[items["case"] == comparison.case]
    by_set = items.groupby(["method", "set"])[comparison.metric].mean().unstack("set")
    own = by_set.loc[comparison.method].dropna()
    baselines = by_set.drop(index=list(CONTROLS), errors="ignore")[own.index].dropna()
    order = baselines.mean(axis=1).sort_values(ascending=False).index
    lines: list[str] = []
    for method in order[:3]:
        difference = estimate((100 * (own - baselines.loc[method])).tolist())
        if difference is None or difference.low is None or difference.high is None:
            continue
        lines.append(
            f"| {comparison.title} | {len(own)} | {own.mean():.3f} | {method} {baselines.loc[method].mean():.3f} "
            f"| {difference.mean:+.1f} ({difference.low:+.1f} to {difference.high:+.1f}) |"
        )
    return lines


if __name__ == "__main__":
    main()
