"""Logistic regression on single genes."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.sample import log_normalised
from okrcell.cells.samples.some_cells import some_cells
from okrcell.tasks.examples.views import on_shared_genes

ITERATIONS = 1000
LEAST = 1e-6
"""Lower bound of a probability, so that this classifier alone excludes no type."""


def gene_logits(
    reference: Expression,
    known: NDArray[np.intp],
    given: NDArray[np.intp],
    names: int,
    query: Expression,
) -> Float[np.ndarray, "cell name"]:
    """Log-probabilities of the query by logistic regression on all shared genes, float32.

    Principal components keep the joint variation of many genes; a rare type often differs in a few genes that no component
    captures. Features are unscaled log1p counts per 10,000; the penalty is the default of scikit-learn (L2, C = 1).

    Parameters
    ----------
    reference
        Expression of the reference cells.
    known
        Rows of the reference used for training, ascending.
    given
        Label index of each training row.
    names
        Number of labels; a label without training cells gets the probability `LEAST`.
    query
        Expression of the cells to predict.
    """
    from sklearn.linear_model import LogisticRegression

    taught, asked = on_shared_genes([reference, query])
    logits = np.full((query.n_cells, names), np.log(LEAST), dtype=np.float32)
    borne = np.unique(given)
    if len(borne) < 2:
        logits[:, borne] = 0.0
        return logits
    parts = [log_normalised(block) for block in some_cells(taught, known)]
    regression: Any = LogisticRegression(max_iter=ITERATIONS)
    regression.fit(sparse.csr_matrix(sparse.vstack(parts)), given)
    done = 0
    for block in asked.blocks():
        rows = len(block.indptr) - 1
        probability = regression.predict_proba(log_normalised(block))
        logits[done : done + rows, regression.classes_] = np.log(probability + LEAST)
        done += rows
    return logits
