"""Task unknown: detect cells whose true type is missing among the candidates."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.splits import draw_four_fifths, full_subset
from okrcell.benchmarking.methods import Annotation, ZeroShotAnnotator, select_cells
from okrcell.benchmarking.resources import ResourceUsage, measure_resources
from okrcell.benchmarking.tasks import zero_shot
from okrcell.benchmarking.tasks.task import Item, ItemResult
from okrcell.metrics.annotation import auroc
from okrcell.ontology.ontology import ontology

ConfidenceMeasures = dict[str, Float[np.ndarray, "cell"]]
"""Confidence measure to its value for each cell; NaN without prediction."""


SETS = zero_shot.HUMAN_SETS
MIN_CELLS = 10
"""Minimum number of cells of a left-out type; AUROC of fewer is unreliable."""
MIN_CANDIDATES = 2
"""Minimum number of remaining candidates."""


def known_type_auroc(confidence: Float[np.ndarray, "cell"], is_candidate: Bool[np.ndarray, "cell"]) -> float:
    """Return the AUROC of the confidence, cells whose type is a candidate against cells whose type is not.

    Cells without prediction (NaN) have the lowest confidence. NaN if one of the groups is empty.
    """
    return auroc(is_candidate, np.where(np.isnan(confidence), -np.inf, confidence).astype(np.float64))


def confidence_measures(annotation: Annotation) -> ConfidenceMeasures:
    """Return the confidence measures that a prediction allows.

    confidence: reported by the method. best: highest score. margin: highest minus second highest score. An empty dict
    without scores and confidence.
    """
    has_label = annotation.label != ""
    measures: ConfidenceMeasures = {}
    if annotation.confidence is not None:
        measures["confidence"] = annotation.confidence
    if annotation.scores is not None and len(annotation.names) > 1:
        second, best = np.sort(annotation.scores, axis=1)[:, -2:].T.astype(np.float64)
        measures["best"] = best
        # A label that cannot be predicted has -inf; if the best is -inf too, there is no prediction.
        measures["margin"] = np.where(np.isinf(best), np.nan, best - np.where(np.isinf(best), 0, second))
    return {measure: np.where(has_label, values, np.nan) for measure, values in measures.items()}


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one for each seed; each scores the predictions of all left-out types."""
    return [Item("", seed) for seed in seeds]


def evaluate(method: ZeroShotAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate all cells once per type of the data set, with that type left out of the candidates.

    The score is the AUROC of the confidence: cells whose type is a candidate against cells of the left-out type. Ancestors and
    descendants of the type are left out of the candidates too, because they would be right; their cells are not scored.
    """
    dataset = full_subset(load_dataset(name, data))
    cells = select_cells(dataset.cells, np.arange(len(dataset)))
    measures_by_type: dict[str, tuple[list[str], ConfidenceMeasures]] = {}
    usage = ResourceUsage()
    for left_out_type, candidates in remaining_candidates(dataset.term_ids).items():
        with measure_resources() as call_usage:
            annotation = method(cells, candidates, 0)
        measures_by_type[left_out_type] = (candidates, confidence_measures(annotation))
        usage = _add_usage(usage, call_usage)
    # Seconds of one prediction, as for the other tasks.
    usage.seconds /= max(len(measures_by_type), 1)
    for item in pending:
        rows = draw_four_fifths(dataset.cells.obs_names, name, item.seed)
        in_draw = np.isin(np.arange(len(dataset)), rows)
        scores, detail = _score(dataset.term_ids, in_draw, measures_by_type)
        yield ItemResult(item, scores, usage, int((dataset.term_ids[rows] != "").sum()), detail)


def remaining_candidates(term: NDArray[np.str_]) -> dict[str, list[str]]:
    """For each type that can be left out, list the remaining candidates, in the order of their ids.

    ``term`` is the Cell Ontology id of each cell, "" where there is none.
    """
    term_ids, counts = np.unique(term[term != ""], return_counts=True)
    cells, names = ontology("CL"), [str(term_id) for term_id in term_ids]
    remaining: dict[str, list[str]] = {}
    for left_out_type, count in zip(names, counts.tolist(), strict=True):
        related = (
            {name for name in names if left_out_type in cells.ancestors(name)}
            | cells.ancestors(left_out_type)
            | {left_out_type}
        )
        candidates = [term_id for term_id in names if term_id not in related]
        if count >= MIN_CELLS and len(candidates) >= MIN_CANDIDATES:
            remaining[left_out_type] = candidates
    return remaining


def _score(
    term: NDArray[np.str_],
    in_draw: Bool[np.ndarray, "cell"],
    measures_by_type: dict[str, tuple[list[str], ConfidenceMeasures]],
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return the mean AUROC over left-out types, for each confidence measure, and for the one that represents the method.

    A method that reports a confidence is represented by it. A method with scores alone is represented by the best score or
    the margin above the second, whichever has the higher AUROC.
    """
    by_measure: dict[str, dict[str, float]] = {}
    for left_out_type, (candidates, measures) in measures_by_type.items():
        is_left_out, is_known = in_draw & (term == left_out_type), in_draw & np.isin(term, candidates)
        for measure, values in measures.items():
            area = known_type_auroc(values[is_left_out | is_known], is_known[is_left_out | is_known])
            if not np.isnan(area):
                by_measure.setdefault(measure, {})[left_out_type] = area
    means = {measure: float(np.mean(list(areas.values()))) for measure, areas in by_measure.items()}
    headline = "confidence" if "confidence" in means else max(means, key=means.__getitem__, default="")
    scores = {"auroc_unknown": means.get(headline, float("nan"))}
    return scores | {f"auroc_by_{measure}": area for measure, area in means.items()}, {
        "by_type": by_measure.get(headline, {})
    }


def _add_usage(total: ResourceUsage, addition: ResourceUsage) -> ResourceUsage:
    peaks = [peak for peak in (total.peak_memory, addition.peak_memory) if peak is not None]
    return ResourceUsage(total.seconds + addition.seconds, max(peaks, default=None))
