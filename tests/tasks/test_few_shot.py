"""Few-shot annotation of a sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import okrcell as okr
from okrcell.cells.expression import read_expression
from okrcell.cells.neighbors import diffuse_over_knn
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.tasks.classifier import fit_head, fit_inverse_temperature, fit_text_weight, read_labels, text_logits
from okrcell.tasks.features import knn_affinity, knn_r2
from okrcell.tasks.few_shot import annotate_few_shot, compute_sample_features


def example_labels(labels, each, seed=0):
    """Keep the labels of ``each`` cells per type."""
    rng, examples = np.random.default_rng(seed), np.full(len(labels), "", dtype=object)
    for name in np.unique(labels):
        chosen = rng.choice(np.flatnonzero(labels == name), each, replace=False)
        examples[chosen] = name
    return examples.astype(str)


@pytest.fixture(scope="module")
def cells(blood):
    return read_expression(blood), blood.obs["cell_type"].to_numpy().astype(str)


@pytest.fixture(scope="module")
def ground(cells):
    return compute_sample_features(cells[0], okr.load())


def test_without_a_start_the_head_is_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features, given = rng.normal(size=(90, 4)).astype(np.float32), np.arange(90) % 3
    features += np.eye(4)[given][:, :4]
    head = fit_head(features, given, np.zeros((90, 3)), inverse_penalty=2.0)
    logits = head.logits(features, np.zeros((90, 3)))
    ours = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = LogisticRegression(C=2.0, tol=1e-6, max_iter=1000).fit(features, given).predict_proba(features)
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_a_head_that_may_not_move_says_what_words_said():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(12, 3))
    head = fit_head(rng.normal(size=(12, 5)).astype(np.float32), np.arange(12) % 3, start, inverse_penalty=1e-6)
    np.testing.assert_allclose(head.weight, 0, atol=1e-4)


def test_many_examples_outvote_words_that_are_wrong():
    given = np.arange(200) % 2
    features = np.where(given, 1.0, -1.0)[:, None].astype(np.float32)
    start = np.where(given[:, None] == np.arange(2), -3.0, 3.0)
    head = fit_head(features, given, start)
    assert (head.logits(features, start).argmax(axis=1) == given).all()


def test_words_that_the_examples_contradict_weigh_nothing():
    given = np.array([0, 1, 2])
    assert fit_text_weight(-3 * np.eye(3)[given], given) == 0
    assert fit_text_weight(3 * np.eye(3)[given], given) == 2
    assert fit_text_weight(3 * np.eye(3)[given], given, max_weight=1.0) == 1


def test_a_text_to_which_all_cells_lie_near_wins_none_of_them():
    cells = np.eye(3, dtype=np.float32)[[0, 1, 0, 1]]
    cells[:, 2] = 2
    texts = np.eye(3, dtype=np.float32)
    logits = text_logits(cells, texts, 0.1)
    assert logits.argmax(axis=1).tolist() == [0, 1, 0, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 5))
def test_what_a_cell_takes_from_its_company_sums_to_one(cells, seed):
    features = np.random.default_rng(seed).normal(size=(cells, 3)).astype(np.float32)
    near = knn_affinity(features)
    np.testing.assert_allclose(np.asarray(near.sum(axis=1)).ravel(), 1, rtol=1e-5)
    same = np.ones((cells, 2), dtype=np.float32)
    np.testing.assert_allclose(diffuse_over_knn(same, near, 4), same, rtol=1e-5)


def test_company_depends_on_no_order():
    rng = np.random.default_rng(1)
    features, order = rng.normal(size=(60, 4)).astype(np.float32), rng.permutation(60)
    one, other = knn_affinity(features).toarray(), knn_affinity(features[order]).toarray()
    np.testing.assert_allclose(one[np.ix_(order, order)], other, atol=1e-6)


def test_neighbours_foretell_structure_and_no_noise():
    rng = np.random.default_rng(0)
    group = np.repeat([0.0, 10.0], 50)[:, None]
    features = (group + rng.normal(size=(100, 2))).astype(np.float32)
    near = knn_affinity(features)
    assert knn_r2(group, near) > 0.95
    assert knn_r2(rng.normal(size=(100, 5)), near) < 0.2


def test_a_head_that_is_too_sure_is_told_to_speak_softly():
    rng = np.random.default_rng(0)
    given = rng.integers(0, 2, 200)
    noise = rng.normal(size=(200, 50)).astype(np.float32)
    assert fit_inverse_temperature(noise, given, np.zeros((200, 2))) < 0.6
    assert fit_inverse_temperature(noise[:4], np.array([0, 1, 0, 1]), np.zeros((4, 2))) == 1


def test_one_example_of_each_type_does_better_than_regression_on_components(cells, ground):
    from sklearn.linear_model import LogisticRegression

    expression, labels = cells
    accuracy, regression_accuracy = [], []
    for seed in range(3):
        examples = example_labels(labels, 1, seed)
        known = examples != ""
        found = annotate_few_shot(expression, examples, ground.embedder, sample_features=ground)
        accuracy.append(np.mean((np.array(found.names)[found.prediction.best_idx] == labels)[~known]))
        learner = LogisticRegression(max_iter=500).fit(ground.feature_set.log_components[known], labels[known])
        regression_accuracy.append(np.mean((learner.predict(ground.feature_set.log_components) == labels)[~known]))
    assert np.mean(accuracy) > np.mean(regression_accuracy) + 0.05


def test_the_same_seed_gives_the_same_numbers_and_a_ground_is_no_shortcut(cells, ground):
    expression, labels = cells
    examples = example_labels(labels, 2)
    one = annotate_few_shot(expression, examples, ground.embedder, sample_features=ground)
    again = annotate_few_shot(expression, examples, ground.embedder, seed=0)
    np.testing.assert_allclose(one.probability, again.probability, atol=1e-5)
    np.testing.assert_allclose(one.probability.sum(axis=1), 1, rtol=1e-5)
    assert one.n_examples.tolist() == [2] * len(one.names)
    assert 0 <= one.model_weight <= 1


@pytest.fixture
def embedder(checkpoint):
    return Embedder(checkpoint)


def test_a_cell_without_expression_has_no_answer_and_changes_nobody_elses(blood, embedder):
    few = blood[:60].copy()
    labels = example_labels(few.obs["cell_type"].to_numpy().astype(str), 1)
    whole = annotate_few_shot(read_expression(few), labels, embedder)
    gap = blood[:61].copy()
    gap = gap[[*range(30), 60, *range(30, 60)]].copy()
    values = gap.X.toarray()
    values[30] = 0
    gap.X = type(few.X)(values)
    found = annotate_few_shot(read_expression(gap), np.insert(labels, 30, ""), embedder)
    assert np.isnan(found.probability[30]).all()
    assert found.prediction.status[30] == "unknown"
    np.testing.assert_allclose(np.delete(found.probability, 30, axis=0), whole.probability, atol=1e-4)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_a_handful_of_cells_with_one_label_is_named_by_it(blood, embedder, cells):
    found = annotate_few_shot(read_expression(blood[:cells].copy()), ["A549", *[""] * (cells - 1)], embedder)
    np.testing.assert_allclose(found.probability, 1)
    assert found.names == ("A549",)


def test_labels_that_cannot_be_learned_from_are_refused(blood, embedder):
    expression = read_expression(blood[:5].copy())
    with pytest.raises(InputError, match="No cell has a label"):
        annotate_few_shot(expression, [""] * 5, embedder)
    with pytest.raises(InputError, match="4 labels for 5 cells"):
        annotate_few_shot(expression, ["B"] * 4, embedder)


def test_a_label_that_looks_like_an_id_but_is_none_stands_for_itself():
    read = read_labels(["CL:9999999", "CL:0000236", ""])
    assert read.label_idx.tolist() == [1, 0, -1]
    assert [each.term_id for each in read.candidates] == ["CL:0000236", ""]
    assert read.candidates[1].texts == ("CL:9999999",)
