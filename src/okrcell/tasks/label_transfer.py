"""Label transfer: annotate cells from the labelled cells of a reference study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import log_softmax, softmax

from okrcell.cells.expression import Expression, iter_rows
from okrcell.cells.pca import log_normalize
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.classifier import (
    ExampleLabels,
    fit_head,
    fit_inverse_temperature,
    fit_text_weight,
    read_labels,
    text_logits,
)
from okrcell.tasks.confidence import Prediction, calibrated_temperature, predict
from okrcell.tasks.features import balanced_subsample, compute_features, restrict_to_shared_genes
from okrcell.tasks.fine_tuning import FineTuningSettings

SHIFT_ITERATIONS = 4
"""Number of iterations; the shift has converged by then."""
MIN_TYPE_CELLS = 5
"""Minimum expected number of query cells of a type that is used to estimate the shift."""
SHIFT_PRIOR_CELLS = 30
"""Weight of the prior that the shift is zero, in query cells; a few cells would be moved onto any predicted type."""


MAX_ITER = 1000
MIN_GENE_PROBABILITY = 1e-6
"""Lower bound of a probability, so that this classifier alone excludes no type."""
TransferMethod = Literal["head", "encoder", "lora"]
MAX_REFERENCE_CELLS = 10_000
"""Maximum number of reference cells for the head; common types are subsampled, rare types are kept whole."""
MAX_TEXT_WEIGHT = 1.0
"""Maximum text weight: texts may predict the labels of the reference better than those of another study."""
GENE_REGRESSION_WEIGHT = 0.3
"""Weight of the gene-wise regression; chosen among 0, 0.3, 0.5 and 1 on thirteen pairs of pretraining sets."""


def remove_batch_shift(
    features: Float[np.ndarray, "cell feature"],
    label_idx: NDArray[np.intp],
    is_query: NDArray[np.bool_],
    prior_logits: Float[np.ndarray, "cell name"],
) -> Float[np.ndarray, "cell feature"]:
    """Subtract from the query the shift to the reference that all types share.

    Ours. Standardising each sample separately would confuse composition with technology. Instead, the mean of each type in
    the query is compared with its mean in the reference, and the median of these differences is subtracted: a shift of most
    types is technical, a shift of a single type may be a type that the reference lacks. Types and shift are estimated
    alternately.

    Parameters
    ----------
    features
        Input features of reference and query.
    label_idx
        Label index of each reference cell, in row order.
    is_query
        True for rows of the query, False for rows of the reference.
    prior_logits
        Prior logits of all rows.
    """
    if not is_query.any() or is_query.all():
        return features
    is_reference = ~is_query
    reference_mean, _ = _label_means(np.eye(prior_logits.shape[1], dtype=np.float32)[label_idx], features[is_reference])
    shifted = features.copy()
    for _ in range(SHIFT_ITERATIONS):
        head = fit_head(shifted[is_reference], label_idx, prior_logits[is_reference])
        probability = softmax(head.logits(shifted[is_query], prior_logits[is_query]), axis=1)
        confident_prob = np.where(probability > 0.5, probability, 0)
        query_mean, n_cells = _label_means(confident_prob, features[is_query])
        is_frequent = n_cells >= MIN_TYPE_CELLS
        if not is_frequent.any():
            return features
        shrinkage = n_cells.sum() / (n_cells.sum() + SHIFT_PRIOR_CELLS)
        shifted[is_query] = features[is_query] - shrinkage * np.median(
            (query_mean - reference_mean)[is_frequent], axis=0
        )
    return shifted.astype(np.float32)


def _label_means(
    membership: Float[np.ndarray, "cell name"], features: Float[np.ndarray, "cell feature"]
) -> tuple[Float[np.ndarray, "name feature"], Float[np.ndarray, "name"]]:
    """Return the mean features and the expected number of cells of each label."""
    n_cells = membership.sum(axis=0)
    return membership.T @ features / np.maximum(n_cells, 1e-6)[:, None], n_cells


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


@dataclass(frozen=True)
class TransferPrediction:
    """Predictions for the cells of a query."""

    names: tuple[str, ...]
    """Distinct labels of the reference, sorted."""
    candidates: tuple[Candidate, ...]
    """The same labels with their texts and Cell Ontology ids."""
    probability: Float[np.ndarray, "cell name"]
    """Rows sum to 1; NaN for a cell without expression."""
    prediction: Prediction
    method: TransferMethod
    n_examples: NDArray[np.intp]
    """Number of reference cells of each label."""
    n_train_cells: int
    """Number of reference cells used for training."""
    text_weight: float
    model_weight: float
    """Weight of the model vectors relative to the samples' own components, in [0, 1]; 1 for a fine-tuned encoder."""


def annotate_from_reference(
    reference: Expression,
    labels: Sequence[str] | NDArray[np.str_],
    query: Expression,
    embedder: Embedder,
    *,
    label_texts: Mapping[str, Sequence[str]] | None = None,
    label_ids: Mapping[str, str] | None = None,
    method: TransferMethod = "head",
    donors: NDArray[np.str_] | None = None,
    seed: int = 0,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    reference_vectors: Float[np.ndarray, "cell dim"] | None = None,
    fine_tuning: FineTuningSettings | None = None,
    progress: Progress | None = None,
) -> TransferPrediction:
    """Predict the label of every cell of ``query`` from the labelled cells of ``reference``.

    Parameters
    ----------
    reference
        Expression of the cells of another study.
    labels
        Label of each reference cell, "" for an unlabelled cell.
    query
        Expression of the cells to annotate.
    embedder
        Model that embeds cells and label texts.
    label_texts
        Texts of each label; by default those of the ontology term that it names, else the label itself.
    label_ids
        Cell Ontology id of each label; by default that of the term that it names.
    method
        head: a linear head on the samples' own components and the model vectors, after the query was shifted onto the
        reference (`remove_batch_shift`), averaged with a gene-wise regression of smaller weight (ours). encoder: the whole cell
        encoder is fine-tuned with a linear head (the paper's protocol). lora: only low-rank adapters of the encoder are
        trained (arXiv 2106.09685; package peft).
    donors
        Donor of each reference cell. With at least three donors, confidence is calibrated on whole left-out donors.
    seed
        Random seed of subsampling, features, folds and fine-tuning.
    vectors
        Model vectors of the query; computed if not passed.
    reference_vectors
        Model vectors of the reference; computed if not passed.
    fine_tuning
        Settings of the methods ``encoder`` and ``lora``.
    progress
        Called with the number of embedded query cells and their total.

    Raises
    ------
    InputError
        If there is not one label per reference cell, no labelled reference cell has expression, or the two samples share
        too few genes.
    """
    example_labels = read_labels(labels, label_texts, label_ids)
    if len(example_labels.label_idx) != reference.n_cells:
        raise InputError(
            f"There are {len(example_labels.label_idx):,} labels for the {reference.n_cells:,} cells of the reference. "
            "Pass one per cell."
        )
    if method != "head":
        return _predict_fine_tuned(
            reference, example_labels, query, embedder, method, donors, seed, fine_tuning, progress
        )
    reference_embedding = embedder.embed_cells(reference) if reference_vectors is None else reference_vectors
    query_embedding = embedder.embed_cells(query, progress) if vectors is None else vectors
    feature_set = compute_features([reference, query], [reference_embedding, query_embedding], seed)
    rows = np.flatnonzero(feature_set.has_expression[0])
    train_idx = np.flatnonzero(example_labels.label_idx[rows] >= 0)
    if not len(train_idx):
        raise InputError("No labelled cell of the reference expresses a gene of the model's vocabulary.")
    train_idx = balanced_subsample(train_idx, example_labels.label_idx[rows], MAX_REFERENCE_CELLS, seed)
    is_query = feature_set.sample_idx == 1
    used_rows = np.concatenate([train_idx, np.flatnonzero(is_query)])
    label_idx, is_query = example_labels.label_idx[rows][train_idx], is_query[used_rows]
    n_genes = min(embedder.n_measured_genes(reference), embedder.n_measured_genes(query))
    label_text_logits = text_logits(
        feature_set.vectors[used_rows],
        candidate_vectors(example_labels.candidates, embedder),
        calibrated_temperature(embedder.facts, n_genes),
    )
    text_weight = fit_text_weight(label_text_logits[~is_query], label_idx, MAX_TEXT_WEIGHT)
    prior_logits = text_weight * label_text_logits
    features = remove_batch_shift(feature_set.features[used_rows], label_idx, is_query, prior_logits)
    head = fit_head(features[~is_query], label_idx, prior_logits[~is_query])
    # Another study is not easier than left-out cells of the reference: the temperature is at least 1.
    inverse_temperature = min(
        1.0,
        fit_inverse_temperature(
            features[~is_query],
            label_idx,
            prior_logits[~is_query],
            seed,
            None if donors is None else donors[rows][train_idx],
        ),
    )
    logits = log_softmax(inverse_temperature * head.logits(features[is_query], prior_logits[is_query]), axis=1)
    gene_log_prob = gene_logits(reference, rows[train_idx], label_idx, len(example_labels.names), query)[
        feature_set.has_expression[1]
    ]
    logits = (1 - GENE_REGRESSION_WEIGHT) * logits + GENE_REGRESSION_WEIGHT * gene_log_prob
    return _build_prediction(
        logits,
        feature_set.has_expression[1],
        example_labels,
        len(label_idx),
        method,
        text_weight,
        feature_set.model_weight,
    )


def _build_prediction(
    logits: Float[np.ndarray, "measured name"],
    has_expression: NDArray[np.bool_],
    example_labels: ExampleLabels,
    n_train_cells: int,
    method: TransferMethod,
    text_weight: float,
    model_weight: float,
) -> TransferPrediction:
    probability = np.full((len(has_expression), len(example_labels.names)), np.nan, dtype=np.float32)
    probability[has_expression] = softmax(logits, axis=1)
    return TransferPrediction(
        example_labels.names,
        example_labels.candidates,
        probability,
        predict(probability, example_labels.candidates),
        method,
        np.bincount(example_labels.label_idx[example_labels.label_idx >= 0], minlength=len(example_labels.names)),
        n_train_cells,
        text_weight,
        model_weight,
    )


def _predict_fine_tuned(
    reference: Expression,
    example_labels: ExampleLabels,
    query: Expression,
    embedder: Embedder,
    method: TransferMethod,
    donors: NDArray[np.str_] | None,
    seed: int,
    settings: FineTuningSettings | None,
    progress: Progress | None,
) -> TransferPrediction:
    from okrcell.tasks.fine_tuning import fine_tune

    tuning_method = "lora" if method == "lora" else "encoder"
    tuned_model = fine_tune(
        reference, example_labels, embedder, method=tuning_method, donors=donors, seed=seed, settings=settings
    )
    logits = tuned_model.logits(query, progress)
    has_expression = np.asarray(~np.isnan(logits[:, 0]))
    return _build_prediction(
        logits[has_expression], has_expression, example_labels, tuned_model.n_train_cells, method, 1.0, 1.0
    )
