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

from okrcell.benchmarking.baselines.ground import expressed, labelled, shared, vectors_in_place
from okrcell.benchmarking.cells import values_of
from okrcell.benchmarking.method import Named

FOLDER = "CELLTYPIST_FOLDER"
"""Environment variable of CellTypist: its download folder, which is created on import."""


def annotate(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
    """Train CellTypist on the reference (Domínguez Conde et al. 2022) and label cells one by one; ``seed`` is not used."""
    return _annotated(reference, labels, query, voting=False)


def annotate_by_majority(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
    """Label each over-clustering of the query by majority vote; scores are those of single cells."""
    return _annotated(reference, labels, query, voting=True)


def _annotated(reference: AnnData, labels: NDArray[np.str_], query: AnnData, *, voting: bool) -> Named:
    known, asked = shared(reference, query)
    # CellTypist requires that every cell sums to 10,000, which excludes cells without counts.
    some, rows = np.intersect1d(labelled(labels), expressed(known)), expressed(asked)
    with _quiet_package() as celltypist, _learner_of_before(celltypist):
        model = celltypist.train(_plain(known, some), labels=labels[some], n_jobs=1)
        found = celltypist.annotate(_plain(asked, rows), model=model, majority_voting=voting)
    column = "majority_voting" if "majority_voting" in found.predicted_labels else "predicted_labels"
    label = np.full(query.n_obs, "", dtype=object)
    label[rows] = found.predicted_labels[column].astype(str).to_numpy()
    scores = vectors_in_place(found.probability_matrix.to_numpy(), rows, query.n_obs)
    return Named(label.astype(np.str_), tuple(map(str, found.probability_matrix.columns)), scores)


def _plain(cells: AnnData, rows: NDArray[np.intp]) -> AnnData:
    names = pd.DataFrame(index=cells.obs_names[rows])
    return AnnData(values_of(cells)[rows], obs=names, var=pd.DataFrame(index=cells.var_names))


class OneAgainstRest(LogisticRegression):
    """One-vs-rest logistic regression; replaces ``multi_class="ovr"``, which scikit-learn has removed."""

    def __init__(self, *, C: float = 1.0, solver: str = "lbfgs", max_iter: int = 1000, **_given: Any) -> None:
        super().__init__(C=C, solver=solver, max_iter=max_iter)

    def fit(self, X: NDArray[np.floating], y: NDArray[np.str_], sample_weight: None = None) -> Self:
        """Fit one binary model per label; a single one for two labels."""
        self.classes_ = np.unique(y)
        one_by_one = [
            LogisticRegression(C=self.C, solver=self.solver, max_iter=self.max_iter).fit(X, y == label)
            for label in (self.classes_[1:] if len(self.classes_) == 2 else self.classes_)
        ]
        self.coef_ = np.concatenate([one.coef_ for one in one_by_one])
        self.intercept_ = np.concatenate([one.intercept_ for one in one_by_one])
        self.n_features_in_ = X.shape[1]
        return self


@contextmanager
def _learner_of_before(celltypist: ModuleType) -> Generator[None]:
    """Patch CellTypist 1.7, which uses ``LogisticRegression(multi_class="ovr")``, removed in scikit-learn 1.8."""
    training: Any = sys.modules[celltypist.train.__module__]
    theirs = training.LogisticRegression
    if "multi_class" in signature(theirs).parameters:
        yield
        return
    training.LogisticRegression = OneAgainstRest
    try:
        yield
    finally:
        training.LogisticRegression = theirs


@contextmanager
def _quiet_package() -> Generator[ModuleType]:
    """Import CellTypist without creating a folder in the user's home, and silence its log."""
    with tempfile.TemporaryDirectory() as folder:
        named = os.environ.get(FOLDER)
        os.environ[FOLDER] = named or folder
        try:
            import celltypist  # pyright: ignore[reportMissingImports]
        finally:
            if named is None:
                del os.environ[FOLDER]
    log = logging.getLogger("celltypist.logger")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield celltypist
    finally:
        log.setLevel(before)
