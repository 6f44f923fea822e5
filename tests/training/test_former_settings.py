"""Settings files, run folders and models with former keys are still read."""

import json
from importlib.resources import files

import pytest
from pydantic import ValidationError

from okrcell.benchmarking.noise.plan import NoiseRun, check_settings, run_settings
from okrcell.data.dataloader import StreamSettings
from okrcell.errors import SettingsError
from okrcell.losses.contrastive import TargetSettings
from okrcell.losses.objective import ObjectiveSettings
from okrcell.losses.pair_weights import ReliabilitySettings
from okrcell.model.cell_text_model import ModelSettings
from okrcell.settings import parse_settings
from okrcell.tasks.fine_tuning import FineTuningSettings
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import LATEST_DIR, prepare_run_dir
from okrcell.training.state import STATE_FILE

FORMER_KEYS = [
    (TargetSettings, "alike", "same_type", "shared"),
    (TargetSettings, "kin", "related_types", "masked"),
    (ReliabilitySettings, "judge", "embeddings", "ema"),
    (ReliabilitySettings, "trust", "weighting", "logistic"),
    (ReliabilitySettings, "chance", "chance_multiple", 3.0),
    (ReliabilitySettings, "power", "steepness", 5.0),
    (ReliabilitySettings, "keys", "key_filter", "trusted"),
    (ReliabilitySettings, "wake", "min_reliable_fraction", 0.4),
    (StreamSettings, "most_hidden", "max_masked_genes", 7),
    (StreamSettings, "fewest_genes", "min_gene_fraction", 0.2),
    (FineTuningSettings, "rounds", "max_epochs", 4),
    (FineTuningSettings, "held_out", "validation_fraction", 0.3),
    (FineTuningSettings, "batch", "batch_size", 5),
    (FineTuningSettings, "most_cells", "max_cells", 90),
]
FORMER = {
    "stream": {"most_hidden": 16, "fewest_genes": 0.2},
    "objective": {
        "preset": "improved",
        "partners": {"alike": "masked", "kin": "negative"},
        "reliability": {"judge": "twin", "trust": "bet", "chance": 3, "power": 5, "keys": "all", "wake": 0.4},
    },
}
CURRENT = {
    "stream": {"max_masked_genes": 16, "min_gene_fraction": 0.2},
    "objective": {
        "preset": "improved",
        "partners": {"same_type": "masked", "related_types": "negative"},
        "reliability": {
            "embeddings": "ema",
            "weighting": "logistic",
            "chance_multiple": 3,
            "steepness": 5,
            "key_filter": "all",
            "min_reliable_fraction": 0.4,
        },
    },
}
FOLDERS = {"corpus": "corpus", "output": "run"}


@pytest.mark.parametrize(("settings_type", "former", "current", "value"), FORMER_KEYS)
def test_a_former_key_is_read_and_refused_beside_its_new_name(settings_type, former, current, value):
    settings = settings_type.model_validate({former: value})
    assert getattr(settings, current) == value
    assert settings == settings_type(**{current: value})
    assert current in settings.model_dump()
    with pytest.raises(ValidationError, match=former):
        settings_type.model_validate({former: value, current: value})


@pytest.mark.parametrize(("former", "current"), [("bet", "logistic"), ("symmetry", "symmetry")])
def test_former_values_are_read(former, current):
    assert ReliabilitySettings.model_validate({"trust": former}).weighting == current
    assert ReliabilitySettings.model_validate({"judge": "twin"}).embeddings == "ema"


def test_former_keys_override_a_preset_like_new_ones():
    assert ObjectiveSettings.model_validate(FORMER["objective"]) == ObjectiveSettings.model_validate(
        CURRENT["objective"]
    )
    both = {"preset": "improved", "partners": {"alike": "masked", "same_type": "shared"}}
    with pytest.raises(SettingsError, match=r"unknown setting 'partners\.alike'"):
        parse_settings(ObjectiveSettings, both, "run.yaml")


def test_a_misspelt_key_is_answered_with_the_new_name():
    with pytest.raises(SettingsError, match=r"did you mean 'min_gene_fraction'\?"):
        parse_settings(StreamSettings, {"min_genes_fraction": 0.5}, "run.yaml")


def test_a_run_begun_with_former_settings_is_resumed(tmp_path):
    settings = PretrainSettings.model_validate({**FOLDERS, **CURRENT, "output": tmp_path})
    stored = settings.model_dump(mode="json")
    stored["stream"] |= {"fewest_genes": stored["stream"].pop("min_gene_fraction")}
    stored["objective"]["partners"] = FORMER["objective"]["partners"]
    reliability = stored["objective"]["reliability"]
    for _, former, current, _ in FORMER_KEYS:
        if current in reliability:
            reliability[former] = reliability.pop(current)
    reliability |= {"judge": "twin", "trust": "bet"}
    (tmp_path / LATEST_DIR).mkdir()
    facts = {"step": 12, "settings": stored, "corpus": "abc"}
    (tmp_path / LATEST_DIR / STATE_FILE).write_text(json.dumps(facts))
    assert prepare_run_dir(settings, "abc", resume=True) == 12
    other = settings.model_copy(update={"stream": StreamSettings(min_gene_fraction=0.5, max_masked_genes=16)})
    with pytest.raises(SettingsError, match=r"\(stream\.min_gene_fraction\)"):
        prepare_run_dir(other, "abc", resume=True)


def test_a_noise_benchmark_with_former_settings_goes_on(tmp_path):
    run = NoiseRun("info_nce_shared", "none", 0.0, 0)
    settings = run_settings(run, {**FOLDERS, **FORMER}, tmp_path, "noise.yaml")
    assert settings == run_settings(run, {**FOLDERS, **CURRENT}, tmp_path, "noise.yaml")
    assert settings.objective.partners.same_type == "shared"
    stored = settings.model_dump(mode="json", exclude={"corpus": True, "output": True})
    reliability = stored["objective"]["reliability"]
    for _, former, current, _ in FORMER_KEYS:
        if current in reliability:
            reliability[former] = reliability.pop(current)
    record = {"objective": run.objective, "kind": run.kind, "rate": run.rate, "seed": run.seed, "settings": stored}
    check_settings([record], {run: settings})


def test_the_settings_in_the_bundled_model_are_read():
    facts = json.loads(files("okrcell").joinpath("models", "mini", "model.json").read_text(encoding="utf-8"))
    assert parse_settings(ModelSettings, facts["settings"], "model.json").dim == 256
    settings = PretrainSettings.model_validate({**FOLDERS, **facts["receipt"]["settings"]})
    assert settings.objective.preset == "improved"
    assert settings.model.cell_encoder.kind == "linear"
    assert settings.stream.min_gene_fraction == 0.05
