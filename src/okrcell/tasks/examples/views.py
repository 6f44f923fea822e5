"""Features of the cells of one or two samples: principal components and model vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.sample import LARGEST_Z, log_normalised, variable_genes
from okrcell.errors import InputError
from okrcell.tasks.examples.company import company, foretold_by_company

COMPONENTS = 50
FEWEST_GENES = 20
"""Minimum number of shared genes of two samples."""
UNDECIDED, FEW_CELLS = 0.5, 20
"""Prior weight of the model vectors, and the weight of this prior in cells."""


@dataclass(frozen=True)
class Views:
    """Feature sets of the cells with expression; rows are those of the first sample, then of the next."""

    logs: Float[np.ndarray, "cell component"]
    """Principal components of log1p of counts per 10,000."""
    scores: Float[np.ndarray, "cell component"]
    """Principal components of the same genes, each scaled by its standard deviation within the samples."""
    model: Float[np.ndarray, "cell component"]
    """Principal components of the model vectors."""
    vectors: Float[np.ndarray, "cell dim"]
    """Unit vectors of the cells from the model."""
    sample: NDArray[np.intp] = field(repr=False)
    """Sample index of each row."""
    here: tuple[NDArray[np.bool_], ...] = field(repr=False)
    """For each sample, True for cells with a row: those that express a gene of the model's vocabulary."""
    model_weight: float
    """Weight of the model vectors, in [0, 1]: the fraction of their variance explained by neighbours in the sample's own
    components."""

    @property
    def own(self) -> Float[np.ndarray, "cell feature"]:
        """Features without the model; each of the two parts has a mean squared norm of 1."""
        return np.hstack([even(self.scores[:, : COMPONENTS * 2 // 5]), even(self.logs)])

    @property
    def together(self) -> Float[np.ndarray, "cell feature"]:
        """Features of the samples and of the model, the latter scaled by its weight."""
        return np.hstack([self.own, self.model_weight * even(self.model)])


def views(samples: Sequence[Expression], vectors: Sequence[Float[np.ndarray, "cell dim"]], seed: int = 0) -> Views:
    """Compute the features of one or more samples, on the genes that all of them measured.

    Genes are the union of the highly variable genes of each sample. Differences between samples are not removed here,
    because technology and composition cannot be separated yet (see `remove_batch_shift`). Memory holds the
    sparse variable genes of all cells and the vectors.

    Parameters
    ----------
    samples
        Expression of each sample.
    vectors
        Unit vectors of each sample's cells from the model; NaN for a cell without a gene of the model's vocabulary.
    seed
        Random seed of PCA and of the neighbour search.

    Raises
    ------
    InputError
        If the samples share too few genes.
    """
    shared = on_shared_genes(samples)
    found = [variable_genes(sample) for sample in shared]
    genes = np.unique(np.concatenate([each.gene for each in found]))
    parts, here = list[sparse.csr_matrix](), list[NDArray[np.bool_]]()
    for sample, own, known in zip(shared, found, vectors, strict=True):
        measured = np.zeros(sample.n_cells, dtype=bool)
        measured[own.measured] = True
        here.append(measured & ~np.isnan(known[:, 0]))
        blocks = [log_normalised(block)[:, genes] for block in sample.blocks()]
        rows = sparse.csr_matrix(sparse.vstack(blocks)) if blocks else sparse.csr_matrix((0, len(genes)))
        parts.append(sparse.csr_matrix(rows[here[-1]]))
    logs = sparse.csr_matrix(sparse.vstack(parts), dtype=np.float32)
    unit = np.concatenate([known[some] for known, some in zip(vectors, here, strict=True)]).astype(np.float32)
    logs_view = _components(logs, COMPONENTS, seed)
    scores_view = _components(_by_deviation(logs, parts), COMPONENTS, seed)
    seen = _components(unit, COMPONENTS * 3 // 5, seed)
    number = np.repeat(np.arange(len(parts)), [_rows(part) for part in parts])
    drawn = Views(logs_view, scores_view, seen, unit, number, tuple(here), 0.0)
    weights = [_weight(drawn, number == one, seed) for one in range(len(parts))]
    return replace(drawn, model_weight=min(weights, default=0.0))


def even(values: Float[np.ndarray, "cell value"]) -> Float[np.ndarray, "cell value"]:
    """Centre, and scale all columns by one factor to a mean squared norm of 1."""
    if not len(values):
        return values
    middled = values - values.mean(axis=0)
    return (middled / max(float(np.sqrt((middled**2).sum(axis=1).mean())), 1e-6)).astype(np.float32)


def _components(
    values: sparse.csr_matrix | Float[np.ndarray, "cell value"], wanted: int, seed: int
) -> Float[np.ndarray, "cell component"]:
    """Return the first principal components, at least one column, by a truncated decomposition."""
    from sklearn.decomposition import PCA

    shape: Any = values.shape
    wanted = min(wanted, shape[0] - 1, shape[1] - 1)
    if wanted < 1:
        return np.zeros((shape[0], 1), dtype=np.float32)
    return PCA(wanted, svd_solver="arpack", random_state=seed).fit_transform(values).astype(np.float32)


def _weight(drawn: Views, mine: NDArray[np.bool_], seed: int) -> float:
    """Weight of the model vectors for one sample: R2 of the neighbours' mean, shrunk to `UNDECIDED` for few cells."""
    cells = int(mine.sum())
    if cells < 3:
        return UNDECIDED
    borne_out = foretold_by_company(drawn.model[mine], company(drawn.own[mine], seed))
    return (cells * borne_out + FEW_CELLS * UNDECIDED) / (cells + FEW_CELLS)


def on_shared_genes(samples: Sequence[Expression]) -> list[Expression]:
    """Restrict each sample to the shared genes, so that counts per 10,000 are comparable."""
    measured = [np.unique(sample.resolution.row[sample.resolution.row >= 0]) for sample in samples]
    common = measured[0]
    for genes in measured[1:]:
        common = np.intersect1d(common, genes)
    if len(samples) == 1:
        return list(samples)
    if len(common) < FEWEST_GENES:
        raise InputError(
            f"The reference and the cells share {len(common):,} genes (of {', '.join(f'{len(one):,}' for one in measured)}), "
            f"but at least {FEWEST_GENES} are needed. Use a reference with the same gene identifiers."
        )
    return [
        replace(
            sample,
            resolution=replace(
                sample.resolution,
                row=np.where(np.isin(sample.resolution.row, common), sample.resolution.row, -1).astype(np.int32),
            ),
        )
        for sample in samples
    ]


def _by_deviation(logs: sparse.csr_matrix, parts: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    """Scale each gene by its standard deviation within samples, and clip values far above its mean."""
    shape: Any = logs.shape
    variance = np.zeros(shape[1])
    for part in parts:
        if _rows(part):
            mean = np.asarray(part.mean(axis=0)).ravel()
            variance += (np.asarray(part.multiply(part).mean(axis=0)).ravel() - mean**2) / len(parts)
    deviation = np.sqrt(np.maximum(variance, 0))
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    scaled = sparse.csr_matrix(logs.multiply(inverse[None, :]), dtype=np.float32)
    if _rows(scaled):
        highest = (np.asarray(scaled.mean(axis=0)).ravel() + LARGEST_Z).astype(np.float32)
        scaled.data = np.minimum(scaled.data, highest[scaled.indices])
    return scaled


def _rows(matrix: sparse.csr_matrix) -> int:
    return len(matrix.indptr) - 1
