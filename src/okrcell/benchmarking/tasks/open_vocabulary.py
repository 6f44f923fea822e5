"""Task open_types: annotate cells with any type of the Cell Ontology, without candidates."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.splits import draw_four_fifths, full_subset
from okrcell.benchmarking.methods import OpenAnnotator, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks import zero_shot
from okrcell.benchmarking.tasks.scoring import by_type
from okrcell.benchmarking.tasks.task import Item, ItemResult
from okrcell.metrics.annotation import relation_fractions

SETS = zero_shot.HUMAN_SETS
WITH_TISSUE, WITHOUT_TISSUE = "tissue told", "tissue untold"
"""Cases: with and without the tissue of the cells. Most files have a tissue, some do not."""
TISSUE_KEY = "tissue"
"""Column of obs."""


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: a prediction with and one without the tissue, each scored on the cells of every seed."""
    return [Item(case, seed) for case in (WITH_TISSUE, WITHOUT_TISSUE) for seed in seeds]


def evaluate(method: OpenAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate all cells with any Cell Ontology id, and score the relation to the true type in the ontology."""
    dataset = full_subset(load_dataset(name, data))
    cells = select_cells(dataset.cells, np.arange(len(dataset)))
    for case in (WITH_TISSUE, WITHOUT_TISSUE):
        items_of_case = [item for item in pending if item.case == case]
        if not items_of_case:
            continue
        tissue = most_common_tissue(dataset.facts) if case == WITH_TISSUE else None
        with measure_resources() as usage:
            annotation = method(cells, tissue, 0)
        label = annotation.label.astype(np.str_)
        for item in items_of_case:
            rows = draw_four_fifths(dataset.cells.obs_names, name, item.seed)
            rows = rows[dataset.term_ids[rows] != ""]
            scores, detail = _score(dataset.term_ids[rows], label[rows])
            yield ItemResult(item, scores, usage, len(rows), {**detail, "names": len(annotation.names)})


def most_common_tissue(facts: pd.DataFrame) -> str | None:
    """Return the most frequent tissue of the cells; None if the file has none."""
    if TISSUE_KEY not in facts:
        return None
    counts = Counter(facts[TISSUE_KEY].astype(object).fillna("").astype(str).tolist())
    ranked = [(count, tissue) for tissue, count in counts.items() if tissue not in ("", "unknown")]
    return max(ranked)[1] if ranked else None


def _score(truth: NDArray[np.str_], label: NDArray[np.str_]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    scores = {f"ontology_{kind}": fraction for kind, fraction in relation_fractions(truth, label).items()}
    type_scores = by_type(
        truth, label, lambda true_ids, predicted_ids: relation_fractions(true_ids, predicted_ids)["within_one_step"]
    )
    scores["within_one_step_of_types"] = float(np.mean(list(type_scores.values()))) if type_scores else float("nan")
    return scores, {"by_type": type_scores}
