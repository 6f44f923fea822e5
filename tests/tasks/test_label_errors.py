"""Label error detection."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn.metrics import roc_auc_score

from okrcell.errors import InputError
from okrcell.losses.pair_weights import ReliabilitySettings
from okrcell.losses.pair_weights import match_probability as agreement_in_training
from okrcell.tasks.audit_corpus import corpus_expression, read_reliability, use_run_reliability
from okrcell.tasks.audit_study import check_labels, label_relations, log_cp10k, pca_features
from okrcell.tasks.classifier import N_FOLDS, assign_folds, cross_val_predict_proba
from okrcell.tasks.label_errors import AuditSettings, audit_labels, fit_noise_transition, match_probability
from okrcell.tasks.labels import read_study_labels


def unit(values):
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def made_up(cells=400, labels=4, dim=16, spread=0.25, seed=0):
    """Cells around the text vectors of their labels, and the same cells in other coordinates as components."""
    rng = np.random.default_rng(seed)
    words = unit(rng.normal(size=(labels, dim)))
    truth = rng.integers(labels, size=cells)
    vectors = unit(words[truth] + spread * rng.normal(size=(cells, dim)))
    own = vectors @ rng.normal(size=(dim, 8)).astype(np.float32)
    return vectors, own / np.sqrt((own**2).sum(axis=1).mean()), words, truth


def spoilt(truth, rate, labels, seed=1):
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(truth)) < rate
    return np.where(wrong, (truth + rng.integers(1, labels, size=len(truth))) % labels, truth), wrong


def test_agreement_is_what_training_calls_so():
    cells, _, words, given_labels = made_up(cells=60)
    ours = match_probability(cells, words, np.bincount(given_labels, minlength=4))
    same = torch.from_numpy(given_labels[:, None] == given_labels[None])
    expected = agreement_in_training(
        torch.from_numpy(cells),
        torch.from_numpy(words[given_labels]),
        same,
        0.05,
        ReliabilitySettings(duplicates="correct"),
    )
    np.testing.assert_allclose(ours[np.arange(60), given_labels], expected.numpy(), rtol=1e-4, atol=1e-6)


def test_a_cell_without_expression_agrees_with_nothing_and_changes_nothing():
    cells, _, words, given_labels = made_up(cells=30)
    count = np.bincount(given_labels, minlength=4)
    more = np.vstack([cells, np.full((1, 16), np.nan, dtype=np.float32)])
    found = match_probability(more, words, count)
    assert np.isnan(found[-1]).all()
    np.testing.assert_array_equal(found[:-1], match_probability(cells, words, count))


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float64, (12, 3), elements=st.floats(0, 1)),
    arrays(np.int64, 12, elements=st.integers(0, 2)),
)
def test_probabilities_of_slips_sum_to_one_whatever_the_evidence(evidence, written):
    evidence = (evidence + 1e-9) / (evidence + 1e-9).sum(axis=1, keepdims=True)
    found = fit_noise_transition(evidence, written)
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    assert (found.posterior >= 0).all()


def test_who_is_mistaken_for_whom_is_learned():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=3000)
    written = np.where((truth == 0) & (rng.random(3000) < 0.3), 1, truth)
    evidence = np.full((3000, 3), 0.01)
    evidence[np.arange(3000), truth] = 0.98
    found = fit_noise_transition(evidence, written)
    assert found.matrix[0, 1] == pytest.approx(0.3, abs=0.03)
    assert found.matrix[2, 2] == pytest.approx(1, abs=0.01)


def test_without_doubt_in_the_evidence_the_written_label_does_not_matter():
    evidence = np.eye(3)[[0, 1, 2, 0]]
    np.testing.assert_allclose(fit_noise_transition(evidence, np.array([0, 1, 1, 2])).posterior, evidence, atol=1e-9)


def test_a_group_is_never_parted():
    groups = np.repeat([f"donor{number}" for number in range(8)], 25)
    fold = assign_folds(np.zeros(200, dtype=int), groups, np.random.default_rng(0))
    assert all(len(set(fold[groups == name])) == 1 for name in groups)
    assert np.bincount(fold).tolist() == [50, 50, 50, 25, 25]


def test_every_label_is_in_every_fold():
    labels = np.repeat([0, 1, 2], [50, 20, 5])
    fold = assign_folds(labels, None, np.random.default_rng(0))
    assert all(len(set(fold[labels == label])) == N_FOLDS for label in range(3))


def test_a_cell_does_not_testify_for_itself():
    _, own, _, truth = made_up(cells=100)
    fold = np.arange(100) % N_FOLDS
    changed = truth.copy()
    changed[7] = (truth[7] + 1) % 4
    probabilities = [
        cross_val_predict_proba(own, labels, np.ones(100), fold, 4, np.random.default_rng(0))
        for labels in (truth, changed)
    ]
    np.testing.assert_allclose(probabilities[0][7], probabilities[1][7], rtol=1e-6)
    assert np.abs(probabilities[0] - probabilities[1]).max() > 1e-4


def test_one_label_in_the_other_folds_is_foretold_with_certainty():
    probabilities = cross_val_predict_proba(
        np.ones((4, 2)), np.zeros(4, dtype=int), np.ones(4), np.arange(4), 3, np.random.default_rng(0)
    )
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert (probabilities.argmax(axis=1) == 0).all()


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_wrong_labels_are_found_and_named(rate):
    cells, own, words, truth = made_up()
    written, wrong = spoilt(truth, rate, 4)
    found = audit_labels(cells, own, words, written, np.eye(4, dtype=bool))
    assert roc_auc_score(wrong, -found.trust) > 0.98
    assert (found.most_likely[wrong] == truth[wrong]).mean() > 0.95
    assert found.expected_errors == pytest.approx(wrong.sum(), rel=0.25)
    assert wrong[found.doubtful].mean() > 0.9


def test_doing_it_twice_gives_the_same():
    cells, own, words, truth = made_up(cells=80)
    first, second = (audit_labels(cells, own, words, truth, np.eye(4, dtype=bool)) for _ in range(2))
    np.testing.assert_array_equal(first.trust, second.trust)


def test_words_that_say_nothing_get_little_weight():
    cells, own, words, truth = made_up()
    written, wrong = spoilt(truth, 0.1, 4)
    strange = unit(np.random.default_rng(5).normal(size=words.shape))
    found = audit_labels(cells, own, strange, written, np.eye(4, dtype=bool))
    assert found.text_weight <= 0.1
    assert roc_auc_score(wrong, -found.trust) > 0.98
    assert audit_labels(cells, own, words, written, np.eye(4, dtype=bool)).text_weight > 0.1


def test_a_broader_name_is_no_error():
    cells, own, words, truth = made_up()
    written, wrong = spoilt(truth, 0.2, 4)
    kin = np.eye(4, dtype=bool)
    kin[0, 1] = kin[1, 0] = True
    found = audit_labels(cells, own, words, written, kin)
    related = wrong & np.isin(truth, (0, 1)) & np.isin(written, (0, 1))
    assert related.any()
    assert (found.trust[related] > 0.5).all()
    assert not found.doubtful[related].any()


def test_cells_without_label_or_expression_keep_their_places():
    cells, own, words, truth = made_up(cells=100)
    written = truth.copy()
    written[[3, 50]] = -1
    cells[[4, 50]] = np.nan
    found = audit_labels(cells, own, words, written, np.eye(4, dtype=bool))
    assert np.isnan(found.trust[[3, 4, 50]]).all()
    assert not found.doubtful[[3, 4, 50]].any()
    assert found.most_likely[3] == truth[3]
    assert found.most_likely[[4, 50]].tolist() == [-1, -1]
    assert np.isfinite(np.delete(found.trust, [3, 4, 50])).all()


def test_a_label_with_few_cells_is_judged_by_its_words():
    cells, own, words, truth = made_up(cells=200)
    written = truth.copy()
    lonely = np.flatnonzero(truth == 0)[:2]
    words = np.vstack([words, words[0]])
    words[0] = unit(np.random.default_rng(9).normal(size=(1, 16)))[0]
    written[lonely] = 4
    written[(written == 0)] = 1
    found = audit_labels(cells, own, words, written, np.eye(5, dtype=bool))
    assert (found.trust[lonely] > 0.5).all()


def test_one_cell_for_each_label_leaves_only_the_words():
    cells, own, words, _ = made_up(cells=4)
    cells = words.copy()
    found = audit_labels(cells, own, words, np.array([0, 1, 3, 2]), np.eye(4, dtype=bool))
    assert found.most_likely.tolist() == [0, 1, 2, 3]
    assert (found.trust[:2] > found.trust[2:]).all()


def test_no_cell_with_a_label_is_no_accident():
    cells, own, words, _ = made_up(cells=5)
    found = audit_labels(cells, own, words, np.full(5, -1), np.eye(4, dtype=bool), settings=AuditSettings())
    assert np.isnan(found.trust).all()


def test_relations_follow_the_ontology():
    relations = label_relations(("CL:0000084", "CL:0000624", "CL:0000236", "my cluster"))
    assert relations[0].tolist() == ["same", "narrower", "other", "other", ""]
    assert relations[1, 0] == "broader"
    assert relations[3].tolist() == ["other", "other", "other", "same", ""]


def test_labels_of_one_meaning_are_one_label():
    obs = pd.DataFrame({"cell_type": ["B cell", "B", "B cell", "unknown", None, "blobs"]})
    found = read_study_labels(obs)
    assert found.label_idx.tolist() == [0, 0, 0, -1, -1, 1]
    assert found.author_names == ("B cell", "blobs")
    assert found.ids == ("CL:0000236", "")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"cluster": ["a", "b"]}, "no column 'cell_type'; it has cluster"),
        ({"cell_type": ["B cell", "B cell"]}, "All labelled cells are 'B cell'"),
        ({"cell_type": ["unknown", None]}, "No cell has a label"),
    ],
)
def test_what_cannot_be_looked_over_is_refused(column, message):
    with pytest.raises(InputError, match=message):
        check_labels(pd.DataFrame(column), "cell_type")


def test_a_corpus_reads_as_a_file(corpus):
    rows = np.array([650, 3, 7, 7])
    blocks = list(corpus_expression(corpus, rows).blocks(3))
    assert [block.shape[0] for block in blocks] == [3, 1]
    difference = sparse.vstack(blocks) - corpus.rows(rows)
    assert abs(difference).max() == 0


def test_levels_are_logarithms_of_counts_per_ten_thousand():
    counts = sparse.csr_matrix(np.array([[1, 3, 0], [0, 0, 0]], dtype=np.float32))
    np.testing.assert_allclose(log_cp10k(counts).toarray(), [[np.log1p(2500), np.log1p(7500), 0], [0, 0, 0]], rtol=1e-6)


def test_directions_are_the_principal_components(corpus):
    rows = np.arange(120)
    found = pca_features(corpus_expression(corpus, rows))
    dense = log_cp10k(corpus.rows(rows)).toarray()
    dense -= dense.mean(axis=0)
    size = np.linalg.svd(dense, compute_uv=False)
    ratio = np.linalg.norm(found, axis=0)[:5] / np.linalg.norm(found, axis=0)[0]
    np.testing.assert_allclose(ratio, size[:5] / size[0], rtol=1e-2)


def reliability(folder, **columns):
    values = {"row": [0, 2], "study": "s", "epoch_1": [0.2, np.nan], "epoch_2": [0.4, np.nan], **columns}
    pd.DataFrame(values).to_parquet(folder / "reliability.parquet")
    return folder


def test_a_run_trusts_by_the_mean_of_its_epochs(tmp_path):
    found = read_reliability(reliability(tmp_path))
    assert found.loc[0, "trust"] == pytest.approx(0.3)
    assert np.isnan(found.loc[2, "trust"])
    table = pd.DataFrame({"row": [0, 1, 2], "study": "s", "trust": 0.9, "relation": "other"})
    changed = use_run_reliability(table, found, tmp_path)
    assert changed["trust"].round(6).tolist()[:1] == [0.3]
    assert changed["trust"].isna().tolist() == [False, True, True]
    assert changed["doubtful"].tolist() == [True, False, False]


def test_a_run_of_another_corpus_is_refused(tmp_path):
    found = read_reliability(reliability(tmp_path, study="elsewhere"))
    table = pd.DataFrame({"row": [0, 1], "study": "s", "trust": 0.9, "relation": "other"})
    with pytest.raises(InputError, match="another corpus"):
        use_run_reliability(table, found, tmp_path)


def test_a_run_without_a_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="without reliability weights"):
        read_reliability(tmp_path)
    (tmp_path / "reliability.parquet").write_text("no table")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_reliability(tmp_path)
    pd.DataFrame({"row": [1]}).to_parquet(tmp_path / "reliability.parquet")
    with pytest.raises(InputError, match="not a reliability table"):
        read_reliability(tmp_path)
