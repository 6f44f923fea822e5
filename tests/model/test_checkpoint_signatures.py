"""A model folder gives its signatures back, or says in one line why not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from example_signatures import TYPES, example_head
from okrcell.errors import CheckpointError
from okrcell.model.checkpoint import load_checkpoint, save_checkpoint
from okrcell.model.embedder import Embedder
from okrcell.model.signatures import SIGNATURES_FILE
from okrcell.provenance import fingerprint


@pytest.fixture
def known(checkpoint):
    return replace(checkpoint, signatures=example_head(checkpoint.vocabulary.symbol.tolist()))


@pytest.fixture
def folder(known, tmp_path):
    save_checkpoint(known, tmp_path / "model", card="# Tiny")
    return tmp_path / "model"


def edit(change):
    def damage(folder):
        facts = json.loads((folder / "model.json").read_text())
        facts.pop("sha256", "")  # as a stranger could
        change(facts)
        (folder / "model.json").write_text(json.dumps(facts))

    return damage


def rewritten(change):
    """Change a tensor, and the sha256 with it, as a stranger could."""

    def damage(folder):
        held = load_file(folder / SIGNATURES_FILE)
        change(held)
        save_file({name: tensor.contiguous() for name, tensor in held.items()}, folder / SIGNATURES_FILE)
        edit(lambda facts: facts.update(signatures_sha256=fingerprint(folder / SIGNATURES_FILE)))(folder)

    return damage


def flip(folder):
    content = bytearray((folder / SIGNATURES_FILE).read_bytes())
    content[-1] ^= 0x01
    (folder / SIGNATURES_FILE).write_bytes(bytes(content))


def test_signatures_come_back(known, folder):
    loaded = load_checkpoint(folder)
    assert loaded.signatures is not None
    assert loaded.signatures.types == TYPES
    np.testing.assert_allclose(
        loaded.signatures.knowledge.toarray(), known.signatures.knowledge.toarray(), rtol=1e-3, atol=1e-4
    )
    assert loaded.facts["known_types"] == list(TYPES)
    assert loaded.facts["signatures_sha256"] == fingerprint(folder / SIGNATURES_FILE)


def test_a_loaded_model_is_saved_again_to_the_same_bytes(folder, tmp_path):
    save_checkpoint(load_checkpoint(folder), tmp_path / "again", card="# Tiny")
    assert (tmp_path / "again" / SIGNATURES_FILE).read_bytes() == (folder / SIGNATURES_FILE).read_bytes()


def test_a_model_without_signatures_has_none_and_no_file_of_them(checkpoint, tmp_path):
    save_checkpoint(checkpoint, tmp_path / "model", card="")
    assert not (tmp_path / "model" / SIGNATURES_FILE).exists()
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.signatures is None
    assert "known_types" not in loaded.facts


def test_signatures_that_are_taken_away_are_not_told_of_any_more(folder, tmp_path):
    save_checkpoint(replace(load_checkpoint(folder), signatures=None), tmp_path / "without", card="")
    assert load_checkpoint(tmp_path / "without").signatures is None


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / SIGNATURES_FILE).unlink(), "is missing or damaged"),
        (lambda folder: (folder / SIGNATURES_FILE).write_bytes(b"\x80\x04K\x01."), "is missing or damaged"),
        (flip, "its sha256 differs"),
        (edit(lambda facts: facts.update(signatures_sha256="0" * 64)), "its sha256 differs"),
        (edit(lambda facts: facts.update(signatures_sha256=7)), "signatures_sha256 is missing or has the wrong type"),
        (edit(lambda facts: facts.pop("known_types")), "damaged|fit"),
        (edit(lambda facts: facts.update(known_types="CL:0000236")), "known_types is missing or has the wrong type"),
        (edit(lambda facts: facts["known_types"].pop()), "damaged|fit"),
        (edit(lambda facts: facts["known_types"].append("CL:0000000")), "damaged|fit"),
        (rewritten(lambda held: held.update(key=held["key"][:, :-1])), "belongs to another model"),
        (rewritten(lambda held: held.update(vectors=held["vectors"][:, :-1])), "belongs to another model"),
        (rewritten(lambda held: held.update(level=held["level"][:-1])), "does not fit"),
        (rewritten(lambda held: held.update(owner=held["owner"] + 1)), "does not fit"),
        (rewritten(lambda held: held["spread"].fill_(float("nan"))), "damaged"),
        (rewritten(lambda held: held.update({"cells.gene": held["cells.gene"] + 10**6})), "damaged"),
        (
            rewritten(lambda held: held.update({"knowledge.source": held["knowledge.gene"] * 0})),
            "every weight a source",
        ),
        (rewritten(lambda held: held.update({"knowledge.source": held["owner"][:1] + 1})), "every weight a source"),
        (edit(lambda facts: facts.update(signature_sources={})), "signature_sources is missing or has the wrong type"),
    ],
)
def test_a_damaged_folder_is_one_line(folder, damage, says):
    damage(folder)
    with pytest.raises(CheckpointError, match=says) as raised:
        load_checkpoint(folder)
    assert "\n" not in str(raised.value)


def test_a_panel_knows_which_genes_of_the_model_the_file_measured(known, blood):
    from okrcell.cells.expression import read_expression

    model = Embedder(known)
    subset = blood[:5, :200]
    panel = model.gene_panel(read_expression(subset))
    symbols = model.vocabulary.symbol
    resolved = model.gene_table.resolve(subset.var_names.tolist()).row
    np.testing.assert_array_equal(panel.measured, np.isin(panel.columns, resolved))
    assert panel.measured.sum() == model.n_measured_genes(read_expression(subset))
    np.testing.assert_array_equal(model.gene_table.symbol[panel.columns], symbols)
    assert panel.target_sum == pytest.approx(float(model.signatures.linear.numpy()[panel.measured].sum()), rel=1e-5)


def test_a_model_without_signatures_says_so_when_asked_for_a_panel(checkpoint, blood):
    from okrcell.cells.expression import read_expression

    with pytest.raises(CheckpointError, match="without signatures"):
        Embedder(checkpoint).gene_panel(read_expression(blood[:5]))


def test_texts_are_embedded_through_what_is_pooled(known):
    model = Embedder(known)
    texts = ["B cell", "a monocyte of the blood", "T"]
    with torch.inference_mode():
        projected = model.model.project_texts(torch.from_numpy(model.pool_texts(texts))).numpy()
    np.testing.assert_allclose(model.embed_texts(texts), projected, atol=1e-6)
    assert model.pool_texts([]).shape == (0, 16)
