"""The axes of the variation within types are those of a weighted principal component analysis of residuals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from example_signatures import example_head
from okrcell.training import type_variation as module
from okrcell.training.cell_type_profiles import MIN_CELLS, StudyCells
from okrcell.training.type_variation import fit_type_variation

GENES = 30


HEAD = replace(
    example_head([f"gene{number}" for number in range(GENES)]),
    level=torch.zeros(GENES),
    spread=torch.full((GENES,), 0.5),
    linear=torch.full((GENES,), 3.0),
)


def study(name, axis, seed, per_type=60, averaged=False):
    """Two types whose cells vary along one axis."""
    made = np.random.default_rng(seed)
    means = made.uniform(0.5, 2.0, (2, GENES))
    cell_type = np.repeat([0, 1], per_type)
    strength = made.normal(size=(2 * per_type, 1))
    log_expr = means[cell_type] + 0.3 * strength * axis + 0.02 * made.normal(size=(2 * per_type, GENES))
    rows = sparse.csr_matrix(np.maximum(log_expr, 0).astype(np.float32))
    return StudyCells(name, rows, cell_type.astype(np.int32), averaged, np.ones(GENES, dtype=bool))


@pytest.fixture
def fit(monkeypatch):
    def fit(studies, overlapping=None):
        monkeypatch.setattr(module, "iter_studies", lambda *_: iter(studies))
        return fit_type_variation(None, np.arange(0), np.arange(0), HEAD, overlapping or {}, 0)

    return fit


AXIS = np.zeros(GENES)
AXIS[:10] = np.tile([1.0, -1.0], 5) / np.sqrt(10)


def test_the_strongest_axis_is_that_along_which_cells_of_a_type_vary(fit):
    found = fit([study("a", AXIS, 0), study("b", AXIS, 1)])
    assert abs(found.axes[:, 0] @ AXIS) > 0.95
    assert found.variances[0] > 5 * found.variances[1]
    np.testing.assert_allclose(found.axes.T @ found.axes, np.eye(len(found.variances)), atol=1e-3)
    assert (np.diff(found.variances) <= 0).all()


def test_studies_of_one_group_count_once(fit):
    other = np.roll(AXIS, 15)
    alike = [study("a", AXIS, seed) for seed in (0, 1)]
    alike = [
        StudyCells(f"a{i}", cells.log_expr, cells.cell_type, False, cells.measured) for i, cells in enumerate(alike)
    ]
    apart = fit([*alike, study("b", other, 2)])
    grouped = fit([*alike, study("b", other, 2)], {"a0": "a", "a1": "a"})

    def along(variation, axis):
        return float(((variation.axes.T @ axis) ** 2) @ variation.variances)

    assert along(grouped, AXIS) / along(grouped, other) < 0.7 * along(apart, AXIS) / along(apart, other)


def test_averages_and_small_studies_have_no_variation(fit):
    assert fit([study("a", AXIS, 0, averaged=True)]) is None
    assert fit([study("a", AXIS, 0, per_type=MIN_CELLS // 4)]) is None


def test_one_seed_gives_the_same_axes(fit):
    first, second = fit([study("a", AXIS, 0)]), fit([study("a", AXIS, 0)])
    np.testing.assert_array_equal(first.axes, second.axes)
