"""Calibration of signature scores and confidence on studies held out in turn."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from okrcell.knowledge.lineage import kin
from okrcell.model.rivals import eased, log_odds
from okrcell.model.signature_head import SignatureHead
from okrcell.training.left_out import LeftOutStudy, Scored, scored
from okrcell.training.signatures import KnownTypes

PANELS = (200, 500, 2000)
"""Numbers of genes of smaller assays."""
RANGE = (0.1, 100.0)
"""Range in which the temperature is searched, in standard scores."""
TAKEN_OUT = 4
"""Number of types per study, the largest ones, that are removed from the candidates in turn."""
ABSENT = 0.1
"""Weight of the trials with a type removed, relative to all trials, in fitting the ratio of the coefficients. The scale of
the confidence is then fitted on the trials with all types."""
MONOTONE = 0.0
"""Lower bound of the coefficients: neither a larger probability nor a larger margin may lower the confidence."""
Trial = tuple[Float[np.ndarray, "cell candidate"], NDArray[np.intp]]


def calibrate_evidence(
    studies: Sequence[LeftOutStudy], known: KnownTypes, head: SignatureHead, genes: NDArray[np.intp], seed: int
) -> dict[str, Any]:
    """Fit temperatures of signature scores, raw and smoothed over neighbors, and the coefficients of the confidence.

    Each study is classified with signatures fitted without its group. Temperatures maximize the likelihood, all studies
    with equal weight, for panels of several sizes. The coefficients of the confidence (`okrcell.model.rivals.sureness`) are
    fitted to whether predictions are right, with all types among the candidates and with one of them removed.

    Returns
    -------
    ``evidence_temperature_by_genes``, ``smoothed_evidence_temperature_by_genes`` (panel size to temperature), ``right``
    (top, lead, bias), ``cells``, ``studies``; empty if no study can be held out.
    """
    usable = [study for study in studies if (study.truth >= 0).sum() >= 2]
    if not usable:
        return {}
    alone, drawn = {}, {}
    whole: list[Scored] = []
    for size in (*(size for size in PANELS if size < len(genes)), len(genes)):
        found = [
            scored(study, known, head, genes, None if size == len(genes) else _panel(study, size, genes, seed))
            for study in usable
        ]
        alone[str(size)] = _best_temperature(
            [(one.scores, study.truth) for one, study in zip(found, usable, strict=True)]
        )
        drawn[str(size)] = _best_temperature(
            [(one.drawn, study.truth) for one, study in zip(found, usable, strict=True)]
        )
        whole = found
    return {
        "evidence_temperature_by_genes": _monotone(alone),
        "smoothed_evidence_temperature_by_genes": _monotone(drawn),
        "right": _sureness(usable, whole, known, head, genes, drawn[str(len(genes))]),
        "cells": int(sum((study.truth >= 0).sum() for study in usable)),
        "studies": [study.name for study in usable],
    }


def _panel(study: LeftOutStudy, size: int, genes: NDArray[np.intp], seed: int) -> NDArray[np.bool_]:
    """Select genes like those of a targeted panel: half the most variable ones, half sampled by the cells expressing them."""
    rng = np.random.default_rng([seed, size])
    cells = np.asarray(study.rows.getnnz(axis=0), dtype=np.float64)
    ours = np.zeros(len(cells), dtype=bool)
    ours[genes] = True
    cells = np.where(ours, cells, 0)
    possible = int((cells > 0).sum())
    if possible <= size:
        return cells > 0
    mean = np.asarray(study.rows.mean(axis=0)).ravel()
    square = np.asarray(study.rows.multiply(study.rows).mean(axis=0)).ravel()
    noisy = np.where(cells >= 5, (square - mean**2) / np.maximum(mean, 1e-9), 0)
    panel = np.zeros(len(cells), dtype=bool)
    panel[np.argsort(-noisy, kind="stable")[: size // 2]] = True
    rest = np.where(panel, 0, cells)
    panel[rng.choice(len(cells), min(size - size // 2, int((rest > 0).sum())), replace=False, p=rest / rest.sum())] = (
        True
    )
    return panel


def _best_temperature(trials: Sequence[Trial]) -> float:
    def surprise(log_heat: float) -> float:
        total = 0.0
        for scores, truth in trials:
            rows = np.flatnonzero((truth >= 0) & np.isfinite(scores).all(axis=1))
            if len(rows) == 0:
                continue
            logs = log_softmax(scores[rows] / np.exp(log_heat), axis=1)
            total -= float(logs[np.arange(len(rows)), truth[rows]].mean())
        return total

    bounds = (float(np.log(RANGE[0])), float(np.log(RANGE[1])))
    found: Any = minimize_scalar(surprise, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def _monotone(fitted: dict[str, float]) -> dict[str, float]:
    """Make temperatures non-decreasing with fewer genes, whatever the noise on few cells."""
    ordered = sorted(fitted, key=int, reverse=True)
    for larger, smaller in pairwise(ordered):
        fitted[smaller] = max(fitted[smaller], fitted[larger])
    return fitted


def _sureness(
    studies: Sequence[LeftOutStudy],
    whole: Sequence[Scored],
    known: KnownTypes,
    head: SignatureHead,
    genes: NDArray[np.intp],
    temperature: float,
) -> dict[str, float]:
    features: list[NDArray[np.floating]] = []
    right: list[NDArray[np.bool_]] = []
    weight: list[NDArray[np.float64]] = []
    complete: list[NDArray[np.bool_]] = []
    for study, found in zip(studies, whole, strict=True):
        rows = np.flatnonzero(study.truth >= 0)
        features.append(_features(found, rows, temperature))
        right.append(found.drawn[rows].argmax(axis=1) == study.truth[rows])
        weight.append(np.full(len(rows), (1 - ABSENT) / len(rows)))
        complete.append(np.ones(len(rows), dtype=bool))
        largest = np.argsort(-np.bincount(study.truth[rows], minlength=len(study.types)), kind="stable")[:TAKEN_OUT]
        for type_number in largest.tolist():
            gone = kin(study.types, [study.types[type_number]])[:, 0]
            left = tuple(term for term, out in zip(study.types, gone.tolist(), strict=True) if not out)
            mine = np.flatnonzero(study.truth == type_number)
            if not left or len(mine) == 0:
                continue
            without = scored(study, known, head, genes, None, left, found.graph)
            features.append(_features(without, mine, temperature))
            right.append(np.zeros(len(mine), dtype=bool))
            weight.append(np.full(len(mine), ABSENT / len(largest) / len(mine)))
            complete.append(np.zeros(len(mine), dtype=bool))
    x, y, w = np.concatenate(features), np.concatenate(right), np.concatenate(weight)
    ok = np.isfinite(x).all(axis=1)
    top, lead, bias = _logistic(x[ok], y[ok], w[ok])
    there = ok & np.concatenate(complete)
    slope, shift = _logistic((x @ (top, lead) + bias)[there, None], y[there], w[there])
    return {"top": slope * top, "lead": slope * lead, "bias": slope * bias + shift}


def _features(found: Scored, rows: NDArray[np.intp], temperature: float) -> NDArray[np.floating]:
    top = softmax(found.drawn[rows] / temperature, axis=1).max(axis=1)
    return np.column_stack([log_odds(top), eased(found.lead[rows])])


def _logistic(x: NDArray[np.floating], y: NDArray[np.bool_], w: NDArray[np.float64]) -> list[float]:
    """Return the coefficients of the columns, none below `MONOTONE`, and the intercept."""
    sign = np.where(y, 1.0, -1.0)

    def surprise(beta: NDArray[np.float64]) -> float:
        return float((w * np.logaddexp(0, -sign * (x @ beta[:-1] + beta[-1]))).sum())

    columns = x.shape[1]
    found: Any = minimize(
        surprise, np.append(np.full(columns, 0.3), 0.0), bounds=[(MONOTONE, None)] * columns + [(None, None)]
    )
    return [float(value) for value in found.x]
