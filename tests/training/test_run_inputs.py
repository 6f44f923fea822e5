"""Runs on one corpus share what they have in common, and come to the same numbers as alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from okrcell.errors import InputError, SettingsError
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.setup import RunInputs

SHORT = {"schedule": {"steps": [3, 2]}, "check_every": 100, "save_every": 100}
CALM = {**SHORT, "model": {"tokeniser": {"select": "highest"}}}
"""Nothing is drawn anew at each visit, so that tokens can be kept."""
CACHED_TOKENS = {**CALM, "stream": {"keep_tokens": True}}
WHOLE = {"preset": "improved", "bank": {"size": 40}, "reliability": {"recorded_from": 1, "visits_per_epoch": 0.1}}


def numbers(trained):
    return read_log(trained.log), load_file(trained.model / "weights.safetensors")


def test_a_run_on_shared_ground_is_the_run_it_is_alone(run_settings):
    ground = RunInputs.from_settings(run_settings(CACHED_TOKENS))
    # Others were here before: they made labels wrong, spoiled counts, and filled what is kept.
    runs = {
        "labels": {"noise": {"kind": "shuffled", "rate": 0.5}, "seed": 3, "objective": WHOLE},
        "counts": {"noise": {"kind": "dropout", "rate": 0.9}, "seed": 3, "objective": WHOLE},
        "clean": {"objective": WHOLE},
    }
    logs = {}
    for name, change in runs.items():
        logs[name] = numbers(pretrain(run_settings({**CACHED_TOKENS, **change}, output=name), inputs=ground))
    assert len(ground.token_cache) > 0
    assert ground.text_cache.pooled
    assert ground.text_cache.states
    # Noise too is laid upon each run anew: spoiled counts are not read from what others kept.
    for name in ("clean", "counts"):
        log, weights = logs[name]
        its_log, its_weights = numbers(pretrain(run_settings({**CALM, **runs[name]}, output=f"{name} alone")))
        assert log == its_log
        assert all(torch.equal(weights[key], its_weights[key]) for key in weights)


def test_noise_is_laid_upon_a_run_and_not_upon_its_ground(run_settings):
    ground = RunInputs.from_settings(run_settings(SHORT))
    before = ground.pairs.description.copy()
    settings = run_settings({**SHORT, "noise": {"kind": "shuffled", "rate": 0.6}, "objective": WHOLE})
    table = pd.read_parquet(pretrain(settings, inputs=ground).reliability)
    np.testing.assert_array_equal(ground.pairs.description, before)
    assert 0.5 < table["wrong"].mean() < 0.7
    truth = np.array(ground.pairs.cell_type_names)[ground.pairs.cell_type[before[table["row"]]]]
    assert ((table["cell_type"] != truth) == table["wrong"]).all()


def test_the_table_of_trust_tells_of_every_pair_that_was_learned_from(run_settings):
    ground = RunInputs.from_settings(run_settings(SHORT))
    table = pd.read_parquet(pretrain(run_settings({**SHORT, "objective": WHOLE}), inputs=ground).reliability)
    described = ground.partition.train[ground.pairs.has_text[ground.partition.train]]
    assert table["row"].tolist() == described.tolist()
    assert "wrong" not in table
    epochs = table.filter(regex=r"^epoch_\d+$")
    assert 0 < table["visits"].sum() <= 5 * 32
    assert (epochs.notna().sum(axis=1).clip(upper=1) == table["visits"].clip(upper=1)).all()
    assert epochs.stack().between(0, 1).all()
    assert table["trust"].between(0, 1).all()
    assert (table["trust"][table["visits"] == 0] == 1).all()
    assert set(table["study"]) == {"first", "second"}


def test_an_objective_that_judges_nobody_leaves_no_table(run_settings):
    trained = pretrain(run_settings(SHORT))
    assert trained.reliability is None
    assert not (trained.model.parent / "reliability.parquet").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"split": {"validation": 0.3}}, "split"),
        ({"genes_in_cells": 11}, "genes_in_cells"),
        ({"model": {"tokeniser": {"limit": 32}}}, r"model\.tokeniser"),
        ({"model": {"text_encoder": {"pooling": "first"}}}, r"model\.text_encoder"),
        ({"stream": {"keep_tokens": True}, "genes_in_cells": 11}, r"genes_in_cells, stream\.keep_tokens"),
    ],
)
def test_a_run_that_needs_another_ground_is_refused_and_what_differs_is_named(run_settings, change, named):
    ground = RunInputs.from_settings(run_settings(SHORT))
    with pytest.raises(SettingsError, match=named):
        pretrain(run_settings({**SHORT, **change}), inputs=ground)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 5},
        {"objective": {"preset": "faithful"}},
        {"noise": {"kind": "dropout", "rate": 0.2}},
        {"schedule": {"learning_rate": 0.1}},
        {"stream": {"batch_size": 5, "balance": 0.5, "seed": 2}},
    ],
)
def test_what_is_of_the_run_alone_needs_no_other_ground(run_settings, change):
    RunInputs.from_settings(run_settings(SHORT)).check_compatible(run_settings({**SHORT, **change}))


def test_no_corpus_no_ground(run_settings, tmp_path):
    with pytest.raises(InputError, match="absent"):
        RunInputs.from_settings(run_settings({"corpus": str(tmp_path / "absent")}))


def test_shared_inputs_are_read_under_their_former_name_too_but_not_given_twice(run_settings):
    inputs = RunInputs.from_settings(run_settings(SHORT))
    with pytest.raises(SettingsError, match="genes_in_cells"):
        pretrain(run_settings({**SHORT, "genes_in_cells": 11}), ground=inputs)
    with pytest.raises(SettingsError, match="give only one of them"):
        pretrain(run_settings(SHORT), inputs=inputs, ground=inputs)
