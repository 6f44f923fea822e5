"""Groups are compared with types as one would by hand."""

import numpy as np
import pytest

from okrcell.metrics.embedding import (
    UNASSIGNED,
    average_bio,
    average_silhouette,
    best_resolution_by_nmi,
    clustering_agreement,
    leiden_clusterings,
)

TRUTH = np.array(["a", "a", "a", "b", "b", "b"])


def test_agreement_of_a_table_one_can_write_down():
    # a: two cells in group 0, one in 1; b: three in group 1. Entropies in nats.
    found = clustering_agreement(TRUTH, np.array([0, 0, 1, 1, 1, 1]))
    type_entropy = np.log(2)
    group_entropy = -(2 / 6) * np.log(2 / 6) - (4 / 6) * np.log(4 / 6)
    mutual = (2 / 6) * np.log((2 / 6) / (3 / 6 * 2 / 6)) + (1 / 6) * np.log((1 / 6) / (3 / 6 * 4 / 6))
    mutual += (3 / 6) * np.log((3 / 6) / (3 / 6 * 4 / 6))
    assert found.nmi == pytest.approx(mutual / ((type_entropy + group_entropy) / 2))
    # Pairs together in both: 1 + 3; in types: 3 + 3; in groups: 1 + 6; of 15 pairs.
    expected = 6 * 7 / 15
    assert found.ari == pytest.approx((4 - expected) / ((6 + 7) / 2 - expected))
    assert found.ami < found.nmi


def test_a_cell_of_no_type_has_no_say():
    with_stranger = clustering_agreement(np.append(TRUTH, ""), np.array([0, 0, 1, 1, 1, 1, 5]))
    assert with_stranger == clustering_agreement(TRUTH, np.array([0, 0, 1, 1, 1, 1]))


def test_silhouette_of_points_on_a_line():
    vectors = np.array([[0.0], [1.0], [10.0], [11.0]])
    # To its own 1, to the others 10.5 or 9.5: (10.5 - 1) / 10.5 and (9.5 - 1) / 9.5, the same on both sides.
    width = (9.5 / 10.5 + 8.5 / 9.5) / 2
    assert average_silhouette(vectors, np.array(["a", "a", "b", "b"])) == pytest.approx((width + 1) / 2)
    far = np.vstack([vectors, [[np.nan]], [[400.0]]])
    assert average_silhouette(far, np.array(["a", "a", "b", "b", "a", ""])) == pytest.approx((width + 1) / 2)
    assert np.isnan(average_silhouette(vectors, np.array(["a"] * 4)))


def test_average_bio_is_the_mean_of_three():
    assert average_bio(0.9, 0.6, 0.3) == pytest.approx(0.6)


def test_two_clouds_are_two_groups_and_a_cell_without_vector_is_in_neither():
    rng = np.random.default_rng(0)
    clouds = np.vstack([rng.normal(0, 1, (40, 5)), rng.normal(30, 1, (40, 5)), np.full((1, 5), np.nan)])
    found = leiden_clusterings(clouds.astype(np.float32), resolutions=(0.1, 2.0))
    coarse = found.by_resolution[0.1]
    assert coarse[-1] == UNASSIGNED
    assert set(coarse[:40]).isdisjoint(coarse[40:80])
    assert len(set(coarse[:80].tolist())) == 2
    truth = np.array(["a"] * 40 + ["b"] * 40 + [""])
    assert best_resolution_by_nmi(truth, found.by_resolution) == 0.1
    assert found.stable_resolution in (0.1, 2.0)


def test_no_cell_to_group_is_no_error():
    assert leiden_clusterings(np.full((4, 2), np.nan, dtype=np.float32)).by_resolution[1.0].tolist() == [-1] * 4
