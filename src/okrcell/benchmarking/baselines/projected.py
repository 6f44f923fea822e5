"""Projection of a query onto the principal components of its reference."""

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import expressed, shared
from okrcell.benchmarking.baselines.hvg_pca import COMPONENTS, HIGHEST_Z, variable_genes
from okrcell.benchmarking.cells import values_of


def projected(
    reference: AnnData, query: AnnData, seed: int
) -> tuple[Float[np.ndarray, "known component"], Float[np.ndarray, "asked component"], NDArray[np.intp]]:
    """Return components of reference and query, and the indices of query cells with expression.

    Variable genes, means, standard deviations and loadings are those of the reference.
    """
    from sklearn.decomposition import PCA

    known, asked = shared(reference, query)
    rows = expressed(asked)
    variable = variable_genes(known)
    given = values_of(variable).toarray()
    mean, deviation = given.mean(axis=0), given.std(axis=0)
    deviation[deviation == 0] = 1

    def scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.minimum((values - mean) / deviation, HIGHEST_Z)

    n = min(COMPONENTS, *given.shape)
    turned = PCA(n, random_state=seed).fit(scaled(given))
    return (
        turned.transform(scaled(given)).astype(np.float32),
        turned.transform(scaled(values_of(asked[:, variable.var_names].copy()).toarray())).astype(np.float32),
        rows,
    )
