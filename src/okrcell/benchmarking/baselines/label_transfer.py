"""Label transfer from the pretraining sets: logistic regression on public labelled cells instead of a reference."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.benchmarking.baselines.ground import expressed, named_in_place
from okrcell.benchmarking.baselines.logistic_regression import ITERATIONS
from okrcell.benchmarking.cells import bare, log_normalised, values_of
from okrcell.benchmarking.method import Named, Surroundings
from okrcell.errors import InputError
from okrcell.knowledge.ontology import ontology

FOLDER = "pretrain"
TERM = "cell_type_ontology_term_id"
CELLS_OF_A_TYPE = 100
"""Maximum number of cells per type and study, so that no study dominates."""
LEAST_SHARED = 0.5
"""Studies that measured a smaller fraction of the query's genes are left out."""
Study = tuple[AnnData, NDArray[np.str_]]


class FromPretraining:
    """Train on the labelled cells of the folder ``pretrain``, and annotate the query."""

    def __init__(self, surroundings: Surroundings) -> None:
        if surroundings.data is None or not (surroundings.data / FOLDER).is_dir():
            raise InputError(
                f"Label transfer trains on the folder {FOLDER} of the data, which is missing; give the data folder with --data"
            )
        self._folder = surroundings.data / FOLDER

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Train on log1p of counts per 10,000 of the query's genes, and label each cell.

        A training cell counts for the candidate that equals its type, or else for the narrowest candidate that is an ancestor
        of it; other cells are left out. Genes that a study did not measure are zero. A candidate without training cells is
        never predicted.
        """
        from sklearn.linear_model import LogisticRegression

        rows = expressed(query)
        parts: list[sparse.csr_matrix] = []
        given: list[NDArray[np.str_]] = []
        stands = _standing_for(candidates)
        for cells, term in studies(self._folder):
            label = np.array([stands(word) for word in term.tolist()], dtype=np.str_)
            shared = query.var_names.isin(cells.var_names)
            if shared.mean() < LEAST_SHARED or not (label != "").any():
                continue
            parts.append(_on_genes(cells[label != ""], query.var_names))
            given.append(label[label != ""])
        if not parts or len(np.unique(np.concatenate(given))) < 2:
            return Named(np.full(query.n_obs, "", dtype=np.str_), tuple(candidates))
        # Balanced classes: the frequencies of types in the query are unknown.
        model = LogisticRegression(max_iter=ITERATIONS, class_weight="balanced")
        model.fit(sparse.vstack(parts), np.concatenate(given))
        scores = np.zeros((len(rows), len(candidates)))
        place = {candidate: number for number, candidate in enumerate(candidates)}
        scores[:, [place[word] for word in model.classes_.tolist()]] = model.predict_proba(
            values_of(log_normalised(query[rows].copy()))
        )
        return named_in_place(scores, candidates, rows, query.n_obs)


@cache
def studies(folder: Path) -> tuple[Study, ...]:
    """Read the labelled files of the folder, with the Cell Ontology id of each cell; cached per process."""
    found: list[Study] = []
    current = cache(ontology("CL").current)
    for file in sorted(folder.glob("*.h5ad")):
        adata = anndata.read_h5ad(file)
        if TERM not in adata.obs:
            continue
        term = np.array([current(word) or "" for word in adata.obs[TERM].astype(str)], dtype=np.str_)
        chosen: list[NDArray[np.intp]] = []
        for word in np.unique(term[term != ""]).tolist():
            mine = np.flatnonzero(term == word)
            chosen.append(np.random.default_rng(0).permutation(mine)[:CELLS_OF_A_TYPE])
        if chosen:
            some = np.sort(np.concatenate(chosen))
            found.append((bare(adata[some].copy()), term[some]))
    return tuple(found)


def _standing_for(candidates: Sequence[str]) -> Callable[[str], str]:
    """Return a function that maps an id to the candidate that equals it, or is its narrowest ancestor; "" without one."""
    home = ontology("CL")

    @cache
    def stands(word: str) -> str:
        if word in candidates or not word:
            return word
        above = home.ancestors(word)
        # The narrowest candidate has the most ancestors.
        kinds = [one for one in candidates if one in above]
        return max(kinds, key=lambda one: (len(home.ancestors(one)), one), default="")

    return stands


def _on_genes(cells: AnnData, genes: pd.Index) -> sparse.csr_matrix:
    """Return log1p of counts per 10,000 on the given genes alone, zero where a gene was not measured."""
    place = {gene: number for number, gene in enumerate(genes)}
    known = [gene for gene in cells.var_names if gene in place]
    logs = sparse.coo_matrix(values_of(log_normalised(cells[:, known].copy())))
    column = np.array([place[gene] for gene in known], dtype=np.intp)
    return sparse.csr_matrix((logs.data, (logs.row, column[logs.col])), shape=(cells.n_obs, len(place)))
