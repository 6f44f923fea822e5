"""CellTypist, trained on the reference."""

import logging
import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from inspect import signature
from types import ModuleType
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from okrcell.benchmarking.baselines.classical import expressed_rows, labeled_rows, scatter_rows, shared_log_expression
from okrcell.benchmarking.methods import Annotation, get_matrix

FOLDER_VARIABLE = "CELLTYPIST_FOLDER"
"""Environment variable of CellTypist: its download folder, which is created on import."""


def annotate(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
    """Train CellTypist on the reference (Domínguez Conde et al. 2022) and label cells one by one; ``seed`` is not used."""
    return _annotate(reference, labels, query, majority_voting=False)


def annotate_by_majority(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
    """Label each over-clustering of the query by majority vote; scores are those of single cells."""
    return _annotate(reference, labels, query, majority_voting=True)


def _annotate(reference: AnnData, labels: NDArray[np.str_], query: AnnData, *, majority_voting: bool) -> Annotation:
    reference_log, query_log = shared_log_expression(reference, query)
    # CellTypist requires that every cell sums to 10,000, which excludes cells without counts.
    train_rows, rows = np.intersect1d(labeled_rows(labels), expressed_rows(reference_log)), expressed_rows(query_log)
    with _import_quietly() as celltypist, _patch_logistic_regression(celltypist):
        model = celltypist.train(_minimal(reference_log, train_rows), labels=labels[train_rows], n_jobs=1)
        predictions = celltypist.annotate(_minimal(query_log, rows), model=model, majority_voting=majority_voting)
    column = "majority_voting" if "majority_voting" in predictions.predicted_labels else "predicted_labels"
    label = np.full(query.n_obs, "", dtype=object)
    label[rows] = predictions.predicted_labels[column].astype(str).to_numpy()
    scores = scatter_rows(predictions.probability_matrix.to_numpy(), rows, query.n_obs)
    return Annotation(label.astype(np.str_), tuple(map(str, predictions.probability_matrix.columns)), scores)


def _minimal(cells: AnnData, rows: NDArray[np.intp]) -> AnnData:
    names = pd.DataFrame(index=cells.obs_names[rows])
    return AnnData(get_matrix(cells)[rows], obs=names, var=pd.DataFrame(index=cells.var_names))


class OneVsRestLogisticRegression(LogisticRegression):
    """One-vs-rest logistic regression; replaces ``multi_class="ovr"``, which scikit-learn has removed."""

    def __init__(self, *, C: float = 1.0, solver: str = "lbfgs", max_iter: int = 1000, **_given: Any) -> None:
        super().__init__(C=C, solver=solver, max_iter=max_iter)

    def fit(self, X: NDArray[np.floating], y: NDArray[np.str_], sample_weight: None = None) -> Self:
        """Fit one binary model per label; a single one for two labels."""
        self.classes_ = np.unique(y)
        models = [
            LogisticRegression(C=self.C, solver=self.solver, max_iter=self.max_iter).fit(X, y == label)
            for label in (self.classes_[1:] if len(self.classes_) == 2 else self.classes_)
        ]
        self.coef_ = np.concatenate([model.coef_ for model in models])
        self.intercept_ = np.concatenate([model.intercept_ for model in models])
        self.n_features_in_ = X.shape[1]
        return self


@contextmanager
def _patch_logistic_regression(celltypist: ModuleType) -> Generator[None]:
    """Patch CellTypist 1.7, which uses ``LogisticRegression(multi_class="ovr")``, removed in scikit-learn 1.8."""
    training: Any = sys.modules[celltypist.train.__module__]
    original = training.LogisticRegression
    if "multi_class" in signature(original).parameters:
        yield
        return
    training.LogisticRegression = OneVsRestLogisticRegression
    try:
        yield
    finally:
        training.LogisticRegression = original


@contextmanager
def _import_quietly() -> Generator[ModuleType]:
    """Import CellTypist without creating a folder in the user's home, and silence its log."""
    with tempfile.TemporaryDirectory() as folder:
        previous_folder = os.environ.get(FOLDER_VARIABLE)
        os.environ[FOLDER_VARIABLE] = previous_folder or folder
        try:
            import celltypist  # pyright: ignore[reportMissingImports]
        finally:
            if previous_folder is None:
                del os.environ[FOLDER_VARIABLE]
    logger = logging.getLogger("celltypist.logger")
    previous_level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield celltypist
    finally:
        logger.setLevel(previous_level)
