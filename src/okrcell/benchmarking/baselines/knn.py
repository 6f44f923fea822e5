"""k-nearest-neighbour classification on principal components."""

from collections.abc import Iterator, Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import annotation_from_scores, labeled_rows
from okrcell.benchmarking.baselines.hvg_pca import variable_gene_pca
from okrcell.benchmarking.baselines.projected import project_onto_reference
from okrcell.benchmarking.method import Annotation

N_NEIGHBORS = 5


def annotate_knn(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
    """Label by majority vote of the 5 nearest reference cells, on 50 components of the reference."""
    reference_pcs, query_pcs, rows = project_onto_reference(reference, query, seed)
    train_rows = labeled_rows(labels)
    return predict_knn(reference_pcs[train_rows], labels[train_rows], query_pcs[rows], rows, query.n_obs, N_NEIGHBORS)


def few_shot_knn(cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Annotation]:
    """Label by majority vote of the nearest examples: k is the number of examples of the rarest label, at most 5."""
    vectors, rows = variable_gene_pca(cells, None, seed)
    for labels in draws:
        train_rows = labeled_rows(labels[rows])
        n_rarest = int(np.unique(labels[rows][train_rows], return_counts=True)[1].min(initial=N_NEIGHBORS))
        yield predict_knn(vectors[train_rows], labels[rows][train_rows], vectors, rows, cells.n_obs, n_rarest)


def predict_knn(
    train_vectors: Float[np.ndarray, "known component"],
    labels: NDArray[np.str_],
    query_vectors: Float[np.ndarray, "asked component"],
    rows: NDArray[np.intp],
    cells: int,
    n_neighbors: int,
) -> Annotation:
    """Label the cells ``query_vectors`` by majority vote of their nearest labelled cells ``train_vectors``."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(n_neighbors, len(labels))).fit(train_vectors, labels)
    return annotation_from_scores(model.predict_proba(query_vectors), model.classes_.tolist(), rows, cells)
