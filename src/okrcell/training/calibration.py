"""Calibration on held-out cells: temperatures of similarities and of signature scores, and the confidence."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import softmax

from okrcell.cells.tokenizer import CellTokenizer, measured_genes
from okrcell.data.dataset import PairDataset
from okrcell.descriptions.metadata_text import label_texts
from okrcell.errors import InputError
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.marker_scores import log_odds, signed_sqrt
from okrcell.model.signatures import SignatureHead
from okrcell.ontology.relations import related
from okrcell.temperature import fit_temperature, nll
from okrcell.training.cell_type_profiles import KnownTypes
from okrcell.training.held_out_studies import HeldOutStudy, StudyScores, score_study

EVIDENCE_PANEL_SIZES = (200, 500, 2000)
"""Numbers of genes of smaller assays."""
EVIDENCE_TEMPERATURE_RANGE = (0.1, 100.0)
"""Range in which the temperature is searched, in standard scores."""
MAX_REMOVED_TYPES = 4
"""Number of types per study, the largest ones, that are removed from the candidates in turn."""
DIRECTION_WEIGHTS = (0.5, 0.45, 0.05)
"""Weights of a study's trials in the fit of the ratio of the coefficients: with its own types, with one of them removed, with
the types of other studies. Whether a type is missing is what the ratio must tell."""
REMOVED_TYPE_WEIGHT, OTHER_LIST_WEIGHT = 0.05, 0.05
"""Weights of the trials in which no candidate is right, relative to all trials of a study: those with one of its types
removed, and those with the types of another study, none of which it has. They are the assumed frequency of such lists."""
MAX_OTHER_LISTS = 4
"""Maximum number of other studies whose types are offered to a study."""
MIN_OTHER_TYPES = 3
"""Minimum number of types of such a list, after the types that the study may have are removed."""
MIN_COEFFICIENT = 0.0
"""Lower bound of the coefficients: neither a larger probability nor a larger margin may lower the confidence."""
SIMILARITY_PANEL_SIZES = (50, 200, 500, 2000, 8000)
"""Numbers of genes of smaller assays."""
MAX_CELLS_PER_STUDY = 400
"""Maximum number of cells per study, so that no study dominates."""
MIN_CELLS_PER_STUDY = 30
"""A study with fewer cells is skipped."""
SIMILARITY_TEMPERATURE_RANGE = (0.005, 1.0)
"""Range in which the temperature is searched."""


def calibrate_signatures(
    studies: Sequence[HeldOutStudy], known_types: KnownTypes, head: SignatureHead, genes: NDArray[np.intp], seed: int
) -> dict[str, Any]:
    """Fit temperatures of signature scores, raw and smoothed over neighbors, and the coefficients of the confidence.

    Each study is classified with signatures fitted without its group. Temperatures maximize the likelihood, all studies
    with equal weight, for panels of several sizes. The coefficients of the confidence
    (`okrcell.model.marker_scores.confidence_from_margin`) are fitted to whether predictions are right (`fit_confidence`), for
    each size too: fewer genes give smaller margins, which say the same.

    Returns
    -------
    ``evidence_temperature_by_genes``, ``smoothed_evidence_temperature_by_genes`` (panel size to temperature),
    ``right_by_genes`` (panel size to top, lead, bias), ``cells``, ``studies``; empty if no study can be held out.
    """
    usable = [study for study in studies if (study.truth >= 0).sum() >= 2]
    if not usable:
        return {}
    raw, smoothed, right = {}, {}, dict[str, dict[str, float]]()
    for size in (len(genes), *(size for size in reversed(EVIDENCE_PANEL_SIZES) if size < len(genes))):
        panels = [None if size == len(genes) else _assay_panel(study, size, genes, seed) for study in usable]
        study_scores = [
            score_study(study, known_types, head, genes, panel) for study, panel in zip(usable, panels, strict=True)
        ]
        scored = list(zip(study_scores, usable, strict=True))
        for temperatures, trials in (
            (raw, [(scores.scores, study.truth) for scores, study in scored]),
            (smoothed, [(scores.smoothed, study.truth) for scores, study in scored]),
        ):
            temperatures[str(size)] = fit_temperature(partial(nll, trials), EVIDENCE_TEMPERATURE_RANGE)
            _monotone(temperatures)
        right[str(size)] = fit_confidence(
            usable, study_scores, known_types, head, genes, smoothed[str(size)], seed, panels
        )
    return {
        "evidence_temperature_by_genes": raw,
        "smoothed_evidence_temperature_by_genes": smoothed,
        "right_by_genes": right,
        "cells": int(sum((study.truth >= 0).sum() for study in usable)),
        "studies": [study.name for study in usable],
    }


def _assay_panel(study: HeldOutStudy, size: int, genes: NDArray[np.intp], seed: int) -> NDArray[np.bool_]:
    """Select genes like those of a targeted panel: half the most variable ones, half sampled by the cells expressing them."""
    rng = np.random.default_rng([seed, size])
    cells = np.asarray(study.rows.getnnz(axis=0), dtype=np.float64)
    in_model = np.zeros(len(cells), dtype=bool)
    in_model[genes] = True
    cells = np.where(in_model, cells, 0)
    n_expressed = int((cells > 0).sum())
    if n_expressed <= size:
        return cells > 0
    mean = np.asarray(study.rows.mean(axis=0)).ravel()
    square = np.asarray(study.rows.multiply(study.rows).mean(axis=0)).ravel()
    dispersion = np.where(cells >= 5, (square - mean**2) / np.maximum(mean, 1e-9), 0)
    panel = np.zeros(len(cells), dtype=bool)
    panel[np.argsort(-dispersion, kind="stable")[: size // 2]] = True
    remaining = np.where(panel, 0, cells)
    panel[
        rng.choice(
            len(cells), min(size - size // 2, int((remaining > 0).sum())), replace=False, p=remaining / remaining.sum()
        )
    ] = True
    return panel


def _monotone(temperatures: dict[str, float]) -> dict[str, float]:
    """Make temperatures non-decreasing with fewer genes, in place: noise on few cells must not raise the confidence."""
    ordered = sorted(temperatures, key=int, reverse=True)
    for larger, smaller in pairwise(ordered):
        temperatures[smaller] = max(temperatures[smaller], temperatures[larger])
    return temperatures


@dataclass(frozen=True)
class _Trial:
    """Candidates offered to the cells of a study, and whether the prediction is right."""

    scores: StudyScores
    rows: NDArray[np.intp]
    correct: NDArray[np.bool_]
    weight: float
    direction_weight: float


def fit_confidence(
    studies: Sequence[HeldOutStudy],
    study_scores: Sequence[StudyScores],
    known_types: KnownTypes,
    head: SignatureHead,
    genes: NDArray[np.intp],
    temperature: float,
    seed: int,
    panels: Sequence[NDArray[np.bool_] | None] | None = None,
) -> dict[str, float]:
    """Fit the coefficients of the confidence to whether predictions are right, all studies with equal weight (ours).

    Each study is offered its own types; its own types without one of them, for the cells of that type; and the types of other
    studies, none of which is equal to, broader or narrower than one of its own. In the latter two no prediction is right. The
    ratio of the two coefficients is fitted with `DIRECTION_WEIGHTS`, then scale and intercept with the assumed frequencies of
    the trials (`REMOVED_TYPE_WEIGHT`, `OTHER_LIST_WEIGHT`): fitted at once, the rare trials would have no say in the ratio.

    Parameters
    ----------
    studies
        Studies with at least two types.
    study_scores
        Scores of each study for its own types, on its panel.
    temperature
        Softmax temperature of the smoothed scores.
    seed
        Seed of the choice of the other studies.
    panels
        Measured genes of each study; all by default.

    Returns
    -------
    Coefficients of `okrcell.model.marker_scores.confidence_from_margin`: top, lead, bias.
    """
    features: list[NDArray[np.floating]] = []
    correct: list[NDArray[np.bool_]] = []
    sample_weight: list[NDArray[np.float64]] = []
    direction_weight: list[NDArray[np.float64]] = []
    for study, scores, panel in zip(studies, study_scores, panels or [None] * len(studies), strict=True):
        score = partial(score_study, study, known_types, head, genes, panel, graph=scores.graph)
        for trial in (
            _own_types_trial(study, scores),
            *_removed_type_trials(study, score),
            *_other_list_trials(study, studies, score, seed),
        ):
            features.append(_features(trial.scores, trial.rows, temperature))
            correct.append(trial.correct)
            sample_weight.append(np.full(len(trial.rows), trial.weight / len(trial.rows)))
            direction_weight.append(np.full(len(trial.rows), trial.direction_weight / len(trial.rows)))
    x, y = np.concatenate(features), np.concatenate(correct)
    finite = np.isfinite(x).all(axis=1)
    x, y = x[finite], y[finite]
    direction = np.array(fit_logistic(x, y, np.concatenate(direction_weight)[finite])[:-1])
    scale, bias = fit_logistic((x @ direction)[:, None], y, np.concatenate(sample_weight)[finite])
    top, margin_weight = (scale * direction).tolist()
    return {"top": top, "lead": margin_weight, "bias": bias}


def _own_types_trial(study: HeldOutStudy, scores: StudyScores) -> _Trial:
    rows = np.flatnonzero(study.truth >= 0)
    right = scores.smoothed[rows].argmax(axis=1) == study.truth[rows]
    return _Trial(scores, rows, right, 1 - REMOVED_TYPE_WEIGHT - OTHER_LIST_WEIGHT, DIRECTION_WEIGHTS[0])


def _removed_type_trials(study: HeldOutStudy, score: Callable[..., StudyScores]) -> Iterator[_Trial]:
    n_cells = np.bincount(study.truth[study.truth >= 0], minlength=len(study.types))
    largest = np.argsort(-n_cells, kind="stable")[:MAX_REMOVED_TYPES]
    for type_index in largest.tolist():
        is_removed = related(study.types, [study.types[type_index]])[:, 0].tolist()
        remaining = tuple(term for term, removed in zip(study.types, is_removed, strict=True) if not removed)
        rows = np.flatnonzero(study.truth == type_index)
        if remaining and len(rows):
            wrong = np.zeros(len(rows), dtype=bool)
            yield _Trial(
                score(types=remaining),
                rows,
                wrong,
                REMOVED_TYPE_WEIGHT / len(largest),
                DIRECTION_WEIGHTS[1] / len(largest),
            )


def _other_list_trials(
    study: HeldOutStudy, studies: Sequence[HeldOutStudy], score: Callable[..., StudyScores], seed: int
) -> Iterator[_Trial]:
    lists: list[tuple[str, ...]] = []
    for other in studies:
        is_own = np.asarray(related(other.types, study.types).any(axis=1))
        lists.append(tuple(other.types[idx] for idx in np.flatnonzero(~is_own).tolist()))
    usable = sorted({types for types in lists if len(types) >= MIN_OTHER_TYPES})
    rng = np.random.default_rng([seed, zlib.crc32(study.name.encode())])
    selected = [usable[idx] for idx in rng.permutation(len(usable))[:MAX_OTHER_LISTS].tolist()]
    rows = np.flatnonzero(study.truth >= 0)
    for types in selected:
        yield _Trial(
            score(types=types),
            rows,
            np.zeros(len(rows), dtype=bool),
            OTHER_LIST_WEIGHT / len(selected),
            DIRECTION_WEIGHTS[2] / len(selected),
        )


def _features(scores: StudyScores, rows: NDArray[np.intp], temperature: float) -> NDArray[np.floating]:
    top = softmax(scores.smoothed[rows] / temperature, axis=1).max(axis=1)
    return np.column_stack([log_odds(top), signed_sqrt(scores.margin[rows])])


def fit_logistic(x: NDArray[np.floating], y: NDArray[np.bool_], w: NDArray[np.float64]) -> list[float]:
    """Return the coefficients of the columns, none below `MIN_COEFFICIENT`, and the intercept."""
    sign = np.where(y, 1.0, -1.0)

    def nll(beta: NDArray[np.float64]) -> float:
        return float((w * np.logaddexp(0, -sign * (x @ beta[:-1] + beta[-1]))).sum())

    columns = x.shape[1]
    result: Any = minimize(
        nll, np.append(np.full(columns, 0.3), 0.0), bounds=[(MIN_COEFFICIENT, None)] * columns + [(None, None)]
    )
    return [float(value) for value in result.x]


@dataclass(frozen=True)
class CalibrationStudy:
    """Cells of one study that were not trained on, with their candidate names."""

    name: str
    rows: sparse.csr_matrix
    truth: NDArray[np.intp]
    """For each cell, the index of its type in ``names``."""
    names: tuple[str, ...]


def calibrate_similarity(
    model: CellTextModel, pairs: PairDataset, rows: NDArray[np.int64], tokenizer: CellTokenizer, seed: int
) -> dict[str, Any]:
    """Fit the temperature at which a softmax over similarities is the probability of being right.

    Held-out cells are classified among the types of their own study, with all genes and with random panels of several sizes
    (genes sampled by the number of cells that express them). For each size the temperature with the highest likelihood is
    used.

    Returns
    -------
    ``temperature_by_genes`` (panel size to temperature), ``cells``, ``studies``; empty if no held-out study has two types
    and enough cells.
    """
    studies = _calibration_studies(pairs, rows, seed)
    if not studies:
        return {}
    n_genes = len(tokenizer.vocabulary)
    cells_per_gene = pairs.corpus.gene_count().astype(float)
    temperatures: dict[str, float] = {}
    for size in (*(size for size in SIMILARITY_PANEL_SIZES if size < n_genes), n_genes):
        panel = _random_panel(cells_per_gene, size, n_genes, seed)
        trials = [(_similarities(model, study, tokenizer, panel), study.truth) for study in studies]
        temperatures[str(size)] = fit_temperature(partial(nll, trials), SIMILARITY_TEMPERATURE_RANGE)
    return {
        "temperature_by_genes": _monotone(temperatures),
        "cells": sum(len(study.truth) for study in studies),
        "studies": [study.name for study in studies],
    }


def _calibration_studies(pairs: PairDataset, rows: NDArray[np.int64], seed: int) -> list[CalibrationStudy]:
    rng = np.random.default_rng([seed, 5])
    cell_type = pairs.cell_type[pairs.description]
    study_of_cell = pairs.corpus.obs["study"].to_numpy().astype(str)
    studies: list[CalibrationStudy] = []
    for name in sorted(set(study_of_cell[rows].tolist())):
        study_rows = rows[(study_of_cell[rows] == name) & (cell_type[rows] >= 0)]
        candidate_types = np.unique(cell_type[(study_of_cell == name) & (cell_type >= 0)])
        if len(study_rows) < MIN_CELLS_PER_STUDY or len(candidate_types) < 2:
            continue
        study_rows = np.sort(rng.permutation(study_rows)[:MAX_CELLS_PER_STUDY])
        names = tuple(pairs.cell_type_names[i] for i in candidate_types)
        studies.append(
            CalibrationStudy(
                name, pairs.corpus.rows(study_rows), np.searchsorted(candidate_types, cell_type[study_rows]), names
            )
        )
    return studies


def _random_panel(
    cells_per_gene: Float[np.ndarray, "gene"], size: int, n_genes: int, seed: int
) -> NDArray[np.bool_] | None:
    """Mask of the measured genes of the gene table; None means all."""
    if size >= n_genes:
        return None
    rng = np.random.default_rng([seed, size])
    panel = np.zeros(len(cells_per_gene), dtype=bool)
    panel[rng.choice(len(cells_per_gene), size=size, replace=False, p=cells_per_gene / cells_per_gene.sum())] = True
    return panel


@torch.inference_mode()
def _similarities(
    model: CellTextModel, study: CalibrationStudy, tokenizer: CellTokenizer, panel: NDArray[np.bool_] | None
) -> Float[np.ndarray, "cell candidate"]:
    rows = study.rows if panel is None else sparse.csr_matrix(study.rows @ sparse.diags(panel.astype(np.float32)))
    rows.eliminate_zeros()
    tokens = tokenizer.tokenize(rows, measured=measured_genes(rows))
    cells = model.embed_cells(tokens)
    texts = [
        model.embed_texts(model.text_encoder.tokenizer.tokenize(_prompt_texts(name))).mean(dim=0)
        for name in study.names
    ]
    candidates = torch.nn.functional.normalize(torch.stack(texts), dim=-1)
    return (cells @ candidates.T).numpy()


def _prompt_texts(name: str) -> tuple[str, ...]:
    try:
        return label_texts(name)
    except InputError:
        # An author's label that has the form of an id.
        return (name,)
