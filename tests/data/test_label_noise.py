"""Label noise affects exactly the selected cells, in the configured way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.data.dataset import PairDataset
from okrcell.data.label_noise import (
    NoiseSettings,
    add_noise,
    find_partners,
    group_identical_texts,
    sibling_types,
    swap_labels,
)
from okrcell.errors import InputError, SettingsError
from okrcell.ontology.ontology import ontology
from okrcell.settings import parse_settings

ROWS = np.arange(20, 700)
DESCRIBED = np.arange(20, 690)
"""The last ten cells of the corpus have no type."""

kinds_of_cells = st.lists(st.integers(0, 4), max_size=60).map(lambda kinds: np.array(kinds, dtype=np.int64))


@pytest.fixture(scope="module")
def pairs(corpus):
    return PairDataset.from_corpus(corpus)


def names(pairs, rows=slice(None)):
    return np.array(pairs.cell_type_names)[pairs.cell_type[pairs.description[rows]]]


@settings(max_examples=20, deadline=None)
@given(rate=st.floats(0.1, 1), seed=st.integers(0, 2**32))
def test_shuffled_cells_exchange_descriptions_and_none_keeps_its_type(pairs, rate, seed):
    made = add_noise(pairs, ROWS, NoiseSettings(kind="shuffled", rate=rate, seed=seed))
    wrong = np.flatnonzero(made.is_noisy)
    assert len(wrong) == round(rate * len(DESCRIBED))
    assert set(wrong.tolist()) <= set(DESCRIBED.tolist())
    assert (names(made.dataset, wrong) != names(pairs, wrong)).all()
    assert sorted(made.dataset.description.tolist()) == sorted(pairs.description.tolist())
    assert (made.dataset.description == pairs.description)[~made.is_noisy].all()
    assert f"{len(wrong)} of 670" in made.note


def test_no_shuffled_cell_keeps_a_text(pairs):
    made = add_noise(pairs, ROWS, NoiseSettings(kind="shuffled", rate=1))
    for row in np.flatnonzero(made.is_noisy).tolist():
        before, after = (each.text_indices[each.description[row]].tolist() for each in (pairs, made.dataset))
        assert after and not set(before) & set(after)


@settings(max_examples=200, deadline=None)
@given(kind=kinds_of_cells, seed=st.integers(0, 99))
def test_as_many_get_another_kind_as_can(kind, seed):
    source = swap_labels(kind, np.random.default_rng(seed))
    assert sorted(source.tolist()) == list(range(len(kind)))
    most = np.bincount(kind).max(initial=0) if len(kind) else 0
    assert int((kind[source] == kind).sum()) == max(0, 2 * most - len(kind))


def test_a_shuffled_cell_may_get_any_other_kind():
    kind = np.repeat(np.arange(8), 500)
    source = swap_labels(kind, np.random.default_rng(0))
    given_to = np.zeros((8, 8))
    np.add.at(given_to, (kind, kind[source]), 1)
    assert (np.diag(given_to) == 0).all()
    others = given_to[~np.eye(8, dtype=bool)]
    assert others.min() > 40  # expected: 71 each
    assert others.max() < 110


def test_types_with_a_text_in_common_read_alike():
    phrasings = [np.array(texts, dtype=np.int32) for texts in ([0, 1], [2], [1, 3], [4], [])]
    alike = group_identical_texts(phrasings, np.array([0, 1, 2, 1, -1], dtype=np.int32))
    assert alike[0] == alike[2] != alike[1] == alike[3]


def test_cells_harmed_at_a_low_rate_are_harmed_at_a_high_one_and_another_seed_harms_others(pairs):
    made = [
        add_noise(pairs, ROWS, NoiseSettings(kind="sibling", rate=rate, seed=seed))
        for rate, seed in ((0.2, 1), (0.6, 1), (0.2, 2))
    ]
    low, high, other = made
    assert (high.is_noisy[low.is_noisy]).all()
    assert (high.dataset.description == low.dataset.description)[low.is_noisy].all()
    assert (low.is_noisy != other.is_noisy).any()


@pytest.mark.parametrize("kind", ["shuffled", "sibling"])
def test_the_same_seed_makes_the_same_errors_whatever_the_order_of_rows(pairs, kind):
    chosen = NoiseSettings(kind=kind, rate=0.3, seed=5)
    one, other = add_noise(pairs, ROWS, chosen), add_noise(pairs, np.random.default_rng(0).permutation(ROWS), chosen)
    assert np.array_equal(one.is_noisy, other.is_noisy)
    assert np.array_equal(one.dataset.description, other.dataset.description)


@settings(max_examples=10, deadline=None)
@given(rate=st.floats(0.02, 1), seed=st.integers(0, 2**32))
def test_siblings_share_a_near_parent_and_no_cell_can_be_both(pairs, rate, seed):
    chosen = NoiseSettings(kind="sibling", rate=rate, seed=seed)
    made = add_noise(pairs, ROWS, chosen)
    home = ontology("CL")
    assert made.is_noisy.any()
    assert not made.is_noisy[:20].any()
    for before, after in set(zip(names(pairs)[made.is_noisy], names(made.dataset)[made.is_noisy], strict=True)):
        shared = set(home.parents(before)) & set(home.parents(after))
        assert min(home.n_descendants[parent] for parent in shared) <= chosen.broadest
        assert before not in home.ancestors(after) | {after}
        assert after not in home.ancestors(before)
        assert not home.descendants(before) & home.descendants(after)


def test_the_rate_is_a_share_of_those_that_can_err_or_of_all(pairs):
    near = sibling_types(pairs.cell_type_names, NoiseSettings().broadest)
    able = int(near.any(axis=1)[pairs.cell_type[pairs.description[DESCRIBED]]].sum())
    assert 0 < able < len(DESCRIBED)
    for rate, share_of, harmed in ((0.25, "able", round(0.25 * able)), (0.1, "all", 67), (1.0, "all", able)):
        made = add_noise(pairs, ROWS, NoiseSettings(kind="sibling", rate=rate, share_of=share_of))
        assert made.is_noisy.sum() == harmed
        assert f"{len(DESCRIBED) - able} cannot" in made.note


def test_a_sibling_of_the_same_study_is_preferred_and_a_common_one_is_met_more_often():
    kind = np.array([0, 1, 2, 2, 2, 1, 0, 0])
    study = np.array([0, 0, 1, 1, 1, 1, 1, 2])
    allowed = ~np.eye(3, dtype=bool)
    everywhere = np.zeros(8, dtype=np.int64)
    rows = np.arange(8)
    met = {row: [] for row in rows.tolist()}
    for chance in np.linspace(0, 0.999, 40):
        found = find_partners(rows, kind, allowed, (study, everywhere), np.full(8, chance))
        for row, partner in enumerate(found.tolist()):
            met[row].append(partner)
    assert set(met[0]) == {1}  # the only other cell
    assert set(met[7]) == {1, 2, 3, 4, 5}  # the only cell of its study
    assert set(met[6]) == {2, 3, 4, 5}
    assert met[6].count(5) == 10
    assert (find_partners(rows, kind, allowed, (study,), np.zeros(8))[7]) == -1


def test_a_type_is_given_wrongly_no_more_often_than_allowed(pairs):
    free, bound = (
        add_noise(pairs, ROWS, NoiseSettings(kind="sibling", rate=1, mistaken=most)) for most in (None, 0.25)
    )
    wrongly, rightly = (
        dict(zip(*np.unique(found, return_counts=True), strict=True))
        for found in (names(bound.dataset)[bound.is_noisy], names(pairs)[DESCRIBED])
    )
    assert all(number <= 0.25 * rightly[name] for name, number in wrongly.items())
    assert any(number == int(0.25 * rightly[name]) for name, number in wrongly.items())
    assert 0 < bound.is_noisy.sum() < free.is_noisy.sum()
    assert (free.is_noisy | ~bound.is_noisy).all()


def test_words_that_are_no_term_and_children_of_broad_terms_are_no_siblings():
    naive, memory = "CL:0000788", "CL:0000787"
    assert sibling_types([naive, memory, "my B cell"], 500).tolist() == [
        [False, True, False],
        [True, False, False],
        [False] * 3,
    ]
    epithelial, endothelial = "CL:0000066", "CL:0000115"
    assert not sibling_types([epithelial, endothelial], 500).any()
    assert sibling_types([epithelial, endothelial], 10_000).any()


def test_no_noise_leaves_the_very_pairs(pairs):
    for chosen in (NoiseSettings(), NoiseSettings(kind="shuffled"), NoiseSettings(kind="dropout", rate=0)):
        made = add_noise(pairs, ROWS, chosen)
        assert made.dataset is pairs
        assert not made.is_noisy.any()
        assert len(made.is_noisy) == 700


def test_noise_that_cannot_be_says_why(pairs):
    one_kind = DESCRIBED[names(pairs)[DESCRIBED] == "CL:0000623"]
    for rows, chosen, reason in (
        (one_kind, NoiseSettings(kind="shuffled", rate=0.5), "all are of one type"),
        (ROWS[:1], NoiseSettings(kind="shuffled", rate=1), "no two cells"),
        (one_kind, NoiseSettings(kind="sibling", rate=0.5), "share a near parent"),
        (one_kind, NoiseSettings(kind="doublets", rate=0.5), "no study has cells of two types"),
        (np.arange(690, 700), NoiseSettings(kind="dropout", rate=0.5), "none of the 0 described"),
        (np.arange(690, 700), NoiseSettings(kind="shuffled", rate=0.5), "none of the 0 described"),
        (ROWS, NoiseSettings(kind="permuted", rate=0.0001), "the rate selects too few"),
    ):
        with pytest.raises(InputError, match=reason) as error:
            add_noise(pairs, rows, chosen)
        assert "\n" not in str(error.value)


def test_a_dominant_type_keeps_some_of_its_own_and_the_note_says_so(pairs):
    kind = names(pairs)
    rows = np.sort(
        np.concatenate(
            [DESCRIBED[kind[DESCRIBED] == "CL:0000623"][:20], DESCRIBED[kind[DESCRIBED] != "CL:0000623"][:5]]
        )
    )
    made = add_noise(pairs, rows, NoiseSettings(kind="shuffled", rate=1))
    assert made.is_noisy.sum() == 10
    assert (names(made.dataset)[made.is_noisy] != kind[made.is_noisy]).all()
    assert (names(made.dataset)[~made.is_noisy] == kind[~made.is_noisy]).all()
    assert "15 more were chosen but keep their type" in made.note


def test_impossible_settings_are_named():
    for values, seen in (
        ({"kind": "none", "rate": 0.3}, "setting 'rate'.*kind none requires the rate 0.*seen: 0.3"),
        ({"kind": "shuffled", "rate": 1.5}, "setting 'rate'"),
        ({"kind": "shuffeld"}, "setting 'kind'.*'shuffled'"),
        ({"kind": "dropout", "lots": 1}, "did you mean 'lost'"),
    ):
        with pytest.raises(SettingsError, match=seen):
            parse_settings(NoiseSettings, values, "test")
