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

from okrcell.benchmarking.baselines.classical import MAX_ITER, annotation_from_scores, expressed_rows
from okrcell.benchmarking.methods import Annotation, MethodContext, get_matrix, log_normalize, unlabeled_cells
from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology

PRETRAINING_DIR = "pretrain"
TERM_KEY = "cell_type_ontology_term_id"
MAX_TYPE_CELLS = 100
"""Maximum number of cells per type and study, so that no study dominates."""
MIN_SHARED_FRACTION = 0.5
"""Studies that measured a smaller fraction of the query's genes are left out."""
StudyCells = tuple[AnnData, NDArray[np.str_]]


class PretrainingLabelTransfer:
    """Train on the labelled cells of the folder ``pretrain``, and annotate the query."""

    def __init__(self, context: MethodContext) -> None:
        if context.data is None or not (context.data / PRETRAINING_DIR).is_dir():
            raise InputError(
                f"Label transfer trains on the folder {PRETRAINING_DIR} of the data, which is missing; give the data folder "
                "with --data"
            )
        self._folder = context.data / PRETRAINING_DIR

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Annotation:
        """Train on log1p of counts per 10,000 of the query's genes, and label each cell.

        A training cell counts for the candidate that equals its type, or else for the narrowest candidate that is an ancestor
        of it; other cells are left out. Genes that a study did not measure are zero. A candidate without training cells is
        never predicted.
        """
        from sklearn.linear_model import LogisticRegression

        rows = expressed_rows(query)
        matrices: list[sparse.csr_matrix] = []
        labels: list[NDArray[np.str_]] = []
        to_candidate = _candidate_mapper(candidates)
        for cells, term in read_studies(self._folder):
            label = np.array([to_candidate(term_id) for term_id in term.tolist()], dtype=np.str_)
            shared = query.var_names.isin(cells.var_names)
            if shared.mean() < MIN_SHARED_FRACTION or not (label != "").any():
                continue
            matrices.append(_align_genes(cells[label != ""], query.var_names))
            labels.append(label[label != ""])
        if not matrices or len(np.unique(np.concatenate(labels))) < 2:
            return Annotation(np.full(query.n_obs, "", dtype=np.str_), tuple(candidates))
        # Balanced classes: the frequencies of types in the query are unknown.
        model = LogisticRegression(max_iter=MAX_ITER, class_weight="balanced")
        model.fit(sparse.vstack(matrices), np.concatenate(labels))
        scores = np.zeros((len(rows), len(candidates)))
        index = {candidate: i for i, candidate in enumerate(candidates)}
        scores[:, [index[term_id] for term_id in model.classes_.tolist()]] = model.predict_proba(
            get_matrix(log_normalize(query[rows].copy()))
        )
        return annotation_from_scores(scores, candidates, rows, query.n_obs)


@cache
def read_studies(folder: Path) -> tuple[StudyCells, ...]:
    """Read the labelled files of the folder, with the Cell Ontology id of each cell; cached per process."""
    loaded: list[StudyCells] = []
    current = cache(ontology("CL").current_id)
    for file in sorted(folder.glob("*.h5ad")):
        adata = anndata.read_h5ad(file)
        if TERM_KEY not in adata.obs:
            continue
        term = np.array([current(term_id) or "" for term_id in adata.obs[TERM_KEY].astype(str)], dtype=np.str_)
        rows: list[NDArray[np.intp]] = []
        for term_id in np.unique(term[term != ""]).tolist():
            type_rows = np.flatnonzero(term == term_id)
            rows.append(np.random.default_rng(0).permutation(type_rows)[:MAX_TYPE_CELLS])
        if rows:
            selected = np.sort(np.concatenate(rows))
            loaded.append((unlabeled_cells(adata[selected].copy()), term[selected]))
    return tuple(loaded)


def _candidate_mapper(candidates: Sequence[str]) -> Callable[[str], str]:
    """Return a function that maps an id to the candidate that equals it, or is its narrowest ancestor; "" without one."""
    cell_ontology = ontology("CL")

    @cache
    def to_candidate(term_id: str) -> str:
        if term_id in candidates or not term_id:
            return term_id
        ancestors = cell_ontology.ancestors(term_id)
        # The narrowest candidate has the most ancestors.
        matching = [candidate for candidate in candidates if candidate in ancestors]
        return max(matching, key=lambda candidate: (len(cell_ontology.ancestors(candidate)), candidate), default="")

    return to_candidate


def _align_genes(cells: AnnData, genes: pd.Index) -> sparse.csr_matrix:
    """Return log1p of counts per 10,000 on the given genes alone, zero where a gene was not measured."""
    index = {gene: i for i, gene in enumerate(genes)}
    shared_genes = [gene for gene in cells.var_names if gene in index]
    log_expr = sparse.coo_matrix(get_matrix(log_normalize(cells[:, shared_genes].copy())))
    column = np.array([index[gene] for gene in shared_genes], dtype=np.intp)
    return sparse.csr_matrix((log_expr.data, (log_expr.row, column[log_expr.col])), shape=(cells.n_obs, len(index)))
