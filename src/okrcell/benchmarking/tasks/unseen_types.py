"""Task unseen_types: zero-shot annotation of types that a model was not trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.leakage import is_left_out, trained_types
from okrcell.benchmarking.datasets.splits import draw_four_fifths, full_subset
from okrcell.benchmarking.methods import Method, ZeroShotAnnotator, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks import zero_shot
from okrcell.benchmarking.tasks.task import Item, ItemResult
from okrcell.metrics.annotation import f1_by_type

SETS = zero_shot.FIRST_SETS


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one prediction, scored on the cells of every seed."""
    return [Item("", seed) for seed in seeds]


def exclusion_reason(method: Method) -> str:
    """Reason why a method is excluded, "" if it is not: it was trained on cells of the left-out types."""
    if "data" in method.requires:
        return "it is trained on labelled cells of these types"
    if method.kind == "baseline":
        return ""
    trained = trained_types(method.model)
    if not trained:
        return ""
    suffix = f" and {len(trained) - 3} more" if len(trained) > 3 else ""
    return (
        f"its model.json does not list {', '.join(trained[:3])}{suffix} under seen.left_out_types "
        "(types left out of training); train a model with split.leave_types and give it with --models"
    )


def evaluate(method: ZeroShotAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate all cells with the types of their data set as candidates, and score the types left out of training.

    Cells of other types that are predicted as one of these count as false positives.
    """
    dataset = full_subset(load_dataset(name, data))
    candidates = sorted(set(dataset.term_ids.tolist()) - {""})
    with measure_resources() as usage:
        annotation = method(select_cells(dataset.cells, np.arange(len(dataset))), candidates, 0)
    for item in pending:
        rows = draw_four_fifths(dataset.cells.obs_names, name, item.seed)
        rows = rows[dataset.term_ids[rows] != ""]
        scores, detail = _score(dataset.term_ids[rows], annotation.label[rows].astype(np.str_))
        yield ItemResult(item, scores, usage, int(is_left_out(dataset.term_ids[rows]).sum()), detail)


def _score(truth: NDArray[np.str_], label: NDArray[np.str_]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    unseen = is_left_out(truth)
    types = np.unique(truth[unseen]).tolist()
    f1 = f1_by_type(truth, label, types)
    correct = label[unseen] == truth[unseen]
    scores = {
        "macro_f1": float(np.mean(list(f1.values()))) if f1 else float("nan"),
        "accuracy": float(correct.mean()) if unseen.any() else float("nan"),
        "accuracy_of_seen": float(np.mean(label[~unseen] == truth[~unseen])) if (~unseen).any() else float("nan"),
    }
    return scores, {"by_type": f1}
