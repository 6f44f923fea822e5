"""Main axes of the variation of expression within cell types, from labelled cells of the corpus (ours)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh

from okrcell.data.dataset import PairDataset
from okrcell.model.cell_encoder import MIN_SPREAD
from okrcell.model.marker_scores import GenePanel
from okrcell.model.signatures import SignatureHead, TypeVariation
from okrcell.training.cell_type_profiles import MIN_CELLS, StudyCells, iter_studies

N_AXES = 32
"""Number of axes; more did not separate types better."""
MAX_CELLS_PER_TYPE = 40
"""Maximum number of cells of a type in a study."""
MIN_CELLS_PER_TYPE = 5
"""Minimum number of cells of a type in a study: the mean of fewer is no mean of the type."""
MAX_RESIDUAL = 8.0
"""Larger residuals, in spreads, are cut."""


def fit_type_variation(
    pairs: PairDataset,
    rows: NDArray[np.int64],
    genes: NDArray[np.intp],
    head: SignatureHead,
    overlapping: Mapping[str, str],
    seed: int,
) -> TypeVariation | None:
    """Return the strongest singular vectors of the residuals of cells from the mean of their type in their study.

    Residuals are in units of the spread of each gene. Types of a study, studies of a group, and groups have equal weight.

    Parameters
    ----------
    rows
        Rows of the corpus that may be trained on.
    genes
        For each gene of the vocabulary its row in the gene table.
    head
        Gene statistics of the corpus.
    overlapping
        Study to the name of its group, for studies that share donors.

    Returns
    -------
    None if there are fewer than two types with enough cells.
    """
    rng = np.random.default_rng([seed, 17])
    types_of_study: defaultdict[str, list[Float[np.ndarray, "cell gene"]]] = defaultdict(list)
    for cells in iter_studies(pairs, rows, genes):
        if not cells.is_averaged and len(cells.cell_type) >= MIN_CELLS:
            types_of_study[cells.study] += _residuals(cells, head, rng)
    studies = {study: types for study, types in types_of_study.items() if types}
    residuals = [block for types in studies.values() for block in types]
    if len(residuals) < 2:
        return None
    group = [overlapping.get(study, study) for study in studies]
    weights = [
        np.full(len(block), 1 / (group.count(name) * len(types) * len(block)))
        for name, types in zip(group, studies.values(), strict=True)
        for block in types
    ]
    return _main_axes(np.concatenate(residuals), np.concatenate(weights) / len(set(group)))


def _residuals(
    cells: StudyCells, head: SignatureHead, rng: np.random.Generator
) -> Iterator[Float[np.ndarray, "cell gene"]]:
    """Residuals of the cells of each type of a study from their mean."""
    panel = GenePanel.from_measured(head, np.arange(len(cells.measured)), cells.measured)
    log_expr = cells.log_expr
    linear = sparse.csr_matrix((np.expm1(log_expr.data), log_expr.indices, log_expr.indptr), shape=log_expr.shape)
    spread = np.sqrt(head.spread.numpy().astype(np.float64) ** 2 + MIN_SPREAD**2)
    for cell_type in np.unique(cells.cell_type[cells.cell_type >= 0]).tolist():
        typed = np.flatnonzero(cells.cell_type == cell_type)
        if len(typed) >= MIN_CELLS_PER_TYPE:
            sampled = rng.permutation(typed)[:MAX_CELLS_PER_TYPE]
            values = panel.log_normalize(sparse.csr_matrix(linear[sampled])).toarray()
            residual = np.clip((values - values.mean(axis=0)) / spread, -MAX_RESIDUAL, MAX_RESIDUAL)
            yield (residual * cells.measured).astype(np.float32)


def _main_axes(residuals: Float[np.ndarray, "cell gene"], weights: NDArray[np.float64]) -> TypeVariation:
    """Right singular vectors and squared singular values, by the Gram matrix of some thousand cells."""
    weighted = residuals * np.sqrt(weights)[:, None].astype(np.float32)
    gram = (weighted @ weighted.T).astype(np.float64)
    n_axes = min(N_AXES, len(gram) - 1)
    # A fixed start: the result does not depend on the state of the random generator.
    variances, left = eigsh(gram, k=n_axes, v0=np.ones(len(gram)))
    order = np.argsort(-variances)
    order = order[variances[order] > 1e-6 * variances.max()]
    variances, left = variances[order], left[:, order]
    left = left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(len(order))])
    axes = weighted.T @ (left / np.sqrt(variances)).astype(np.float32)
    return TypeVariation(axes.astype(np.float32), variances.astype(np.float32))
