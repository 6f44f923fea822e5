"""Labelled cells of a file or study, with the candidate types."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.cells.io import open_cells
from okrcell.data.dataset import PairDataset
from okrcell.errors import InputError
from okrcell.ontology.ontology import prefix_of
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate, parse_candidates

TRUE_TYPE_KEY = "cell_type_ontology_term_id"
"""Column of obs with the true types."""
MAX_STUDY_CELLS = 2000
"""Maximum number of cells of a held-out study, drawn with a fixed seed."""


@dataclass(frozen=True)
class LabeledCells:
    """Cells of one file or study that have a Cell Ontology id."""

    name: str
    rows: sparse.csr_matrix
    """Expression on the gene table's axis, float32 (cell, gene)."""
    truth: NDArray[np.intp]
    """Index of each cell's type in ``candidates``."""
    candidates: tuple[Candidate, ...]
    """All types of the file or study."""


def true_types(adata: AnnData, file: Path) -> NDArray[np.str_]:
    """Return the Cell Ontology id of each cell, "" where there is none.

    Raises
    ------
    InputError
        If the file has no column of Cell Ontology ids.
    """
    if TRUE_TYPE_KEY not in adata.obs:
        raise InputError(
            f"{file} has no obs column {TRUE_TYPE_KEY}, which scoring needs. `okrcell standardise` maps labels to ids."
        )
    term_ids = pd.DataFrame(adata.obs)[TRUE_TYPE_KEY].astype(str).to_numpy(dtype=np.str_)
    return np.where(np.char.startswith(term_ids, f"{CELL_ONTOLOGY}:"), term_ids, "")


def read_labeled_file(file: Path) -> LabeledCells:
    """Read the cells of a file that have a Cell Ontology id.

    Raises
    ------
    InputError
        If the file cannot be read, or has no column of Cell Ontology ids.
    """
    adata = open_cells(file)
    truth = true_types(adata, file)
    rows = sparse.csr_matrix(sparse.vstack(list(read_expression(adata).blocks())))
    mask = truth != ""
    return _labeled_cells(file.stem, sparse.csr_matrix(rows[mask]), truth[mask].tolist())


def read_held_out_studies(pairs: PairDataset, studies: Sequence[str]) -> list[LabeledCells]:
    """Read cells of held-out studies from the corpus; studies with a single type are skipped."""
    types = [name if prefix_of(name) == CELL_ONTOLOGY else "" for name in pairs.cell_type_names]
    type_of_description = np.array([*types, ""])[pairs.cell_type]
    study = pairs.corpus.obs["study"].to_numpy().astype(str)
    labeled_studies: list[LabeledCells] = []
    for name in studies:
        rows = np.flatnonzero(study == name)
        rows = rows[type_of_description[pairs.description[rows]] != ""]
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MAX_STUDY_CELLS])
        truth = type_of_description[pairs.description[rows]].tolist()
        if len(set(truth)) > 1:
            labeled_studies.append(_labeled_cells(name, pairs.corpus.rows(rows), truth))
    return labeled_studies


def _labeled_cells(name: str, rows: sparse.csr_matrix, truth: list[str]) -> LabeledCells:
    # An obsolete id and its replacement are the same candidate.
    current = {term: parse_candidates([term])[0] for term in sorted(set(truth))}
    unique_candidates = {candidate.term_id: candidate for candidate in current.values()}
    index = {term_id: i for i, term_id in enumerate(unique_candidates)}
    indices = np.array([index[current[term].term_id] for term in truth], dtype=np.intp)
    return LabeledCells(name, rows, indices, tuple(unique_candidates.values()))
