"""Logistic regression on single genes."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.pca import log_normalize
from okrcell.cells.samples.some_cells import iter_rows
from okrcell.tasks.features import restrict_to_shared_genes

MAX_ITER = 1000
MIN_GENE_PROBABILITY = 1e-6
"""Lower bound of a probability, so that this classifier alone excludes no type."""


def gene_logits(
    reference: Expression,
    train_rows: NDArray[np.intp],
    label_idx: NDArray[np.intp],
    n_labels: int,
    query: Expression,
) -> Float[np.ndarray, "cell name"]:
    """Log-probabilities of the query by logistic regression on all shared genes, float32.

    Principal components keep the joint variation of many genes; a rare type often differs in a few genes that no component
    captures. Features are unscaled log1p counts per 10,000; the penalty is the default of scikit-learn (L2, C = 1).

    Parameters
    ----------
    reference
        Expression of the reference cells.
    train_rows
        Rows of the reference used for training, ascending.
    label_idx
        Label index of each training row.
    n_labels
        Number of labels; a label without training cells gets the probability `MIN_GENE_PROBABILITY`.
    query
        Expression of the cells to predict.
    """
    from sklearn.linear_model import LogisticRegression

    shared_reference, shared_query = restrict_to_shared_genes([reference, query])
    logits = np.full((query.n_cells, n_labels), np.log(MIN_GENE_PROBABILITY), dtype=np.float32)
    train_labels = np.unique(label_idx)
    if len(train_labels) < 2:
        logits[:, train_labels] = 0.0
        return logits
    parts = [log_normalize(block) for block in iter_rows(shared_reference, train_rows)]
    regression: Any = LogisticRegression(max_iter=MAX_ITER)
    regression.fit(sparse.csr_matrix(sparse.vstack(parts)), label_idx)
    start = 0
    for block in shared_query.blocks():
        n_rows = len(block.indptr) - 1
        probability = regression.predict_proba(log_normalize(block))
        logits[start : start + n_rows, regression.classes_] = np.log(probability + MIN_GENE_PROBABILITY)
        start += n_rows
    return logits
