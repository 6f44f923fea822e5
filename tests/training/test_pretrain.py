"""A run learns what it is told to, and refuses what it cannot."""

import anndata as ad
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from okrcell.data.corpus import Corpus
from okrcell.data.prepare import prepare
from okrcell.errors import CheckpointError, InputError, SettingsError
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import Embedder
from okrcell.model.text_encoder import TextEncoder
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain

SHORT = {"schedule": {"steps": [2, 1]}, "check_every": 100}


def adapted_weights(model_folder):
    weights = load_file(model_folder / "weights.safetensors")
    return {name: tensor for name, tensor in weights.items() if name.startswith("text_encoder.")}


def original_weights(settings):
    return {
        f"text_encoder.{name}": tensor
        for name, tensor in TextEncoder(settings.model.text_encoder).named_adapted_parameters()
    }


def test_the_losses_fall_and_the_model_folder_is_whole(run_settings, blood):
    settings = run_settings({"schedule": {"steps": [60, 20], "learning_rate": 3e-3}, "check_every": 40})
    progress_calls = []
    trained = pretrain(settings, progress=lambda done, steps, loss: progress_calls.append((done, steps)))
    assert progress_calls == [(step + 1, 80) for step in range(80)]
    lines = read_log(trained.log)
    steps = [line for line in lines if "total" in line]
    assert [line["step"] for line in steps] == list(range(80))
    assert [line["stage"] for line in steps] == [1] * 60 + [2] * 20
    for part in ("total", "gene", "cell", "cell_to_text", "text_to_cell"):
        assert np.mean([line[part] for line in steps[-10:]]) < np.mean([line[part] for line in steps[:10]])
    # Nothing drowns the rest at the start: all parts are of the order of what they are to become.
    assert max(steps[0]["gene"], steps[0]["cell"]) < 2
    assert [line["step"] for line in lines if "validation_total" in line] == [39, 80]
    assert trained.validation["validation_total"] < steps[0]["total"]
    facts = load_checkpoint(trained.model).facts
    assert facts["seen"]["studies"] == ["first", "second"]
    assert facts["receipt"]["steps"] == 80
    assert str(settings.corpus.parent) not in str(facts["receipt"])
    assert "tiny" in (trained.model / "README.md").read_text()


def test_stage_1_leaves_the_text_encoder_alone(run_settings):
    settings = run_settings({"schedule": {"steps": [4, 0], "weight_decay": 0.1}})
    weights = adapted_weights(pretrain(settings).model)
    before = original_weights(settings)
    assert weights.keys() == before.keys()
    assert all(torch.equal(weights[name], before[name]) for name in weights)


@pytest.mark.parametrize("adapt", ["last_attention", "last_block"])
def test_stage_2_moves_the_adapted_layer(run_settings, adapt):
    settings = run_settings({"schedule": {"steps": [0, 4]}, "model": {"text_encoder": {"adapt": adapt}}})
    weights = adapted_weights(pretrain(settings).model)
    before = original_weights(settings)
    assert weights.keys() == before.keys()
    # A softmax does not feel a constant added to all its keys: their bias has no gradient but rounding.
    moved = {name: not torch.equal(weights[name], before[name]) for name in weights if "key.bias" not in name}
    assert all(moved.values())


def test_stage_2_moves_nothing_of_the_text_encoder_if_nothing_is_adapted(run_settings):
    assert (
        adapted_weights(pretrain(run_settings({**SHORT, "model": {"text_encoder": {"adapt": "nothing"}}})).model) == {}
    )


def test_one_seed_gives_the_same_numbers_and_another_gives_others(run_settings):
    runs = [run_settings({**SHORT, "seed": seed}, output=name) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    logs = [read_log(pretrain(settings).log) for settings in runs]
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_an_existing_run_is_not_written_over(run_settings):
    settings = run_settings(SHORT)
    pretrain(settings)
    with pytest.raises(InputError, match="already holds a run"):
        pretrain(settings)
    again = pretrain(settings, resume=True)
    assert again.steps == 3


def test_a_run_is_not_resumed_with_other_settings_and_they_are_named(run_settings):
    pretrain(run_settings(SHORT))
    other = run_settings({**SHORT, "schedule": {"steps": [2, 1], "learning_rate": 0.5}, "seed": 3})
    with pytest.raises(SettingsError, match=r"\(schedule\.learning_rate, seed\)"):
        pretrain(other, resume=True)


def test_nothing_to_resume_is_said(run_settings):
    with pytest.raises(CheckpointError, match="no run to resume"):
        pretrain(run_settings(), resume=True)


def test_a_damaged_position_is_one_line(run_settings):
    settings = run_settings(SHORT)
    pretrain(settings)
    latest = settings.output / "latest"
    (latest / "state.safetensors").write_bytes((latest / "state.safetensors").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged") as raised:
        pretrain(settings, resume=True)
    assert "\n" not in str(raised.value)
    (latest / "state.json").write_text("[]")
    with pytest.raises(CheckpointError, match="damaged"):
        pretrain(settings, resume=True)


def test_a_corpus_that_has_changed_is_not_resumed_on(run_settings, blood, tmp_path):
    blood[:60].copy().write_h5ad(tmp_path / "one.h5ad")
    blood[60:90].copy().write_h5ad(tmp_path / "two.h5ad")
    prepare([tmp_path / "one.h5ad"], tmp_path / "corpus")
    settings = run_settings({**SHORT, "corpus": str(tmp_path / "corpus")})
    pretrain(settings)
    prepare([tmp_path / "two.h5ad"], tmp_path / "corpus")
    with pytest.raises(InputError, match="have changed"):
        pretrain(settings, resume=True)


@pytest.fixture
def wordless(blood, tmp_path):
    """A corpus of cells of which no one said what they are."""
    bare = ad.AnnData(blood[:120].X.copy(), obs=blood[:120].obs[["donor"]].copy(), var=blood.var.copy())
    bare.write_h5ad(tmp_path / "bare.h5ad")
    prepare([tmp_path / "bare.h5ad"], tmp_path / "wordless")
    return tmp_path / "wordless"


def test_a_corpus_without_cell_types_is_refused_for_alignment(run_settings, wordless):
    with pytest.raises(InputError, match=r"No cell of the corpus .* has a text of its cell type"):
        pretrain(run_settings({"corpus": str(wordless)}))


def test_a_corpus_without_cell_types_is_enough_for_cells_alone(run_settings, wordless):
    settings = run_settings({**SHORT, "corpus": str(wordless), "objective": {"alignment": "none"}})
    trained = pretrain(settings)
    line = read_log(trained.log)[0]
    assert line["cell_to_text"] == line["text_to_cell"] == 0
    assert line["total"] == pytest.approx(line["gene"] + line["cell"])


def test_no_gene_in_enough_cells_and_no_corpus_are_said(run_settings, tmp_path):
    with pytest.raises(InputError, match="No gene of the corpus"):
        pretrain(run_settings({"genes_in_cells": 10_000}))
    with pytest.raises(InputError, match="absent"):
        pretrain(run_settings({"corpus": str(tmp_path / "absent")}))


def test_a_corpus_of_three_cells_is_learned_from(run_settings, blood, tmp_path):
    blood[:3].copy().write_h5ad(tmp_path / "three.h5ad")
    prepare([tmp_path / "three.h5ad"], tmp_path / "few")
    trained = pretrain(run_settings({**SHORT, "corpus": str(tmp_path / "few"), "genes_in_cells": 1}))
    assert trained.steps == 3


def test_a_trained_model_names_cells_better_than_chance(run_settings, corpus_folder, blood):
    from okrcell.cells.expression import read_expression

    settings = run_settings(
        {"schedule": {"steps": [150, 0], "learning_rate": 5e-3}, "stream": {"batch_size": 64}, "check_every": 1000}
    )
    embedder = Embedder.from_pretrained(pretrain(settings).model)
    assert len(Corpus.open(corpus_folder)) == 700
    names = sorted(set(blood.obs["cell_type"]))
    scores = embedder.embed_cells(read_expression(blood)) @ embedder.embed_texts(names).T
    found = np.array(names)[scores.argmax(axis=1)]
    assert (found == blood.obs["cell_type"].to_numpy()).mean() > 0.3


def test_half_precision_is_stored_when_asked_for(run_settings):
    weights = load_file(pretrain(run_settings({**SHORT, "half": True})).model / "weights.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
