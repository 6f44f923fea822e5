"""A table of reliability is scored against the truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from okrcell.benchmarking.noise.summary import EDGES, abundance_strata, score_reliability


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    wrong = rng.random(600) < 0.3
    r = np.clip(rng.beta(4, 2, (600, 3)) - 0.4 * wrong[:, None] * rng.random((600, 3)), 0, 1)
    r[:, 0] = np.nan  # nothing was recorded in the first epoch
    r[:50, 1] = np.nan
    frame = pd.DataFrame({"row": range(600), "visits": 2, "wrong": wrong, "trust": r[:, 2] ** 2})
    frame["cell_type"] = np.repeat(["B", "T", "NK"], [300, 200, 100])
    for epoch in range(3):
        frame[f"epoch_{epoch + 1}"] = r[:, epoch].astype(np.float32)
    return frame


def scored(frame, tmp_path):
    frame.to_parquet(tmp_path / "reliability.parquet")
    return score_reliability(tmp_path / "reliability.parquet")


def test_each_auroc_equals_the_reference(table, tmp_path):
    scores = scored(table, tmp_path)
    assert (scores["pairs"], scores["wrong"]) == (600, int(table["wrong"].sum()))
    assert scores["auroc"]["symmetry"][0] is None
    seen = table.iloc[50:]
    assert scores["auroc"]["symmetry"][1] == pytest.approx(roc_auc_score(seen["wrong"], -seen["epoch_2"]))
    mean = table[["epoch_2", "epoch_3"]].astype(float).mean(axis=1)
    assert scores["auroc"]["mean_symmetry"][2] == pytest.approx(roc_auc_score(table["wrong"], -mean))
    assert scores["auroc"]["trust"] == pytest.approx(roc_auc_score(table["wrong"], -table["trust"]))
    rare = table["cell_type"] == "NK"
    assert scores["auroc"]["strata"]["rare"] == pytest.approx(roc_auc_score(table["wrong"][rare], -mean[rare]))


def test_histograms_count_every_recorded_pair_once(table, tmp_path):
    scores = scored(table, tmp_path)
    for epoch in range(3):
        recorded = table[f"epoch_{epoch + 1}"].notna()
        assert sum(scores["clean"][epoch]) == int((recorded & ~table["wrong"]).sum())
        assert sum(scores["wrong_pairs"][epoch]) == int((recorded & table["wrong"]).sum())
    assert len(scores["clean"][0]) == len(EDGES) - 1


def test_pairs_that_were_never_visited_do_not_count(table, tmp_path):
    table.loc[:99, "visits"] = 0
    assert scored(table, tmp_path)["pairs"] == 500


def test_without_wrong_pairs_or_visits_there_is_nothing_to_score(table, tmp_path):
    assert scored(table.drop(columns="wrong"), tmp_path) is None
    assert scored(table.assign(wrong=False), tmp_path) is None
    assert scored(table.assign(visits=0), tmp_path) is None


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_labels_stay_together_and_commoner_ones_are_never_in_a_rarer_third(labels):
    label = np.array(labels)
    third = abundance_strata(label)
    size = {name: int((label == name).sum()) for name in set(labels)}
    thirds_of = {name: set(third[label == name].tolist()) for name in size}
    assert all(len(thirds) == 1 for thirds in thirds_of.values())
    for a in size:
        for b in size:
            assert size[a] >= size[b] or max(thirds_of[a]) <= min(thirds_of[b])
