"""Temperature calibration of similarities on held-out cells."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize_scalar

from okrcell.cells.tokenizer import CellTokenizer
from okrcell.errors import InputError
from okrcell.model.cell_text_model import CellTextModel
from okrcell.data.dataset import PairDataset
from okrcell.texts.describe import label_texts

SIMILARITY_PANEL_SIZES = (50, 200, 500, 2000, 8000)
"""Numbers of genes of smaller assays."""
MAX_CELLS_PER_STUDY = 400
"""Maximum number of cells per study, so that no study dominates."""
MIN_CELLS_PER_STUDY = 30
"""A study with fewer cells is skipped."""
SIMILARITY_TEMPERATURE_RANGE = (0.005, 1.0)
"""Range in which the temperature is searched."""


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
        scored_studies = [(_similarities(model, study, tokenizer, panel), study.truth) for study in studies]
        temperatures[str(size)] = _fit_similarity_temperature(scored_studies)
    ordered = sorted(temperatures, key=int, reverse=True)
    # Fewer genes must not give more confidence, which noise on few cells could suggest.
    for larger, smaller in pairwise(ordered):
        temperatures[smaller] = max(temperatures[smaller], temperatures[larger])
    return {
        "temperature_by_genes": temperatures,
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
    tokens = tokenizer.tokenize(rows)
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


def _fit_similarity_temperature(
    scored_studies: list[tuple[Float[np.ndarray, "cell candidate"], NDArray[np.intp]]],
) -> float:
    def nll(log_temperature: float) -> float:
        total = 0.0
        for scores, truth in scored_studies:
            logits = torch.from_numpy(scores).double() / float(np.exp(log_temperature))
            total += float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(truth)))
        return total

    result: Any = minimize_scalar(
        nll,
        bounds=(float(np.log(SIMILARITY_TEMPERATURE_RANGE[0])), float(np.log(SIMILARITY_TEMPERATURE_RANGE[1]))),
        method="bounded",
    )
    return float(np.exp(result.x))
