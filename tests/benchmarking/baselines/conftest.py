"""Blood cells as a benchmark passes them: without labels, the types beside them."""

import numpy as np
import pytest
from scipy import sparse

from okrcell.benchmarking.methods import unlabeled_cells


@pytest.fixture(scope="session")
def cells(blood):
    """700 blood cells without any label; read, do not change."""
    return unlabeled_cells(blood)


@pytest.fixture(scope="session")
def types(blood):
    return blood.obs["cell_type"].to_numpy().astype(str)


@pytest.fixture
def with_an_empty_cell(cells):
    """The same cells, of which the fourth has no expression."""
    return emptied(cells, 3)


def emptied(cells, row):
    mask = np.ones(cells.n_obs, dtype=np.float32)
    mask[row] = 0
    result = cells.copy()
    result.X = sparse.csr_matrix(sparse.diags(mask) @ cells.X)
    return result


@pytest.fixture
def two_batches(cells):
    """300 cells in two batches, the second a copy of the first with half of its genes twice as high."""
    import anndata as ad

    first = cells[:150].copy()
    second = first.copy()
    shift = np.where(np.arange(second.n_vars) % 2, 1.0, 2.0).astype(np.float32)
    second.X = sparse.csr_matrix(second.X.multiply(shift))
    both = ad.concat([first, second], index_unique="-")
    both.obs["batch"] = np.repeat(["one", "two"], 150)
    return both
