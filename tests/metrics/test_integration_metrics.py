"""Batches are mixed or apart, and the scores say which."""

import sys

import numpy as np
import pytest

from okrcell.errors import MissingExtraError
from okrcell.metrics.embedding import (
    IntegrationScores,
    integration_scores,
    pcr_comparison,
    silhouette_batch,
)


def test_averages_are_those_of_the_paper():
    scores = IntegrationScores(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    assert scores.average_bio == pytest.approx(0.3)
    assert scores.average_batch == pytest.approx(0.7)


def test_silhouette_of_batches_by_hand():
    vectors = np.array([[0.0], [1.0], [0.0], [1.0], [5.0], [6.0]])
    label, batch = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0, 0])
    # In type 0 each cell is 1 from its own batch and (0 + 1) / 2 from the other: (0.5 - 1) / 1. Type 1 is of one batch.
    assert silhouette_batch(vectors, label, batch) == pytest.approx(1 - 0.5)
    assert np.isnan(silhouette_batch(vectors[4:], label[4:], batch[4:]))


@pytest.mark.bench
def test_silhouette_of_batches_is_that_of_scib_metrics():
    scib = pytest.importorskip("scib_metrics")
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(120, 6)).astype(np.float32)
    label, batch = rng.integers(0, 3, 120), rng.integers(0, 4, 120)
    vectors[batch == 2] += 2
    assert silhouette_batch(vectors, label, batch) == pytest.approx(
        scib.silhouette_batch(vectors, label, batch), abs=1e-5
    )


@pytest.mark.bench
def test_mixed_batches_score_higher_than_batches_apart():
    pytest.importorskip("scib_metrics")
    rng = np.random.default_rng(2)
    truth = np.repeat(["a", "b"], 100)
    batch = np.tile(["x", "y"], 100)
    types = np.where(truth == "a", 0.0, 12.0)[:, None] + rng.normal(size=(200, 4))
    apart = types.copy()
    apart[batch == "y", 1] += 40
    mixed = integration_scores(types.astype(np.float32), apart, truth, batch)
    unmixed = integration_scores(apart.astype(np.float32), apart, truth, batch)
    assert mixed.average_bio > 0.9
    assert mixed.average_batch > 0.9 > unmixed.average_batch
    # Nothing was integrated. The score is 0 up to float32 rounding, and scib-metrics' warning about a score below 0, which
    # depends on the processor, is no error.
    assert unmixed.pcr_comparison == pytest.approx(0, abs=1e-3)
    spoilt = types.copy()
    spoilt[:3] = np.nan
    assert integration_scores(spoilt.astype(np.float32), apart, truth, batch).average_bio > 0.9


@pytest.mark.bench
def test_a_batch_effect_that_grew_scores_zero_without_a_warning():
    pytest.importorskip("scib_metrics")
    before = np.random.default_rng(3).normal(size=(100, 4))
    batch = np.tile([0, 1], 50)
    after = before + 20 * np.eye(4)[0] * batch[:, None]
    assert pcr_comparison(before, after.astype(np.float32), batch) == 0


def test_without_scib_metrics_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scib_metrics", None)
    with pytest.raises(MissingExtraError, match=r"scib-metrics.*baselines"):
        integration_scores(np.zeros((4, 2)), np.zeros((4, 2)), np.array(["a"] * 4), np.array(["x"] * 4))
