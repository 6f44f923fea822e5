"""Types told apart gene by gene."""

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
"""No type is ruled out altogether by this view alone."""


def gene_logits(
    reference: Expression,
    known: NDArray[np.intp],
    given: NDArray[np.intp],
    names: int,
    query: Expression,
) -> Float[np.ndarray, "cell name"]:
    """Return what a logistic regression on all shared genes says of the query: log-probabilities, float32.

    Principal components keep what many genes do together; a rare type is often told by a few genes that no component
    holds. Logarithms of counts per 10,000, unscaled; the penalty is scikit-learn's own (L2, C = 1).

    Parameters
    ----------
    known, given
        Rows of the reference to learn from, ascending, and the number of the name of each.
    names
        How many names there are; one that no known cell bears gets the least probability.
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
