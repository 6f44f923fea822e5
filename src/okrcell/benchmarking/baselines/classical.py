"""Baselines on genes or principal components: HVG + PCA, kNN, logistic regression; helpers shared by all baselines."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.benchmarking.methods import Annotation, get_matrix, log_normalize
from okrcell.errors import InputError

MIN_SHARED_GENES = 10
"""Minimum number of genes that reference and query share."""
N_TOP_GENES = 2000
N_COMPONENTS = 50
MAX_Z_SCORE = 10.0
MIN_BATCH_CELLS = 3
"""Minimum number of cells per batch for selecting genes by batch."""
N_NEIGHBORS = 5
MAX_ITER = 1000
FeatureMatrix = NDArray[np.float32] | sparse.csr_matrix


def expressed_rows(cells: AnnData) -> NDArray[np.intp]:
    """Return the indices of the cells with any expression."""
    return np.flatnonzero(np.asarray(get_matrix(cells).sum(axis=1)).ravel() > 0)


def log_expression(cells: AnnData, rows: NDArray[np.intp]) -> AnnData:
    """Return the cells ``rows`` as log1p of counts per 10,000, without genes that none of them expresses."""
    log_expr = log_normalize(cells[rows].copy())
    is_expressed = np.asarray(get_matrix(log_expr).sum(axis=0)).ravel() > 0
    return log_expr[:, is_expressed].copy()


def scatter_rows(vectors: NDArray[np.floating], rows: NDArray[np.intp], cells: int) -> Float[np.ndarray, "cell dim"]:
    """Return an array over all ``cells`` with the vectors of ``rows``; other cells have NaN."""
    scattered = np.full((cells, vectors.shape[1]), np.nan, dtype=np.float32)
    scattered[rows] = vectors
    return scattered


def shared_log_expression(reference: AnnData, query: AnnData) -> tuple[AnnData, AnnData]:
    """Return both sides as log1p of counts per 10,000 on their shared genes, in the order of the reference.

    Totals are over the shared genes, because the total of a gene panel is not comparable with that of a whole
    transcriptome. Cells without counts of these genes stay zero.

    Raises
    ------
    InputError
        If the two share fewer than 10 gene names.
    """
    genes = reference.var_names[reference.var_names.isin(query.var_names)]
    if len(genes) < MIN_SHARED_GENES:
        examples = f"such as {', '.join(reference.var_names[:3])} and {', '.join(query.var_names[:3])}"
        raise InputError(
            f"Reference and query share only {len(genes)} gene names ({examples}); they must name genes alike."
        )
    return log_normalize(reference[:, genes].copy()), log_normalize(query[:, genes].copy())


def annotation_from_scores(
    probability: NDArray[np.floating],
    names: Sequence[str],
    rows: NDArray[np.intp],
    cells: int,
    *,
    sums_to_one: bool = True,
) -> Annotation:
    """Label the cells ``rows`` by their highest score (cell, name); other cells have no prediction."""
    scores = scatter_rows(probability, rows, cells)
    label = np.full(cells, "", dtype=object)
    label[rows] = np.array(names, dtype=object)[np.asarray(probability).argmax(axis=1)]
    return Annotation(label.astype(np.str_), tuple(names), scores, probabilities=sums_to_one)


def labeled_rows(label: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return the indices of the labelled cells."""
    return np.flatnonzero(label != "")


def select_variable_genes(log_expr: AnnData, batch: Sequence[str] | None = None, genes: int = N_TOP_GENES) -> AnnData:
    """Keep the highly variable genes of log-normalised cells (scanpy's flavor "seurat"), selected by batch if given.

    All genes are kept if there are no more than ``genes``.
    """
    import scanpy as sc

    if log_expr.n_vars <= genes or log_expr.n_obs < MIN_BATCH_CELLS:
        return log_expr
    column = None
    if batch is not None and _batches_large_enough(batch):
        column = "batch"
        log_expr.obs[column] = np.asarray(batch, dtype=object)
    sc.pp.highly_variable_genes(log_expr, n_top_genes=genes, batch_key=column)
    return log_expr[:, log_expr.var["highly_variable"].to_numpy()].copy()


def pca_components(log_expr: AnnData, seed: int, n: int = N_COMPONENTS) -> Float[np.ndarray, "cell component"]:
    """Return ``n`` principal components of z-scored genes, fewer if there are too few cells or genes."""
    import scanpy as sc

    n = min(n, log_expr.n_obs - 1, log_expr.n_vars - 1)
    if n < 1:
        return np.zeros((log_expr.n_obs, 1), dtype=np.float32)
    scaled = AnnData(get_matrix(log_expr).toarray())
    sc.pp.scale(scaled, max_value=MAX_Z_SCORE)
    sc.pp.pca(scaled, n_comps=n, random_state=seed)
    return np.asarray(scaled.obsm["X_pca"], dtype=np.float32)


def batch_labels(cells: AnnData, batch_key: str | None, rows: NDArray[np.intp]) -> list[str] | None:
    """Return the batch of each of ``rows``, None without ``batch_key``; missing values are the batch "unknown"."""
    if batch_key is None:
        return None
    return cells.obs[batch_key].astype(object).fillna("unknown").astype(str).iloc[rows].tolist()


def variable_gene_pca(
    cells: AnnData, batch_key: str | None, seed: int, n: int = N_COMPONENTS
) -> tuple[Float[np.ndarray, "cell component"], NDArray[np.intp]]:
    """Return principal components of the cells with expression, and the indices of these cells."""
    rows = expressed_rows(cells)
    log_expr = select_variable_genes(log_expression(cells, rows), batch_labels(cells, batch_key, rows))
    return pca_components(log_expr, seed, n), rows


def embed_hvg_pca(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell component"]:
    """Return 50 principal components of 2,000 highly variable genes; NaN for a cell without expression."""
    pcs, rows = variable_gene_pca(cells, batch_key, seed)
    return scatter_rows(pcs, rows, cells.n_obs)


def _batches_large_enough(batch: Sequence[str]) -> bool:
    return int(np.unique(np.asarray(batch, dtype=np.str_), return_counts=True)[1].min()) >= MIN_BATCH_CELLS


def project_onto_reference(
    reference: AnnData, query: AnnData, seed: int
) -> tuple[Float[np.ndarray, "reference component"], Float[np.ndarray, "query component"], NDArray[np.intp]]:
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
    train_vectors: Float[np.ndarray, "train component"],
    labels: NDArray[np.str_],
    query_vectors: Float[np.ndarray, "query component"],
    rows: NDArray[np.intp],
    cells: int,
    n_neighbors: int,
) -> Annotation:
    """Label the cells ``query_vectors`` by majority vote of their nearest labelled cells ``train_vectors``."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(n_neighbors, len(labels))).fit(train_vectors, labels)
    return annotation_from_scores(model.predict_proba(query_vectors), model.classes_.tolist(), rows, cells)


def annotate_logistic_regression(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
    """Train on log1p of counts per 10,000 of all shared genes, L2 penalty with C = 1; ``seed`` is not used.

    The values are not scaled: on two pairs of pretraining sets (islets, blood) this was more accurate than z-scores, than
    2,000 variable genes, and than C = 0.1 or 0.01.
    """
    reference_log, query_log = shared_log_expression(reference, query)
    train_rows, rows = labeled_rows(labels), expressed_rows(query_log)
    return predict_logistic_regression(
        get_matrix(reference_log)[train_rows], labels[train_rows], get_matrix(query_log)[rows], rows, query.n_obs
    )


def annotate_logistic_regression_pca(
    reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int
) -> Annotation:
    """Train on 50 principal components of the reference's variable genes; the query is projected onto them."""
    reference_pcs, query_pcs, rows = project_onto_reference(reference, query, seed)
    train_rows = labeled_rows(labels)
    return predict_logistic_regression(
        reference_pcs[train_rows], labels[train_rows], query_pcs[rows], rows, query.n_obs
    )


def few_shot_logistic_regression(cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Annotation]:
    """Train on log expression of all genes of the examples."""
    rows = expressed_rows(cells)
    values = get_matrix(log_expression(cells, rows))
    for labels in draws:
        train_rows = labeled_rows(labels[rows])
        yield predict_logistic_regression(values[train_rows], labels[rows][train_rows], values, rows, cells.n_obs)


def few_shot_logistic_regression_pca(
    cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int
) -> Iterator[Annotation]:
    """Train on 50 principal components of all cells of the sample."""
    vectors, rows = variable_gene_pca(cells, None, seed)
    for labels in draws:
        train_rows = labeled_rows(labels[rows])
        yield predict_logistic_regression(vectors[train_rows], labels[rows][train_rows], vectors, rows, cells.n_obs)


def predict_logistic_regression(
    train_features: FeatureMatrix,
    labels: NDArray[np.str_],
    query_features: FeatureMatrix,
    rows: NDArray[np.intp],
    cells: int,
) -> Annotation:
    """Label the cells ``rows`` by a logistic regression on ``train_features``; a single label is predicted for all."""
    from sklearn.linear_model import LogisticRegression

    names = np.unique(labels).tolist()
    if len(names) < 2:
        return annotation_from_scores(np.ones((len(rows), len(names))), names, rows, cells)
    model: Any = LogisticRegression(max_iter=MAX_ITER).fit(train_features, labels)
    return annotation_from_scores(model.predict_proba(query_features), model.classes_.tolist(), rows, cells)
