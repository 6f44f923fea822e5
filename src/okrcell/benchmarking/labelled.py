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
from okrcell.cells.open import open_cells
from okrcell.errors import InputError
from okrcell.knowledge.ontology import prefix_of
from okrcell.pairs.pair import Pairs
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate, candidates

TRUTH = "cell_type_ontology_term_id"
"""Column of obs with the true types."""
CELLS_OF_A_STUDY = 2000
"""Maximum number of cells of a held-out study, drawn with a fixed seed."""


@dataclass(frozen=True)
class LabelledCells:
    """Cells of one file or study that have a Cell Ontology id."""

    name: str
    rows: sparse.csr_matrix
    """Expression on the gene table's axis, float32 (cell, gene)."""
    truth: NDArray[np.intp]
    """Index of each cell's type in ``candidates``."""
    candidates: tuple[Candidate, ...]
    """All types of the file or study."""


def truth_of(adata: AnnData, file: Path) -> NDArray[np.str_]:
    """Return the Cell Ontology id of each cell, "" where there is none.

    Raises
    ------
    InputError
        If the file has no column of Cell Ontology ids.
    """
    if TRUTH not in adata.obs:
        raise InputError(
            f"{file} has no obs column {TRUTH}, which scoring needs. `okrcell standardise` maps labels to ids."
        )
    words = pd.DataFrame(adata.obs)[TRUTH].astype(str).to_numpy(dtype=np.str_)
    return np.where(np.char.startswith(words, f"{CELL_ONTOLOGY}:"), words, "")


def labelled_file(file: Path) -> LabelledCells:
    """Read the cells of a file that have a Cell Ontology id.

    Raises
    ------
    InputError
        If the file cannot be read, or has no column of Cell Ontology ids.
    """
    adata = open_cells(file)
    truth = truth_of(adata, file)
    rows = sparse.csr_matrix(sparse.vstack(list(read_expression(adata).blocks())))
    known = truth != ""
    return _labelled(file.stem, sparse.csr_matrix(rows[known]), truth[known].tolist())


def held_out_studies(pairs: Pairs, studies: Sequence[str]) -> list[LabelledCells]:
    """Read cells of held-out studies from the corpus; studies with a single type are skipped."""
    types = [name if prefix_of(name) == CELL_ONTOLOGY else "" for name in pairs.cell_type_names]
    of_description = np.array([*types, ""])[pairs.cell_type]
    study = pairs.corpus.obs["study"].to_numpy().astype(str)
    found: list[LabelledCells] = []
    for name in studies:
        mine = np.flatnonzero(study == name)
        mine = mine[of_description[pairs.description[mine]] != ""]
        mine = np.sort(np.random.default_rng(0).permutation(mine)[:CELLS_OF_A_STUDY])
        truth = of_description[pairs.description[mine]].tolist()
        if len(set(truth)) > 1:
            found.append(_labelled(name, pairs.corpus.rows(mine), truth))
    return found


def _labelled(name: str, rows: sparse.csr_matrix, truth: list[str]) -> LabelledCells:
    # An obsolete id and its replacement are the same candidate.
    current = {word: candidates([word])[0] for word in sorted(set(truth))}
    some = {candidate.term_id: candidate for candidate in current.values()}
    place = {term_id: number for number, term_id in enumerate(some)}
    places = np.array([place[current[word].term_id] for word in truth], dtype=np.intp)
    return LabelledCells(name, rows, places, tuple(some.values()))
