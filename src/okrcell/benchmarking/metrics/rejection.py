"""Unknown-type detection: confidence of cells whose true type is, or is not, a candidate."""

import numpy as np
from jaxtyping import Bool, Float

from okrcell.benchmarking.method import Annotation
from okrcell.benchmarking.scores import auroc

ConfidenceMeasures = dict[str, Float[np.ndarray, "cell"]]
"""Confidence measure to its value for each cell; NaN without prediction."""


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
