"""What evidence is worth is what the studies that were left out speak for."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.model.marker_scores import confidence_from_margin
from okrcell.training.calibration import (
    EVIDENCE_TEMPERATURE_RANGE,
    _assay_panel,
    _monotone,
    calibrate_signatures,
    fit_logistic,
)
from okrcell.training.held_out_studies import HeldOutStudy


@given(values=st.dictionaries(st.integers(1, 30000).map(str), st.floats(0.1, 90), min_size=1))
def test_fewer_genes_never_give_more_confidence(values):
    found = _monotone(dict(values))
    ordered = [found[size] for size in sorted(found, key=int)]
    assert ordered == sorted(ordered, reverse=True)
    assert all(found[size] >= values[size] for size in values)
    assert max(found.values()) == max(values.values())


def test_the_weights_are_those_of_afit_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2))
    y = rng.random(3000) < 1 / (1 + np.exp(-(x @ [1.2, 0.4] - 0.7)))
    w = rng.random(3000)
    regression = LogisticRegression(C=1e6).fit(x, y, sample_weight=w)
    np.testing.assert_allclose(fit_logistic(x, y, w), [*regression.coef_[0], regression.intercept_[0]], atol=0.01)


def test_nothing_that_speaks_for_an_answer_may_speak_against_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 2))
    y = rng.random(2000) < 1 / (1 + np.exp(-(x @ [1.0, -2.0])))
    top, lead, bias = fit_logistic(x, y, np.ones(2000))
    assert top > 0
    assert lead == 0
    assert np.isfinite(bias)


TABLE = GeneTable.bundled()
MARKERS = {
    "CL:0000236": ("CD79A", "MS4A1", "CD79B"),
    "CL:0000084": ("CD3D", "CD3E", "IL7R"),
    "CL:0000576": ("LYZ", "FCN1", "CST3"),
    "CL:0000623": ("NKG7", "GNLY", "PRF1"),
}


def a_study(name, seed, cells=160, strength=6.0):
    """Cells of four types on the first 500 genes of the table and the markers."""
    made = np.random.default_rng(seed)
    types = tuple(sorted(MARKERS))
    truth = made.integers(0, 4, cells)
    usual = np.zeros(len(TABLE))
    usual[:500] = made.gamma(0.5, 1.0, 500)
    mean = np.tile(usual, (cells, 1))
    for number, kind in enumerate(types):
        rows = TABLE.resolve(list(MARKERS[kind])).row
        mean[:, rows] += 0.3
        mean[np.ix_(truth == number, rows)] += strength
    rows = sparse.csr_matrix(made.poisson(mean).astype(np.float32))
    truth[:5] = -1
    return HeldOutStudy(name, name, rows, np.arange(cells), truth, types)


def genes_of(studies):
    seen = sum(np.asarray(study.rows.getnnz(axis=0)) for study in studies)
    return np.flatnonzero(seen > 0)


def test_a_panel_is_of_genes_of_the_model_that_are_expressed():
    study = a_study("a", 0)
    genes = genes_of([study])[::2]
    for size in (10, 100):
        panel = _assay_panel(study, size, genes, 0)
        assert panel.sum() == size
        assert set(np.flatnonzero(panel)) <= set(genes.tolist())
        np.testing.assert_array_equal(panel, _assay_panel(study, size, genes, 0))
    assert (_assay_panel(study, 10, genes, 0) != _assay_panel(study, 10, genes, 1)).any()
    assert _assay_panel(study, 10**6, genes, 0).sum() == (np.asarray(study.rows.getnnz(axis=0))[genes] > 0).sum()


@pytest.fixture(scope="module")
def calibrated():
    from example_states import memory_of

    studies = [a_study("a", 0), a_study("b", 1), a_study("c", 2, strength=1.0)]
    genes = genes_of(studies)
    known, head = memory_of(MARKERS, studies, genes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return calibrate_signatures(studies, known, head, genes, 0), (studies, known, head, genes)


def test_what_the_model_keeps_is_all_that_its_use_reads(calibrated):
    found, (_, _, _, genes) = calibrated
    assert (
        set(found["evidence_temperature_by_genes"])
        == set(found["smoothed_evidence_temperature_by_genes"])
        == {"200", "500", str(len(genes))}
    )
    assert all(
        EVIDENCE_TEMPERATURE_RANGE[0] <= value <= EVIDENCE_TEMPERATURE_RANGE[1]
        for value in found["evidence_temperature_by_genes"].values()
    )
    assert set(found["right_by_genes"]) == set(found["evidence_temperature_by_genes"])
    assert all(set(coefficients) == {"top", "lead", "bias"} for coefficients in found["right_by_genes"].values())
    assert found["studies"] == ["a", "b", "c"]
    assert found["cells"] == 3 * 155


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_larger_share_and_a_larger_lead_make_surer(calibrated, place):
    right = list(calibrated[0]["right_by_genes"].values())[place]
    grid = np.linspace(0.05, 0.95, 9)
    assert (np.diff(confidence_from_margin(grid, np.zeros(9), right)) >= 0).all()
    assert (np.diff(confidence_from_margin(np.full(9, 0.6), np.linspace(-5, 5, 9), right)) >= 0).all()
    assert (
        confidence_from_margin(np.array([0.99]), np.array([5.0]), right)[0]
        > confidence_from_margin(np.array([0.4]), np.array([-3.0]), right)[0]
    )


def test_the_same_seed_gives_the_same_numbers(calibrated):
    found, (studies, known, head, genes) = calibrated
    assert calibrate_signatures(studies, known, head, genes, 0) == found


def test_without_a_study_to_leave_out_nothing_is_learned(calibrated):
    _, (_, known, head, genes) = calibrated
    assert calibrate_signatures([], known, head, genes, 0) == {}


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=5)
def test_a_study_without_any_known_cell_is_passed_over(seed):
    from example_states import memory_of

    study = a_study("a", seed)
    study.truth[:] = -1
    genes = genes_of([study])
    known, head = memory_of(MARKERS, [study], genes)
    assert calibrate_signatures([study], known, head, genes, 0) == {}
