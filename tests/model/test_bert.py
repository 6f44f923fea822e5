"""A BERT runs without `transformers` and gives the same vectors."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, RobertaConfig

from okrcell.errors import CheckpointError
from okrcell.model.bert import BertEncoder, load_bert, load_word_pieces
from okrcell.model.text_encoder import BUNDLED_ENCODER, TextEncoder, TextEncoderSettings, find_encoder

TEXTS = [
    "B cell",
    "",
    "A lymphocyte that makes antibodies; CD19+, α-β, naïve’s.",
    "[SEP] of [MASK] 細胞 T\u200bcell\tin\nthe blood",
    "killer " * 300,
]
LIMIT = 48


def published_vectors(folder, texts, weights=None):
    """Mean-pooled vectors, word-piece ids and attention by `transformers` itself."""
    model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    assert not model.load_state_dict(weights or {}, strict=False).unexpected_keys
    tokens = AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, max_length=LIMIT, return_tensors="pt"
    )
    with torch.no_grad():
        states = model(**tokens).last_hidden_state
    attention = tokens["attention_mask"]
    pooled = torch.stack([row[: int(length)].mean(dim=0) for row, length in zip(states, attention.sum(1), strict=True)])
    return pooled, tokens["input_ids"], attention


@pytest.fixture
def changed(tiny_text_encoder, tmp_path):
    """Copy of the tiny encoder with entries of one of its JSON files replaced."""

    def copied(file=None, **entries):
        folder = tmp_path / "encoder"
        shutil.copytree(tiny_text_encoder, folder)
        if file is not None:
            path = folder / file
            path.write_text(json.dumps(json.loads(path.read_text()) | entries))
        return folder

    return copied


@pytest.mark.parametrize("is_adapted", [False, True])
@pytest.mark.parametrize(
    ("bundled", "texts"),
    [(True, TEXTS), (False, TEXTS), (False, TEXTS[:1]), (False, TEXTS[-1:])],
    ids=["bundled", "batch", "single", "truncated"],
)
def test_vectors_equal_those_of_transformers(tiny_text_encoder, bundled, texts, is_adapted):
    folder = find_encoder(BUNDLED_ENCODER) if bundled else str(tiny_text_encoder)
    encoder = TextEncoder(TextEncoderSettings(name=folder, limit=LIMIT), lazy=True)
    torch.manual_seed(0)
    weights = {name: 0.1 * torch.randn(shape) for name, shape in encoder.adapted_shapes().items() if is_adapted}
    encoder.load_adapted_weights(weights)
    assert not encoder.is_loaded
    published = {name.removeprefix("transformer."): tensor for name, tensor in weights.items()}
    pooled, ids, attention = published_vectors(folder, texts, published)
    tokens = encoder.tokenizer.tokenize(texts)
    assert isinstance(encoder.transformer, BertEncoder)
    assert torch.equal(tokens.input_ids, ids)
    assert torch.equal(tokens.attention_mask, attention)
    with torch.no_grad():
        torch.testing.assert_close(encoder(tokens), pooled, rtol=0, atol=1e-5)


def test_hidden_states_equal_those_of_transformers(tiny_text_encoder):
    encoder = TextEncoder(TextEncoderSettings(name=str(tiny_text_encoder), limit=LIMIT))
    tokens = encoder.tokenizer.tokenize(TEXTS[:3])
    options = {"input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask, "output_hidden_states": True}
    with torch.no_grad():
        published = AutoModel.from_pretrained(tiny_text_encoder)(**options).hidden_states
        states = encoder.transformer(**options).hidden_states
    is_piece = tokens.attention_mask.bool()
    for layer, layer_published in zip(states, published, strict=True):
        torch.testing.assert_close(layer[is_piece], layer_published[is_piece])


@pytest.mark.parametrize(
    "entries",
    [
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"dtype": "float16"},
        {"num_hidden_layers": 1},
        {"num_attention_heads": 3},
        {"num_hidden_layers": 10**9},
        {"hidden_size": 10**6},
    ],
    ids=str,
)
def test_an_architecture_that_is_not_plain_is_left_to_transformers(changed, entries):
    assert load_bert(changed("config.json", **entries)) is None


def test_half_precision_is_left_to_transformers(changed):
    folder = changed()
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor.half() for name, tensor in weights.items()}, folder / "model.safetensors")
    assert load_bert(folder) is None


@pytest.mark.parametrize(
    "entries",
    [{"do_lower_case": False}, {"strip_accents": False}, {"cls_token": "[SEP]"}, {"padding_side": "left"}],
    ids=str,
)
def test_another_tokenizer_is_left_to_transformers(changed, entries):
    assert load_word_pieces(changed("tokenizer_config.json", **entries)) is None


def test_another_transformer_runs_as_before(save_text_encoder, tmp_path):
    config = RobertaConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=64
    )
    folder = str(save_text_encoder(config, tmp_path / "roberta"))
    encoder = TextEncoder(TextEncoderSettings(name=folder, limit=LIMIT))
    assert not isinstance(encoder.transformer, BertEncoder)
    pooled, _, _ = published_vectors(folder, TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(encoder(encoder.tokenizer.tokenize(TEXTS)), pooled, rtol=0, atol=1e-5)


def test_a_file_without_some_weights_is_refused(changed):
    folder = changed()
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.attention.self.query.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 weights, such as encoder\.layer\.1\.attention") as raised:
        TextEncoder(TextEncoderSettings(name=str(folder)))
    assert "\n" not in str(raised.value)
