"""Baselines that name cells by labelled ones."""

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
    "logistic_regression:annotate": "sklearn",
    "logistic_regression:annotate_on_pca": "sklearn",
    "knn:annotate": "sklearn",
    "celltypist:annotate": "celltypist",
    "singler:annotate": "scranpy",
}
VOTING = "celltypist:annotate_by_majority"
EXAMPLES = {
    "logistic_regression:few_shot": "sklearn",
    "logistic_regression:few_shot_on_pca": "sklearn",
    "knn:few_shot": "sklearn",
    "singler:few_shot": "scranpy",
}


def found(name, package):
    # Looked for, not imported: CellTypist makes a folder in the user's home when it is.
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed (extra: baselines)")
    module, function = name.split(":")
    return getattr(importlib.import_module(f"okrcell.benchmarking.baselines.{module}"), function)


# The vote makes clusters first, whose compiler takes half a minute.
@pytest.fixture(params=[*REFERENCE, pytest.param(VOTING, marks=pytest.mark.bench)])
def annotate(request):
    return found(request.param, REFERENCE.get(request.param, "celltypist"))


@pytest.fixture(params=EXAMPLES)
def few_shot(request):
    return found(request.param, EXAMPLES[request.param])


@pytest.fixture
def halves(cells, types):
    """Every other cell is the reference, and the first of it has no label."""
    labels = types[::2].copy()
    labels[0] = ""
    return cells[::2].copy(), labels, cells[1::2].copy(), types[1::2]


@pytest.mark.filterwarnings("ignore")  # the packages' own
def test_most_cells_get_the_name_they_have(annotate, halves):
    reference, labels, query, truth = halves
    named = annotate(reference, labels, query, 0)
    assert np.mean(named.label == truth) > 0.6
    assert "" not in named.names
    assert set(named.label) <= set(named.names)
    assert named.scores.shape == (query.n_obs, len(named.names))
    if named.probabilities:
        np.testing.assert_allclose(named.scores.sum(axis=1), 1, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_cell_without_expression_has_no_name(annotate, halves):
    reference, labels, query, _ = halves
    kept = np.ones(query.n_obs, dtype=np.float32)
    kept[5] = 0
    spoilt = query.copy()
    spoilt.X = sparse.csr_matrix(sparse.diags(kept) @ query.X)
    named, whole = annotate(reference, labels, spoilt, 0), annotate(reference, labels, query, 0)
    assert named.label[5] == ""
    assert np.isnan(named.scores[5]).all()
    np.testing.assert_allclose(np.delete(named.scores, 5, axis=0), np.delete(whole.scores, 5, axis=0), atol=1e-4)


def test_files_without_a_gene_in_common_are_not_compared(annotate, halves):
    reference, labels, query, _ = halves
    query.var_names = [f"{name}-x" for name in query.var_names]
    with pytest.raises(InputError, match="must name genes alike"):
        annotate(reference, labels, query, 0)


@pytest.mark.filterwarnings("ignore")
def test_genes_are_matched_by_name_and_not_by_place(annotate, halves):
    reference, labels, query, _ = halves
    turned = query[:, query.var_names[::-1]].copy()
    named, as_it_was = annotate(reference, labels, turned, 0), annotate(reference, labels, query, 0)
    assert np.mean(named.label == as_it_was.label) > 0.99


@pytest.mark.filterwarnings("ignore")
def test_every_draw_of_examples_gets_an_answer_for_all_cells(few_shot, cells, types):
    draws = [_drawn(types, k, seed) for k, seed in ((1, 0), (5, 1))]
    answers = list(few_shot(cells, draws, 0))
    assert len(answers) == 2
    for named in answers:
        assert len(named.label) == cells.n_obs
        assert set(named.names) == set(types)
    one, five = (np.mean(named.label == types) for named in answers)
    assert one > 0.2
    assert five > 0.4


@pytest.mark.filterwarnings("ignore")
def test_an_only_label_is_everyones(few_shot, cells, types):
    only = np.where(types == "B cell", types, "")
    (named,) = few_shot(cells, [only], 0)
    assert set(named.label) == {"B cell"}


def test_logistic_regression_is_that_of_scikit_learn(halves):
    from okrcell.benchmarking.baselines.classical import annotate_logistic_regression

    reference, labels, query, _ = halves
    known, asked = log_normalize(reference), log_normalize(query)
    some = labels != ""
    by_hand = LogisticRegression(max_iter=1000).fit(known.X[some], labels[some])
    named = annotate_logistic_regression(reference, labels, query, 0)
    np.testing.assert_array_equal(named.label, by_hand.predict(asked.X))
    np.testing.assert_allclose(named.scores, by_hand.predict_proba(asked.X), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_the_learner_lent_to_celltypist_is_one_against_rest(halves):
    found("celltypist:annotate", "celltypist")
    from sklearn.multiclass import OneVsRestClassifier

    from okrcell.benchmarking.baselines.celltypist import OneVsRestLogisticRegression

    reference, labels, query, _ = halves
    known, asked = log_normalize(reference).X.toarray(), log_normalize(query).X.toarray()
    ours = OneVsRestLogisticRegression(C=1.0, max_iter=1000, multi_class="ovr").fit(known, labels)
    theirs = OneVsRestClassifier(LogisticRegression(max_iter=1000)).fit(known, labels)
    np.testing.assert_allclose(ours.decision_function(asked), theirs.decision_function(asked), atol=1e-5)


def test_celltypist_leaves_no_folder_in_the_users_home(tmp_path):
    found("celltypist:annotate", "celltypist")
    code = "from okrcell.benchmarking.baselines.celltypist import _quiet_package\nwith _quiet_package(): pass"
    here = {**os.environ, "HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=here, cwd=tmp_path, check=True)
    assert not list(tmp_path.glob(".celltypist*"))


def _drawn(types, k, seed):
    rng = np.random.default_rng(seed)
    labels = np.full(len(types), "", dtype=types.dtype)
    for name in np.unique(types):
        chosen = rng.choice(np.flatnonzero(types == name), k, replace=False)
        labels[chosen] = name
    return labels
