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

from okrcell.cells.tokenise import CellTokeniser
from okrcell.errors import InputError
from okrcell.model.cell_text_model import CellTextModel
from okrcell.pairs.pair import Pairs
from okrcell.texts.describe import label_texts

PANELS = (50, 200, 500, 2000, 8000)
"""Numbers of genes of smaller assays."""
CELLS_OF_A_STUDY = 400
"""Maximum number of cells per study, so that no study dominates."""
FEWEST_CELLS = 30
"""A study with fewer cells is skipped."""
RANGE = (0.005, 1.0)
"""Range in which the temperature is searched."""


@dataclass(frozen=True)
class HeldOut:
    """Cells of one study that were not trained on, with their candidate names."""

    name: str
    rows: sparse.csr_matrix
    truth: NDArray[np.intp]
    """For each cell, the index of its type in ``names``."""
    names: tuple[str, ...]


def calibrate(
    model: CellTextModel, pairs: Pairs, rows: NDArray[np.int64], tokeniser: CellTokeniser, seed: int
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
    studies = _held_out(pairs, rows, seed)
    if not studies:
        return {}
    vocabulary = len(tokeniser.vocabulary)
    chance = pairs.corpus.gene_count().astype(float)
    fitted: dict[str, float] = {}
    for size in (*(size for size in PANELS if size < vocabulary), vocabulary):
        panel = _panel(chance, size, vocabulary, seed)
        scored = [(_similarities(model, study, tokeniser, panel), study.truth) for study in studies]
        fitted[str(size)] = _best_temperature(scored)
    ordered = sorted(fitted, key=int, reverse=True)
    # Fewer genes must not give more confidence, which noise on few cells could suggest.
    for larger, smaller in pairwise(ordered):
        fitted[smaller] = max(fitted[smaller], fitted[larger])
    return {
        "temperature_by_genes": fitted,
        "cells": sum(len(study.truth) for study in studies),
        "studies": [study.name for study in studies],
    }


def _held_out(pairs: Pairs, rows: NDArray[np.int64], seed: int) -> list[HeldOut]:
    rng = np.random.default_rng([seed, 5])
    kind = pairs.cell_type[pairs.description]
    study = pairs.corpus.obs["study"].to_numpy().astype(str)
    found: list[HeldOut] = []
    for name in sorted(set(study[rows].tolist())):
        mine = rows[(study[rows] == name) & (kind[rows] >= 0)]
        possible = np.unique(kind[(study == name) & (kind >= 0)])
        if len(mine) < FEWEST_CELLS or len(possible) < 2:
            continue
        mine = np.sort(rng.permutation(mine)[:CELLS_OF_A_STUDY])
        names = tuple(pairs.cell_type_names[number] for number in possible)
        found.append(HeldOut(name, pairs.corpus.rows(mine), np.searchsorted(possible, kind[mine]), names))
    return found


def _panel(chance: Float[np.ndarray, "gene"], size: int, vocabulary: int, seed: int) -> NDArray[np.bool_] | None:
    """Mask of the measured genes of the gene table; None means all."""
    if size >= vocabulary:
        return None
    rng = np.random.default_rng([seed, size])
    panel = np.zeros(len(chance), dtype=bool)
    panel[rng.choice(len(chance), size=size, replace=False, p=chance / chance.sum())] = True
    return panel


@torch.inference_mode()
def _similarities(
    model: CellTextModel, study: HeldOut, tokeniser: CellTokeniser, panel: NDArray[np.bool_] | None
) -> Float[np.ndarray, "cell candidate"]:
    rows = study.rows if panel is None else sparse.csr_matrix(study.rows @ sparse.diags(panel.astype(np.float32)))
    rows.eliminate_zeros()
    tokens = tokeniser.tokenise(rows)
    cells = model.embed_cells(tokens)
    texts = [
        model.embed_texts(model.text_encoder.tokeniser.tokenise(_texts_of(name))).mean(dim=0) for name in study.names
    ]
    candidates = torch.nn.functional.normalize(torch.stack(texts), dim=-1)
    return (cells @ candidates.T).numpy()


def _texts_of(name: str) -> tuple[str, ...]:
    try:
        return label_texts(name)
    except InputError:
        # An author's label that has the form of an id.
        return (name,)


def _best_temperature(scored: list[tuple[Float[np.ndarray, "cell candidate"], NDArray[np.intp]]]) -> float:
    def surprise(log_heat: float) -> float:
        total = 0.0
        for scores, truth in scored:
            logits = torch.from_numpy(scores).double() / float(np.exp(log_heat))
            total += float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(truth)))
        return total

    found: Any = minimize_scalar(surprise, bounds=(float(np.log(RANGE[0])), float(np.log(RANGE[1]))), method="bounded")
    return float(np.exp(found.x))
