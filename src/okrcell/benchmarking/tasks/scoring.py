"""Scores of predicted labels, shared by the annotation tasks."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.methods import Annotation
from okrcell.metrics.annotation import (
    accuracy_by_coverage,
    annotation_scores,
    expected_calibration_error,
    mean_auroc,
    relation_fractions,
)


def score_annotation(
    truth: NDArray[np.str_], annotation: Annotation, rows: NDArray[np.intp] | None = None, *, in_ontology: bool = True
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the scores of a prediction, and further values for figures and tables.

    Parameters
    ----------
    truth
        True type of each cell; cells with "" are not scored.
    annotation
        Predictions of the same cells.
    rows
        Indices of the cells to score; all by default.
    in_ontology
        Whether labels are Cell Ontology ids; adds the relation of predicted to true types.
    """
    scored_rows = np.arange(len(truth)) if rows is None else rows
    scored_rows = scored_rows[truth[scored_rows] != ""]
    true_labels, label = truth[scored_rows], annotation.label[scored_rows].astype(np.str_)
    scores: dict[str, float] = asdict(annotation_scores(true_labels, label))
    detail: dict[str, Any] = {"by_type": by_type(true_labels, label)}
    if in_ontology:
        scores |= {f"ontology_{kind}": fraction for kind, fraction in relation_fractions(true_labels, label).items()}
    if annotation.scores is not None:
        row_scores = annotation.scores[scored_rows]
        scores["auroc"] = mean_auroc(true_labels, annotation.names, row_scores)
    cell_confidence = confidence_of(annotation)
    if cell_confidence is not None:
        confidence = cell_confidence[scored_rows]
        coverage = accuracy_by_coverage(confidence, true_labels == label)
        scores["ece"] = expected_calibration_error(confidence, true_labels == label)
        scores["accuracy_surest_half"] = coverage[0.5]
        detail["accuracy_by_coverage"] = {f"{fraction:g}": value for fraction, value in coverage.items()}
    return scores, detail


def confidence_of(annotation: Annotation) -> Float[np.ndarray, "cell"] | None:
    """Return the confidence of each prediction, NaN without prediction; None if the method reports no probabilities."""
    if annotation.confidence is not None:
        confidence = annotation.confidence
    elif annotation.probabilities and annotation.scores is not None:
        confidence = annotation.scores.max(axis=1, initial=0.0)
    else:
        return None
    return np.where(annotation.label != "", confidence, np.nan)


def by_type(
    truth: NDArray[np.str_],
    label: NDArray[np.str_],
    metric: Callable[[NDArray[np.str_], NDArray[np.str_]], float] = lambda labels, predicted: float(
        np.mean(labels == predicted)
    ),
) -> dict[str, float]:
    """Return ``metric`` of the cells of each type; by default the fraction with the right label."""
    return {str(name): metric(truth[truth == name], label[truth == name]) for name in np.unique(truth)}


def counts_by_type(truth: NDArray[np.str_], label: NDArray[np.str_]) -> dict[str, tuple[int, int, int]]:
    """Return for each true type the number of its cells, of cells with its label, and of those that are both.

    Cells with the true type "" are left out. Recall and F1 of data sets and seeds together follow from their sums.
    """
    truth, label = truth[truth != ""], label[truth != ""]
    return {
        str(name): (
            int((truth == name).sum()),
            int((label == name).sum()),
            int(((truth == name) & (label == name)).sum()),
        )
        for name in np.unique(truth)
    }
