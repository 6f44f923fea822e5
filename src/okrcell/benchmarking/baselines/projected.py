"""Projection of a query onto the principal components of its reference."""

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import expressed_rows, shared_log_expression
from okrcell.benchmarking.baselines.hvg_pca import MAX_Z_SCORE, N_COMPONENTS, select_variable_genes
from okrcell.benchmarking.cells import get_matrix


def project_onto_reference(
    reference: AnnData, query: AnnData, seed: int
) -> tuple[Float[np.ndarray, "known component"], Float[np.ndarray, "asked component"], NDArray[np.intp]]:
    """Return components of reference and query, and the indices of query cells with expression.

    Variable genes, means, standard deviations and loadings are those of the reference.
    """
    from sklearn.decomposition import PCA

    reference_log, query_log = shared_log_expression(reference, query)
    rows = expressed_rows(query_log)
    variable = select_variable_genes(reference_log)
    reference_values = get_matrix(variable).toarray()
    mean, std = reference_values.mean(axis=0), reference_values.std(axis=0)
    std[std == 0] = 1

    def scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.minimum((values - mean) / std, MAX_Z_SCORE)

    n = min(N_COMPONENTS, *reference_values.shape)
    pca = PCA(n, random_state=seed).fit(scaled(reference_values))
    return (
        pca.transform(scaled(reference_values)).astype(np.float32),
        pca.transform(scaled(get_matrix(query_log[:, variable.var_names].copy()).toarray())).astype(np.float32),
        rows,
    )
