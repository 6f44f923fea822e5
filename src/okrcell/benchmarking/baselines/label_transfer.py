"""Label transfer: a logistic regression on all public cells at hand, for those who have no reference of their own."""

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
"""Of each type in each study so many at most, so that no study has all the say."""
LEAST_SHARED = 0.5
"""A study that measured less than this share of the query's genes is not asked."""
Study = tuple[AnnData, NDArray[np.str_]]


class FromPretraining:
    """Learns from the cells that the model may learn from, and names by what it learned."""

    def __init__(self, surroundings: Surroundings) -> None:
        if surroundings.data is None or not (surroundings.data / FOLDER).is_dir():
            raise InputError(
                f"Label transfer learns from a folder {FOLDER} in the data; name the data's folder: --data"
            )
        self._folder = surroundings.data / FOLDER

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Learn on log1p of counts per 10,000 of the query's genes, and name each cell.

        A labelled cell stands for the candidate that it is, or that it is a kind of (the narrowest such); others are left
        out. A gene that a study did not measure is zero in it. A candidate without any cell is never given.
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
        # More cells of one type weigh no more than few of another: it is not known how common each is in the query.
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
    """Open the labelled single-cell files of the folder, with the Cell Ontology id of each cell; once for a process."""
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
    """Return what leads an id to the candidate that it is, or is a kind of; "" if there is none."""
    home = ontology("CL")

    @cache
    def stands(word: str) -> str:
        if word in candidates or not word:
            return word
        above = home.ancestors(word)
        # Of several the one that has the most above it itself is the narrowest.
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
