"""The objectives by name are what they are said to be."""

from copy import deepcopy

import pytest
from pydantic import ValidationError

from okrcell.losses.contrastive import TargetSettings
from okrcell.losses.momentum import BankSettings
from okrcell.losses.objective import ABLATIONS, PRESETS, ObjectiveSettings, changed_settings, with_preset
from okrcell.losses.pair_weights import CurriculumSettings, ReliabilitySettings


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_rung_of_the_ladder_is_a_whole_objective_that_survives_a_file(name):
    objective = ObjectiveSettings(**ABLATIONS[name])
    assert ObjectiveSettings.model_validate(objective.model_dump(mode="json")) == objective
    assert objective.uses_reliability == (objective.alignment != "none" and objective.reliability.use)


def test_rungs_differ_from_one_another():
    rungs = [ObjectiveSettings(**chosen).model_dump_json() for chosen in ABLATIONS.values()]
    assert len(set(rungs)) == len(rungs)


def test_faithful_is_what_each_idea_is_by_default():
    objective = ObjectiveSettings(preset="faithful")
    assert objective.partners == TargetSettings()
    assert objective.bank == BankSettings()
    assert objective.reliability == ReliabilitySettings()
    assert objective.curriculum == CurriculumSettings()
    stated = (objective.negative_weight, objective.reliability.cutoff, objective.reliability.recorded_from)
    assert stated == (5, 3, 2)
    assert (objective.reliability.stable_after, objective.curriculum.switch) == (3, 0.2)
    assert (objective.curriculum.start, objective.curriculum.end, objective.curriculum.exponent) == (2, 10, 0.5)
    assert (objective.omega, objective.bank.size, objective.bank.momentum) == (0.5, 4096, 0.995)


def test_the_control_is_plain_info_nce():
    objective = ObjectiveSettings()
    assert objective == ObjectiveSettings(preset="control")
    assert objective.alignment == "softmax"
    assert (objective.bank.size, objective.negative_weight) == (0, 0)
    assert not objective.reliability.use
    assert not objective.curriculum.use
    assert not objective.uses_reliability


def test_each_rung_adds_to_the_one_below_what_its_name_says():
    rung = {name: ObjectiveSettings(**chosen) for name, chosen in ABLATIONS.items()}
    assert (rung["cca"].bank.size, rung["cca"].curriculum.use, rung["cca"].negative_weight) == (0, False, 5)
    assert (rung["cca_cmmb"].bank.size, rung["cca_cmmb"].curriculum.use) == (4096, False)
    assert (rung["cca_psw"].bank.size, rung["cca_psw"].curriculum.use) == (0, True)
    assert (rung["info_nce_bank"].bank.size, rung["info_nce_bank"].uses_reliability) == (4096, False)
    assert not rung["cell_only"].uses_reliability
    assert rung["siglip"].alignment == "sigmoid"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_no_deviations_and_each_other_choice_is_named(preset):
    assert ObjectiveSettings(preset=preset).deviations == {}
    changed = ObjectiveSettings(preset=preset, omega=0.8, bank={"size": 17}, curriculum={"weigh": "whole"})
    assert changed.deviations == {"omega": 0.8, "bank.size": 17, "curriculum.weigh": "whole"}


def test_what_is_said_goes_before_the_preset_and_what_is_not_said_stays():
    objective, usual = (
        ObjectiveSettings(preset="improved", reliability={"warmup": 40}),
        ObjectiveSettings(preset="improved"),
    )
    assert objective.reliability == usual.reliability.model_copy(update={"warmup": 40})
    assert objective.deviations == {"reliability.warmup": 40}


def test_to_fill_in_changes_neither_the_presets_nor_what_was_given():
    given, before = {"preset": "improved", "bank": {"size": 33}}, deepcopy(PRESETS)
    filled = with_preset(given)
    assert filled["bank"] == {**PRESETS["improved"].get("bank", {}), "size": 33}
    assert given == {"preset": "improved", "bank": {"size": 33}}
    assert before == PRESETS


def test_differences_are_named_by_their_place():
    usual = {"a": 1, "b": {"c": 2, "d": {"e": 3}}}
    assert changed_settings({"a": 1, "b": {"c": 5, "d": {"e": 4}}}, usual) == {"b.c": 5, "b.d.e": 4}
    assert changed_settings(usual, usual) == {}


def test_an_unknown_preset_and_an_unknown_choice_are_refused():
    for name in ("faithfull", ["improved"]):
        with pytest.raises(ValidationError, match="'control', 'faithful' or 'improved'"):
            ObjectiveSettings(preset=name)
    for wrong in ({"omega": 1.5}, {"omega": "adaptiv"}, {"negative_weight": -1}, {"bank": {"sise": 3}}, {"tau": 1}):
        with pytest.raises(ValidationError):
            ObjectiveSettings(**wrong)
