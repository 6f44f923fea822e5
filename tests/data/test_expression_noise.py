"""Expression noise is reproducible and changes no other cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from okrcell.data.dataset import PairDataset
from okrcell.data.expression_noise import (
    MAX_MOLECULES,
    AmbientNoise,
    AmbientProfile,
    DropoutNoise,
    PermutationNoise,
    SparseCell,
    add_cells,
)
from okrcell.data.label_noise import NoiseSettings, add_noise

ROWS = np.arange(20, 700)
KINDS = ["dropout", "ambient", "doublets", "permuted"]

counts = arrays(np.int64, st.integers(0, 40), elements=st.one_of(st.integers(1, 5), st.integers(1, 60_000)))
values = arrays(np.float32, st.integers(0, 40), elements=st.floats(2.0**-20, 2.0**40, width=32))


@pytest.fixture(scope="module")
def pairs(corpus):
    return PairDataset.from_corpus(corpus)


@pytest.fixture(scope="module", params=KINDS)
def harmed(request, pairs):
    return add_noise(pairs, ROWS, NoiseSettings(kind=request.param, rate=0.3, seed=3))


def cell_of(value):
    return SparseCell(np.arange(len(value), dtype=np.int32) * 3, np.asarray(value, dtype=np.float32))


def sound(rows):
    assert rows.dtype == np.float32
    assert (rows.data > 0).all()
    assert np.isfinite(rows.data).all()
    plain = sparse.csr_matrix((rows.data, rows.indices, rows.indptr), shape=rows.shape)
    assert plain.has_canonical_format


def test_exactly_the_harmed_cells_change(pairs, harmed, corpus):
    everyone = np.arange(700)
    before, after = corpus.rows(everyone), harmed.dataset.expression(everyone)
    sound(after)
    assert harmed.dataset.has_noise
    assert after.shape == before.shape
    assert harmed.is_noisy.sum() == round(0.3 * 670)
    assert not harmed.is_noisy[:20].any()
    assert not harmed.is_noisy[690:].any()
    differs = np.asarray((before != after).sum(axis=1)).ravel() > 0
    assert not differs[~harmed.is_noisy].any()
    assert differs[harmed.is_noisy].mean() > 0.99
    assert np.array_equal(harmed.dataset.description, pairs.description)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.integers(0, 699), max_size=30))
def test_a_cell_is_spoiled_in_the_same_way_in_whatever_company(harmed, rows):
    together = harmed.dataset.expression(rows)
    sound(together)
    alone = [harmed.dataset.expression([row]) for row in rows]
    if rows:
        assert (sparse.vstack(alone) != together).nnz == 0
    assert together.shape[0] == len(rows)


def test_the_same_seed_spoils_alike_and_another_does_not(pairs):
    for kind in KINDS:
        one, same, other = (
            add_noise(pairs, ROWS, NoiseSettings(kind=kind, rate=0.5, seed=seed)).dataset.expression(ROWS)
            for seed in (1, 1, 2)
        )
        assert (one != same).nnz == 0
        assert (one != other).nnz > 0


def test_without_noise_expression_is_the_corpus(pairs, corpus):
    rows = [5, 600, 5]
    assert not pairs.has_noise
    assert pairs.cells is corpus
    assert (pairs.expression(rows) != corpus.rows(rows)).nnz == 0


@settings(max_examples=60, deadline=None)
@given(value=counts, lost=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_what_drops_out_was_there_and_what_stays_is_as_it_was(value, lost, seed):
    cell = cell_of(value)
    left = DropoutNoise(lost, "values")(cell, 0, np.random.default_rng(seed))
    there = np.isin(cell.gene, left.gene)
    assert np.array_equal(left.value, cell.value[there])
    thinned = DropoutNoise(lost, "molecules")(cell, 0, np.random.default_rng(seed))
    there = np.isin(cell.gene, thinned.gene)
    assert (thinned.value <= cell.value[there]).all()
    assert (thinned.value == np.rint(thinned.value)).all()
    assert (thinned.value >= 1).all()
    assert np.array_equal(cell.value, np.asarray(value, dtype=np.float32))


@settings(max_examples=60, deadline=None)
@given(value=values, seed=st.integers(0, 99))
def test_values_that_are_no_counts_are_thinned_too(value, seed):
    cell = cell_of(value)
    thinned = DropoutNoise(0.5, "molecules")(cell, 0, np.random.default_rng(seed))
    there = np.isin(cell.gene, thinned.gene)
    assert (thinned.value <= cell.value[there] * (1 + 1e-6)).all()
    assert (thinned.value > 0).all()


def test_half_of_what_is_expressed_is_lost():
    cell = cell_of(np.full(20_000, 4))
    for lose in ("values", "molecules"):
        left = DropoutNoise(0.5, lose)(cell, 0, np.random.default_rng(0))
        assert left.value.sum() / cell.value.sum() == pytest.approx(0.5, abs=0.02)
        assert len(left.gene) / len(cell.gene) == pytest.approx(0.5 if lose == "values" else 1 - 0.5**4, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(value=counts, share=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_soup_takes_the_place_of_molecules_one_for_one(value, share, seed):
    cell = cell_of(value)
    soup = AmbientProfile.from_cells(sparse.csr_matrix(np.array([[0, 6, 0, 0, 1], [0, 0, 0, 0, 1]], dtype=np.float32)))
    assert soup.gene.tolist() == [1, 4]
    assert soup.fractions.tolist() == [0.75, 0.25]
    mixed = AmbientNoise(share, np.array([7]), {7: soup})(cell, 0, np.random.default_rng(seed))
    assert mixed.value.sum(dtype=np.float64) == cell.value.sum(dtype=np.float64)
    assert set(mixed.gene.tolist()) <= set(cell.gene.tolist()) | {1, 4}
    assert (np.diff(mixed.gene) > 0).all()


def test_half_of_a_soupy_cell_is_the_mean_of_its_study(pairs, corpus):
    made = add_noise(pairs, ROWS, NoiseSettings(kind="ambient", rate=1, ambient=1.0))
    study = corpus.obs["study"].to_numpy()
    for name in np.unique(study):
        rows = ROWS[(study[ROWS] == name) & made.is_noisy[ROWS]]
        mean = np.asarray(corpus.rows(ROWS[study[ROWS] == name]).sum(axis=0)).ravel()
        seen = np.asarray(made.dataset.expression(rows).sum(axis=0)).ravel()
        assert set(np.flatnonzero(seen)) <= set(np.flatnonzero(mean))
        assert np.corrcoef(mean, seen)[0, 1] > 0.98
    own = add_noise(pairs, ROWS, NoiseSettings(kind="ambient", rate=1, ambient=0.5)).dataset.expression(ROWS)
    total = np.asarray(own.sum(axis=1)).ravel() / np.asarray(corpus.rows(ROWS).sum(axis=1)).ravel()
    assert np.median(total) == pytest.approx(1, abs=0.05)


def test_an_empty_study_leaves_a_cell_as_it_is_and_no_cell_is_too_deep():
    empty = AmbientProfile.from_cells(sparse.csr_matrix((3, 5), dtype=np.float32))
    cell = cell_of([1e-30, 5.0])
    assert AmbientNoise(0.5, np.array([0]), {0: empty})(cell, 0, np.random.default_rng(0)) is cell
    soup = AmbientProfile(np.array([2], dtype=np.int32), np.array([1.0]))
    mixed = AmbientNoise(1.0, np.array([0]), {0: soup})(cell, 0, np.random.default_rng(0))
    assert mixed.value.tolist() == pytest.approx([5.0 * (1 + 1 / MAX_MOLECULES)])


def test_a_doublet_is_a_cell_and_another_of_its_study_of_another_type(pairs, corpus):
    made = add_noise(pairs, ROWS, NoiseSettings(kind="doublets", rate=1))
    partner = made.dataset.cells.noise.partner
    kind = pairs.cell_type[pairs.description]
    study = corpus.obs["study"].to_numpy()
    rows = np.flatnonzero(made.is_noisy)
    assert len(rows) == 670
    assert (study[rows] == study[partner[rows]]).all()
    assert (kind[rows] != kind[partner[rows]]).all()
    assert np.isin(partner[rows], ROWS).all()
    both = corpus.rows(rows) + corpus.rows(partner[rows])
    assert abs(both - made.dataset.expression(rows)).max() < 1e-4


@settings(max_examples=60, deadline=None)
@given(value=values, share=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_permuted_values_stay_among_the_genes_of_the_cell(value, share, seed):
    cell = cell_of(value)
    permuted = PermutationNoise(share)(cell, 0, np.random.default_rng(seed))
    assert np.array_equal(permuted.gene, cell.gene)
    assert sorted(permuted.value.tolist()) == sorted(cell.value.tolist())
    assert (permuted.value != cell.value).sum() <= round(share * len(value))


@settings(max_examples=60, deadline=None)
@given(one=arrays(np.float32, 12, elements=st.integers(0, 9)), other=arrays(np.float32, 12, elements=st.integers(0, 9)))
def test_cells_add_up_gene_by_gene(one, other):
    cells = [SparseCell(np.flatnonzero(each).astype(np.int32), each[each > 0]) for each in (one, other)]
    both = np.zeros(12, dtype=np.float32)
    sum_of = add_cells(*cells)
    both[sum_of.gene] = sum_of.value
    assert np.array_equal(both, one + other)
    assert sum_of.gene.dtype == np.int32


def test_noise_may_be_laid_upon_noise(pairs, corpus):
    wrong_texts = add_noise(pairs, ROWS, NoiseSettings(kind="shuffled", rate=0.3, seed=1))
    both = add_noise(wrong_texts.dataset, ROWS, NoiseSettings(kind="permuted", rate=0.3, seed=1))
    thrice = add_noise(both.dataset, ROWS, NoiseSettings(kind="dropout", rate=1, seed=1))
    assert np.array_equal(thrice.dataset.description, wrong_texts.dataset.description)
    assert np.array_equal(thrice.dataset.clean_description, pairs.description)
    assert 0 < (both.is_noisy & wrong_texts.is_noisy).sum() < both.is_noisy.sum()
    assert thrice.dataset.expression(ROWS).nnz < 0.6 * corpus.rows(ROWS).nnz
    changed = both.dataset.expression(ROWS) != corpus.rows(ROWS)
    assert set(ROWS[np.unique(changed.nonzero()[0])]) <= set(np.flatnonzero(both.is_noisy))
