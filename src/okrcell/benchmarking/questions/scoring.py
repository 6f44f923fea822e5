"""Scores of predicted labels, shared by the annotation tasks."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.method import Named
from okrcell.benchmarking.metrics.calibration import accuracy_by_coverage, expected_calibration_error
from okrcell.benchmarking.metrics.naming import mean_auroc, naming_scores
from okrcell.benchmarking.metrics.ontology_distance import ontology_shares


def scored_names(
    truth: NDArray[np.str_], named: Named, rows: NDArray[np.intp] | None = None, *, in_ontology: bool = True
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the scores of a prediction, and further values for figures and tables.

    Parameters
    ----------
    truth
        True type of each cell; cells with "" are not scored.
    named
        Predictions of the same cells.
    rows
        Indices of the cells to score; all by default.
    in_ontology
        Whether labels are Cell Ontology ids; adds the relation of predicted to true types.
    """
    asked = np.arange(len(truth)) if rows is None else rows
    asked = asked[truth[asked] != ""]
    true, label = truth[asked], named.label[asked].astype(np.str_)
    scores: dict[str, float] = asdict(naming_scores(true, label))
    detail: dict[str, Any] = {"by_type": by_type(true, label)}
    if in_ontology:
        scores |= {f"ontology_{kind}": share for kind, share in ontology_shares(true, label).items()}
    if named.scores is not None:
        held = named.scores[asked]
        scores["auroc"] = mean_auroc(true, named.names, held)
    sure = confidence_of(named)
    if sure is not None:
        confidence = sure[asked]
        coverage = accuracy_by_coverage(confidence, true == label)
        scores["ece"] = expected_calibration_error(confidence, true == label)
        scores["accuracy_surest_half"] = coverage[0.5]
        detail["accuracy_by_coverage"] = {f"{share:g}": value for share, value in coverage.items()}
    return scores, detail


def confidence_of(named: Named) -> Float[np.ndarray, "cell"] | None:
    """Return the confidence of each prediction, NaN without prediction; None if the method reports no probabilities."""
    if named.confidence is not None:
        sure = named.confidence
    elif named.probabilities and named.scores is not None:
        sure = named.scores.max(axis=1, initial=0.0)
    else:
        return None
    return np.where(named.label != "", sure, np.nan)


def by_type(
    truth: NDArray[np.str_],
    label: NDArray[np.str_],
    share: Callable[[NDArray[np.str_], NDArray[np.str_]], float] = lambda labels, predicted: float(
        np.mean(labels == predicted)
    ),
) -> dict[str, float]:
    """Return ``share`` of the cells of each type; by default the fraction with the right label."""
    return {str(name): share(truth[truth == name], label[truth == name]) for name in np.unique(truth)}
