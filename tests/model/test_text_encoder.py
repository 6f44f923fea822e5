"""A text becomes one vector."""

import subprocess
import sys

import pytest
import torch
from transformers import RobertaConfig
from transformers.utils import logging

from okrcell.errors import CheckpointError
from okrcell.model.text_encoder import BUNDLED_ENCODER, TextEncoder, TextEncoderSettings

TEXTS = ["B cell", "A natural killer cell in the blood, which is a lymphocyte.", "", "CD14-positive monocyte"]


@pytest.fixture
def encoder(tiny_text_encoder):
    def made(**settings):
        return TextEncoder(TextEncoderSettings(name=str(tiny_text_encoder), **{"limit": 48, **settings}))

    return made


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_the_stored_states_and_the_last_layer_give_what_all_layers_give(encoder, pooling):
    made = encoder(pooling=pooling)
    tokens = made.tokenizer.tokenize(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(
            made.forward_last_layer(made.penultimate_states(tokens), tokens.attention_mask), made(tokens)
        )


def test_gradients_of_the_last_layer_are_those_of_the_whole(encoder):
    made = encoder(adapt="last_block")
    for parameter in made.adapted_parameters():
        parameter.requires_grad_()
    tokens = made.tokenizer.tokenize(TEXTS)
    both = []
    for pooled in (made(tokens), made.forward_last_layer(made.penultimate_states(tokens), tokens.attention_mask)):
        both.append(torch.autograd.grad(pooled.square().sum(), made.adapted_parameters()))
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, other)


def test_pooling_is_over_word_pieces_and_never_over_padding(encoder):
    first, mean = encoder(pooling="first"), encoder(pooling="mean")
    tokens = mean.tokenizer.tokenize(TEXTS)
    with torch.no_grad():
        states = mean.transformer(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        for row, length in enumerate(tokens.attention_mask.sum(dim=1).tolist()):
            torch.testing.assert_close(mean(tokens)[row], states[row, :length].mean(dim=0))
        torch.testing.assert_close(first(tokens), states[:, 0])


def test_a_texts_vector_knows_nothing_of_other_texts(encoder):
    made = encoder()
    with torch.no_grad():
        together = made(made.tokenizer.tokenize(TEXTS))
        for place, text in enumerate(TEXTS):
            assert float((made(made.tokenizer.tokenize([text]))[0] - together[place]).abs().max()) <= 1e-6


def test_a_long_text_is_cut_at_the_limit(encoder):
    made = encoder(limit=10)
    tokens = made.tokenizer.tokenize(["cell " * 500, "cell"])
    assert tokens.attention_mask.sum(dim=1).tolist() == [10, 3]


def test_what_is_adapted_is_named_and_all_else_is_frozen(encoder):
    names = {
        adapt: [name for name, _ in encoder(adapt=adapt).named_adapted_parameters()]
        for adapt in ("last_attention", "last_block")
    }
    assert {name.split("layer.1.")[1].split(".")[0] for name in names["last_attention"]} == {"attention"}
    assert {name.split("layer.1.")[1].split(".")[0] for name in names["last_block"]} == {
        "attention",
        "intermediate",
        "output",
    }
    assert encoder(adapt="nothing").adapted_parameters() == []
    made = encoder()
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert not made.train().transformer.training


def test_loading_says_nothing_and_leaves_the_librarys_settings_alone(save_text_encoder, tmp_path, capfd):
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    folder = save_text_encoder(RobertaConfig(**shape), tmp_path / "roberta")
    capfd.readouterr()
    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    TextEncoder(TextEncoderSettings(name=str(folder)))
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before
    assert capfd.readouterr() == ("", "")


def test_an_encoder_that_no_one_can_give_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/nothing-here", "/no/such/folder"):
        with pytest.raises(CheckpointError, match=f"The text encoder {name} cannot be loaded") as raised:
            TextEncoder(TextEncoderSettings(name=name))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_truncated_encoder_is_one_line(tiny_text_encoder, tmp_path, file):
    for each in tiny_text_encoder.iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:100])
    with pytest.raises(CheckpointError) as raised:
        TextEncoder(TextEncoderSettings(name=str(tmp_path)))
    assert "\n" not in str(raised.value)


def test_the_embedded_encoder_knows_what_words_mean():
    made = TextEncoder(TextEncoderSettings())
    assert made.settings.name == BUNDLED_ENCODER
    with torch.no_grad():
        tokens = made.tokenizer.tokenize(
            ["a B cell makes antibodies", "plasma cells secrete immunoglobulin", "tax law"]
        )
        near = torch.nn.functional.normalize(made(tokens), dim=1)
        torch.testing.assert_close(
            made.forward_last_layer(made.penultimate_states(tokens), tokens.attention_mask), made(tokens)
        )
    assert near.shape == (3, 384)
    assert float(near[0] @ near[1]) > 0.4 > float(near[0] @ near[2])


def test_importing_the_room_does_not_import_transformers():
    script = "import sys, okrcell.model.embedder; sys.exit('transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
