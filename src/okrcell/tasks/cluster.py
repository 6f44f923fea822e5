"""Find groups of like cells without labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from okrcell.cells.expression import Expression
from okrcell.cells.samples.neighbours import neighbour_graph, smoothed
from okrcell.cells.samples.sample import COMPONENTS, sample_components
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.samples.stability import Stability, leiden, stability

DIMENSIONS = 20
ROUNDS = 3
RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""0.1 to 2.0, as in the paper."""


@dataclass(frozen=True)
class Clustering:
    """Groups of like cells."""

    label: Int[np.ndarray, " cell"]
    """0 is the largest group; -1 for a cell without expression."""
    resolution: float
    stability: Stability
    """How well each resolution finds the same groups again."""


def representation(
    expression: Expression, embedder: Embedder, *, seed: int = 0, progress: Progress | None = None
) -> Float[np.ndarray, "cell dim"]:
    """Return what cells are compared by: what the model knows of them, and what their sample tells by itself.

    See `joined`. Vectors of the model are computed here.

    Returns
    -------
    float32; NaN for a cell without expression.
    """
    return joined(embedder.embed_cells(expression, progress), sample_components(expression, COMPONENTS), seed=seed)


def joined(
    vectors: Float[np.ndarray, "cell dim"],
    components: Float[np.ndarray, "cell component"],
    *,
    dimensions: int = DIMENSIONS,
    seed: int = 0,
) -> Float[np.ndarray, "cell joined"]:
    """Give the model and the sample an equal say (ours).

    A cell's vector is noisy, and its noise is not that of the sample's components. So each vector is first moved
    towards those of the cells that are neighbours in the sample's components, where what is common to neighbours stays
    and the rest averages out. Then both are put side by side, each with a total variance of one, and their first
    principal components are taken.
    """
    known = ~np.isnan(vectors[:, 0]) & ~np.isnan(components[:, 0])
    shared = np.full((len(vectors), 1), np.nan, dtype=np.float32)
    if not known.any():
        return shared
    own = of_one_variance(components[known])
    told = smoothed(of_one_variance(vectors[known]), neighbour_graph(own, seed=seed), ROUNDS)
    found = leading(np.hstack([of_one_variance(told), own]), dimensions)
    shared = np.full((len(vectors), found.shape[1]), np.nan, dtype=np.float32)
    shared[known] = found
    return shared


def cluster(
    points: Float[np.ndarray, "cell dim"],
    *,
    resolutions: Sequence[float] = RESOLUTIONS,
    neighbours: int = 15,
    seed: int = 0,
) -> Clustering:
    """Group cells by Leiden on their neighbour graph, at the resolution that finds its groups again best.

    Parameters
    ----------
    points
        What cells are compared by, such as `representation`; a row with NaN is left out.
    resolutions
        Those to choose from, each above zero; one alone is taken as it is.
    """
    known = np.isfinite(points).all(axis=1)
    graph = neighbour_graph(points[known], neighbours, seed=seed)
    judged = stability(graph, resolutions, seed=seed)
    label = np.full(len(points), -1, dtype=np.int64)
    label[known] = leiden(graph, judged.chosen, seed)
    return Clustering(label, judged.chosen, judged)


def leading(values: Float[np.ndarray, "cell value"], n: int) -> Float[np.ndarray, "cell component"]:
    """Return the first principal components, at least one column, float32."""
    from sklearn.decomposition import PCA

    n = min(n, len(values) - 1, values.shape[1])
    if n < 1:
        return np.zeros((len(values), 1), dtype=np.float32)
    return PCA(n, svd_solver="covariance_eigh").fit_transform(values).astype(np.float32)


def of_one_variance(values: Float[np.ndarray, "cell dim"]) -> Float[np.ndarray, "cell dim"]:
    """Centre, and scale all columns alike, so that cells lie at a mean squared distance of one from their centre."""
    centred = values - values.mean(axis=0)
    total = np.sqrt(np.mean(np.sum(centred**2, axis=1)))
    return centred / total if total > 0 else centred
