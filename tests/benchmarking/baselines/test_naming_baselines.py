"""Baselines that annotate cells from labelled cells."""

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from okrcell.benchmarking.methods import log_normalize
from okrcell.errors import InputError

REFERENCE = {
    "classical:annotate_logistic_regression": "sklearn",
    "classical:annotate_logistic_regression_pca": "sklearn",
    "classical:annotate_knn": "sklearn",
    "celltypist:annotate": "celltypist",
    "singler:annotate": "scranpy",
}
VOTING = "celltypist:annotate_by_majority"
EXAMPLES = {
    "classical:few_shot_logistic_regression": "sklearn",
    "classical:few_shot_logistic_regression_pca": "sklearn",
    "classical:few_shot_knn": "sklearn",
    "singler:few_shot": "scranpy",
}


def load_baseline(name, package):
    # Looked for, not imported: CellTypist makes a folder in the user's home when it is.
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed (extra: baselines)")
    module, function = name.split(":")
    return getattr(importlib.import_module(f"okrcell.benchmarking.baselines.{module}"), function)


# The vote makes clusters first, whose compiler takes half a minute.
@pytest.fixture(params=[*REFERENCE, pytest.param(VOTING, marks=pytest.mark.bench)])
def annotate(request):
    return load_baseline(request.param, REFERENCE.get(request.param, "celltypist"))


@pytest.fixture(params=EXAMPLES)
def few_shot(request):
    return load_baseline(request.param, EXAMPLES[request.param])


@pytest.fixture
def halves(cells, types):
    """Every other cell is the reference, and the first of it has no label."""
    labels = types[::2].copy()
    labels[0] = ""
    return cells[::2].copy(), labels, cells[1::2].copy(), types[1::2]


@pytest.mark.filterwarnings("ignore")  # the packages' own
def test_most_cells_get_the_name_they_have(annotate, halves):
    reference, labels, query, truth = halves
    annotation = annotate(reference, labels, query, 0)
    assert np.mean(annotation.label == truth) > 0.6
    assert "" not in annotation.names
    assert set(annotation.label) <= set(annotation.names)
    assert annotation.scores.shape == (query.n_obs, len(annotation.names))
    if annotation.probabilities:
        np.testing.assert_allclose(annotation.scores.sum(axis=1), 1, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_cell_without_expression_has_no_name(annotate, halves):
    reference, labels, query, _ = halves
    mask = np.ones(query.n_obs, dtype=np.float32)
    mask[5] = 0
    with_empty_cell = query.copy()
    with_empty_cell.X = sparse.csr_matrix(sparse.diags(mask) @ query.X)
    annotation, complete = annotate(reference, labels, with_empty_cell, 0), annotate(reference, labels, query, 0)
    assert annotation.label[5] == ""
    assert np.isnan(annotation.scores[5]).all()
    np.testing.assert_allclose(
        np.delete(annotation.scores, 5, axis=0), np.delete(complete.scores, 5, axis=0), atol=1e-4
    )


def test_files_without_a_gene_in_common_are_not_compared(annotate, halves):
    reference, labels, query, _ = halves
    query.var_names = [f"{name}-x" for name in query.var_names]
    with pytest.raises(InputError, match="must name genes alike"):
        annotate(reference, labels, query, 0)


@pytest.mark.filterwarnings("ignore")
def test_genes_are_matched_by_name_and_not_by_place(annotate, halves):
    reference, labels, query, _ = halves
    reordered = query[:, query.var_names[::-1]].copy()
    annotation, original = annotate(reference, labels, reordered, 0), annotate(reference, labels, query, 0)
    assert np.mean(annotation.label == original.label) > 0.99


@pytest.mark.filterwarnings("ignore")
def test_every_draw_of_examples_gets_an_answer_for_all_cells(few_shot, cells, types):
    draws = [_draw_examples(types, k, seed) for k, seed in ((1, 0), (5, 1))]
    annotations = list(few_shot(cells, draws, 0))
    assert len(annotations) == 2
    for annotation in annotations:
        assert len(annotation.label) == cells.n_obs
        assert set(annotation.names) == set(types)
    one, five = (np.mean(annotation.label == types) for annotation in annotations)
    assert one > 0.2
    assert five > 0.4


@pytest.mark.filterwarnings("ignore")
def test_an_only_label_is_everyones(few_shot, cells, types):
    labels = np.where(types == "B cell", types, "")
    (annotation,) = few_shot(cells, [labels], 0)
    assert set(annotation.label) == {"B cell"}


def test_logistic_regression_is_that_of_scikit_learn(halves):
    from okrcell.benchmarking.baselines.classical import annotate_logistic_regression

    reference, labels, query, _ = halves
    reference_log, query_log = log_normalize(reference), log_normalize(query)
    is_labeled = labels != ""
    by_hand = LogisticRegression(max_iter=1000).fit(reference_log.X[is_labeled], labels[is_labeled])
    annotation = annotate_logistic_regression(reference, labels, query, 0)
    np.testing.assert_array_equal(annotation.label, by_hand.predict(query_log.X))
    np.testing.assert_allclose(annotation.scores, by_hand.predict_proba(query_log.X), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_the_learner_lent_to_celltypist_is_one_against_rest(halves):
    load_baseline("celltypist:annotate", "celltypist")
    from sklearn.multiclass import OneVsRestClassifier

    from okrcell.benchmarking.baselines.celltypist import OneVsRestLogisticRegression

    reference, labels, query, _ = halves
    reference_log, query_log = log_normalize(reference).X.toarray(), log_normalize(query).X.toarray()
    ours = OneVsRestLogisticRegression(C=1.0, max_iter=1000, multi_class="ovr").fit(reference_log, labels)
    expected = OneVsRestClassifier(LogisticRegression(max_iter=1000)).fit(reference_log, labels)
    np.testing.assert_allclose(ours.decision_function(query_log), expected.decision_function(query_log), atol=1e-5)


def test_celltypist_leaves_no_folder_in_the_users_home(tmp_path):
    load_baseline("celltypist:annotate", "celltypist")
    code = "from okrcell.benchmarking.baselines.celltypist import _import_quietly\nwith _import_quietly(): pass"
    environment = {**os.environ, "HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, cwd=tmp_path, check=True)
    assert not list(tmp_path.glob(".celltypist*"))


def _draw_examples(types, k, seed):
    rng = np.random.default_rng(seed)
    labels = np.full(len(types), "", dtype=types.dtype)
    for name in np.unique(types):
        rows = rng.choice(np.flatnonzero(types == name), k, replace=False)
        labels[rows] = name
    return labels
