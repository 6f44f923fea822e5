"""The paper's settings, as far as they are known, build and step."""

from pathlib import Path

import pytest
import torch

from okrcell.settings import load_settings, parse_settings
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.settings import PretrainSettings

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def paper() -> PretrainSettings:
    return load_settings(PretrainSettings, CONFIGS / "paper.yaml")


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_settings_file_is_one_that_we_accept(file):
    load_settings(PretrainSettings, file)


def test_what_the_paper_states_is_what_the_file_says(paper):
    encoder, stream, schedule = paper.model.cell_encoder, paper.stream, paper.schedule
    assert (encoder.kind, encoder.width, encoder.blocks, encoder.heads, encoder.feed_forward) == (
        "full",
        128,
        6,
        4,
        128,
    )
    assert paper.model.tokeniser.limit == 1200
    assert (paper.model.text_encoder.name, paper.model.text_encoder.limit) == ("yikuan8/Clinical-Longformer", 1024)
    assert (paper.model.projector, paper.model.text_projector, paper.model.dim) == ("linear", "none", None)
    assert (stream.batch_size, stream.mask, stream.balance, stream.min_gene_fraction) == (14, (0.25, 0.5, 0.75), 0, 1)
    assert (sum(schedule.epochs), schedule.learning_rate, schedule.decay) == (6, 1e-4, "epoch")
    assert (schedule.steps, schedule.weight_decay) == (None, 0)
    assert paper.model.text_encoder.adapt == "last_attention"
    assert paper.compute.nodes * int(paper.compute.devices) * stream.batch_size == 448


@pytest.fixture(scope="module")
def tiny_longformer(save_text_encoder, tmp_path_factory):
    """What Clinical-Longformer is, made small: windows of attention, with the first token seen by all."""
    from transformers import LongformerConfig

    config = LongformerConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        attention_window=[32, 32],
        max_position_embeddings=1100,
        pad_token_id=0,
    )
    return save_text_encoder(config, tmp_path_factory.mktemp("longformer") / "tiny-longformer")


@pytest.fixture
def small_paper(paper, run_settings, tiny_longformer, tmp_path):
    """The paper's settings but for the text encoder's weights, the number of steps and the machine."""
    values = paper.model_dump(mode="json")
    settings = run_settings()
    values["model"]["text_encoder"]["name"] = str(tiny_longformer)
    values |= {"corpus": str(settings.corpus), "output": str(tmp_path / "paper"), "genes_in_cells": 1}
    values["schedule"]["steps"] = [1, 1]
    values["split"]["validation"] = 0.01
    values["compute"] = {"accelerator": "cpu", "devices": 1, "threads": 1}
    return parse_settings(PretrainSettings, values, "paper.yaml")


# transformers' own Longformer code asks torch for something in an outdated way.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:transformers", "ignore::FutureWarning:transformers")
def test_the_papers_model_takes_a_step_in_each_stage(small_paper):
    trained = pretrain(small_paper)
    steps = [line for line in read_log(trained.log) if "total" in line]
    assert [line["stage"] for line in steps] == [1, 2]
    for line in steps:
        assert all(torch.tensor(line[part]).isfinite() for part in ("total", "gene", "cell", "cell_to_text"))
        assert line["temperature"] == pytest.approx(0.05)
