"""What is told of names that were given to cells."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
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
    detail: dict[str, Any] = {"by_type": _by_type(true, label)}
    if in_ontology:
        scores |= {f"ontology_{kind}": share for kind, share in ontology_shares(true, label).items()}
    if named.scores is not None:
        held = named.scores[asked]
        scores["auroc"] = mean_auroc(true, named.names, held)
        if named.probabilities:
            confidence = np.where(label != "", held.max(axis=1, initial=0.0), np.nan)
            coverage = accuracy_by_coverage(confidence, true == label)
            scores["ece"] = expected_calibration_error(confidence, true == label)
            scores["accuracy_surest_half"] = coverage[0.5]
            detail["accuracy_by_coverage"] = {f"{share:g}": value for share, value in coverage.items()}
    return scores, detail


def _by_type(truth: NDArray[np.str_], label: NDArray[np.str_]) -> Mapping[str, float]:
    """Share of each type's cells that were given its name."""
    return {str(name): float(np.mean(label[truth == name] == name)) for name in np.unique(truth)}
