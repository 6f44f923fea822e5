"""A plan names every run once."""

from dataclasses import asdict
from pathlib import Path

import pytest

from okrcell.benchmarking.noise.plan import (
    CONTROL,
    KINDS,
    NO_NOISE,
    NoisePlan,
    NoiseRun,
    check_settings,
    plan_runs,
    run_settings,
)
from okrcell.errors import SettingsError
from okrcell.losses.objective import ABLATIONS

CONFIG = {"corpus": "c", "output": "o", "objective": {"gene_weight": 0.5}, "stream": {"batch_size": 9}}


def test_without_noise_all_kinds_are_one_run():
    runs = plan_runs(NoisePlan(objectives=("info_nce", "improved"), kinds=("shuffled", "dropout"), rates=(0, 0.4)))
    assert len(runs) == len(set(runs)) == 3 * 2 * (1 + 2)
    assert {run.kind for run in runs if run.rate == 0} == {NO_NOISE}
    assert {run.seed for run in runs[: len(runs) // 3]} == {0}


def test_the_default_objectives_are_rungs_of_the_ladder_and_the_control_is_one_of_them():
    assert {*NoisePlan().objectives, CONTROL} <= set(ABLATIONS)
    assert set(NoisePlan().kinds) <= set(KINDS)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"objectives": ("improvd",)}, "no objective 'improvd'; did you mean 'improved'"),
        ({"kinds": ("shuffle",)}, "no kind of noise 'shuffle'; did you mean 'shuffled'"),
        ({"kinds": ("none",)}, "no kind of noise 'none'"),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest_known(plan, expected):
    with pytest.raises(SettingsError, match=expected):
        plan_runs(NoisePlan(**plan))


@pytest.mark.parametrize("objective", list(ABLATIONS))
def test_every_rung_makes_settings(objective):
    settings = run_settings(NoiseRun(objective, "shuffled", 0.4, 2), CONFIG, Path("out"), "test")
    assert (settings.seed, settings.stream.seed, settings.noise.seed) == (2, 2, 2)
    assert (settings.noise.kind, settings.noise.rate) == ("shuffled", 0.4)
    assert (settings.objective.gene_weight, settings.stream.batch_size, settings.compute.threads) == (0.5, 9, 1)
    assert settings.output == Path("out")


def test_a_mistake_in_the_file_is_named():
    with pytest.raises(SettingsError, match="schedule"):
        run_settings(NoiseRun("info_nce", NO_NOISE, 0, 0), {**CONFIG, "schedule": "long"}, Path("out"), "test")
    with pytest.raises(SettingsError, match="batch_siz'; did you mean 'batch_size'"):
        run_settings(NoiseRun("info_nce", NO_NOISE, 0, 0), {**CONFIG, "stream": {"batch_siz": 1}}, Path("out"), "test")


def test_a_run_recorded_under_former_names_of_settings_has_the_same_settings():
    run = NoiseRun("improved", "shuffled", 0.4, 0)
    settings = run_settings(run, CONFIG, Path("out"), "test")
    recorded = settings.model_dump(mode="json", exclude={"corpus": True, "output": True})
    reliability = recorded["objective"]["reliability"]
    assert reliability.pop("weighting") == "logistic"
    reliability |= {"trust": "bet", "chance": reliability.pop("chance_multiple")}
    check_settings([{**asdict(run), "settings": recorded}], {run: settings})
    reliability["chance"] += 1
    with pytest.raises(SettingsError, match=r"other settings \(objective.reliability.chance_multiple\)"):
        check_settings([{**asdict(run), "settings": recorded}], {run: settings})
