"""What is told of names that were given to cells."""

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
    """Return the scores of an answer, and what is worth drawing.

    Parameters
    ----------
    truth
        For each cell of the answer its type; "" is not scored.
    rows
        Cells to score; all by default.
    in_ontology
        Names are Cell Ontology ids, so that how wrong an answer is can be told.
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
    """Return the probability that a method gives to its own answers, NaN where it has none; None if it tells no probability."""
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
    share: Callable[[NDArray[np.str_], NDArray[np.str_]], float] = lambda true, given: float(np.mean(true == given)),
) -> dict[str, float]:
    """Return for each type what ``share`` makes of its own cells; by default how many of them were given its name."""
    return {str(name): share(truth[truth == name], label[truth == name]) for name in np.unique(truth)}
