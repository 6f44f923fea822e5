"""A model folder gives back what was put in, or says in one line why not."""

import json
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from okrcell.cells.tokenizer import CellTokens
from okrcell.errors import CheckpointError
from okrcell.model.cell_text_model import CellTextModel, ModelSettings, estimate_cell_parameters
from okrcell.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from okrcell.model.embedder import load
from okrcell.model.hub import download_snapshot
from okrcell.model.text_encoder import TextEncoder, TextEncoderSettings
from okrcell.provenance import fingerprint


@pytest.fixture
def folder(checkpoint, tmp_path):
    save_checkpoint(checkpoint, tmp_path / "model", card="# Tiny")
    return tmp_path / "model"


def example_cells(genes):
    made = torch.Generator().manual_seed(0)
    return CellTokens(
        torch.randint(1, genes + 1, (6, 20), generator=made), torch.randint(1, 51, (6, 20), generator=made)
    )


def vectors(checkpoint: Checkpoint):
    model = checkpoint.model
    with torch.no_grad():
        texts = model.text_encoder.tokenizer.tokenize(["B cell", "monocyte of the blood"])
        return model.embed_cells(example_cells(len(checkpoint.vocabulary))), model.embed_texts(texts)


def test_vectors_are_the_same_after_saving_and_loading(checkpoint, folder):
    # What stage 2 trained of the text encoder must come back too.
    with torch.no_grad():
        for parameter in checkpoint.model.text_encoder.adapted_parameters():
            parameter.add_(0.1)
    save_checkpoint(checkpoint, folder, card="# Tiny")
    loaded = load_checkpoint(folder)
    for before, after in zip(vectors(checkpoint), vectors(loaded), strict=True):
        assert torch.equal(before, after)
    assert loaded.name == "model"
    assert loaded.facts["title"] == "tiny"
    assert loaded.vocabulary.ensembl_id.tolist() == checkpoint.vocabulary.ensembl_id.tolist()
    assert loaded.vocabulary.scale == pytest.approx(checkpoint.vocabulary.scale, rel=1e-5)
    assert loaded.model.settings == checkpoint.model.settings
    assert not loaded.model.training


def test_half_precision_is_half_the_size_and_nearly_the_same(checkpoint, folder, tmp_path):
    save_checkpoint(checkpoint, tmp_path / "half", card="", half=True)
    sizes = [(path / "weights.safetensors").stat().st_size for path in (tmp_path / "half", folder)]
    assert sizes[0] < 0.6 * sizes[1]
    for before, after in zip(vectors(checkpoint), vectors(load_checkpoint(tmp_path / "half")), strict=True):
        assert after.dtype == torch.float32
        assert float((before * after).sum(dim=1).min()) > 0.9999


def test_a_loaded_model_can_be_saved_again(folder, tmp_path):
    save_checkpoint(load_checkpoint(folder), tmp_path / "again", card="", half=True)
    facts = json.loads((tmp_path / "again" / "model.json").read_text())
    assert facts["weights_sha256"] == fingerprint(tmp_path / "again" / "weights.safetensors")
    assert load_checkpoint(tmp_path / "again").facts["seen"] == {"cells": 0}


def test_the_folder_holds_tables_and_tensors_only_and_not_the_frozen_text_encoder(folder, checkpoint):
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "genes.tsv",
        "model.json",
        "weights.safetensors",
    ]
    names = [name for name in load_file(folder / "weights.safetensors") if name.startswith("text_encoder.")]
    assert sorted(names) == sorted(
        f"text_encoder.{name}" for name, _ in checkpoint.model.text_encoder.named_adapted_parameters()
    )


def edit(change):
    def damage(folder):
        path = folder / "model.json"
        facts = json.loads(path.read_text())
        facts.pop("sha256", "")  # as a stranger could
        change(facts)
        path.write_text(json.dumps(facts))

    return damage


def another_shape(folder):
    weights = load_file(folder / "weights.safetensors")
    weights["cell_encoder.tokens.gene.weight"] = weights["cell_encoder.tokens.gene.weight"][:-1].contiguous()
    rewrite(folder, weights)


def without(name):
    def damage(folder):
        weights = load_file(folder / "weights.safetensors")
        del weights[next(key for key in weights if name in key)]
        rewrite(folder, weights)

    return damage


def rewrite(folder, weights):
    save_file(weights, folder / "weights.safetensors")
    edit(lambda facts: facts.update(weights_sha256=fingerprint(folder / "weights.safetensors")))(folder)


def change_a_word(folder):
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"title": "tiny"', '"title": "huge"'))


def pipe(name):
    def damage(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def truncate(name, keep):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def flip(folder):
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-40] ^= 0x40
    path.write_bytes(bytes(content))


class Trap:
    """Would leave a trace if it were ever unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a stranger's code was run",)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (shutil.rmtree, "No model folder at"),
        (lambda folder: (folder / "model.json").unlink(), "it has no model.json"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "is missing"),
        (lambda folder: (folder / "genes.tsv").unlink(), "gene list .* cannot be read"),
        (lambda folder: (folder / "genes.tsv").write_text(""), "gene list .* cannot be read"),
        (lambda folder: (folder / "genes.tsv").write_text("a\tb\n1\t2\n"), "gene list .* cannot be read"),
        (truncate("genes.tsv", 4000), "have another shape|cannot be read"),
        (truncate("model.json", 80), "model.json is damaged"),
        (truncate("weights.safetensors", 5000), "weights.safetensors is damaged"),
        (truncate("weights.safetensors", 3), "weights.safetensors is damaged"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(pickle.dumps(Trap())), "is damaged"),
        (flip, "its sha256 differs"),
        (lambda folder: (folder / "model.json").write_text("[]"), "not of format 1"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe\x00"), "model.json is damaged"),
        (edit(lambda facts: facts.update(format=99)), "not of format 1"),
        (edit(lambda facts: facts.pop("settings")), "does not describe a model"),
        (edit(lambda facts: facts["settings"].update(surprise=1)), "surprise"),
        (edit(lambda facts: facts["settings"]["cell_encoder"].update(width=20)), "have another shape"),
        (edit(lambda facts: facts["settings"]["cell_encoder"].update(blocks=2)), "tensors are missing"),
        (edit(lambda facts: facts["settings"].update(text_projector="none", dim=24)), "does not describe a model"),
        (edit(lambda facts: facts.update(text_encoder_sha256="0" * 64)), "was trained on another"),
        (edit(lambda facts: facts["settings"]["cell_encoder"].update(width=40_000)), "describes a model of"),
        (edit(lambda facts: facts["settings"]["cell_encoder"].update(latents=10**12)), "describes a model of"),
        (edit(lambda facts: facts["settings"]["cell_encoder"].update(width=4 * 10**18)), "describes a model of"),
        (edit(lambda facts: facts["settings"]["cell_encoder"].update(blocks=10**9)), "does not describe a model"),
        (edit(lambda facts: facts["settings"].update(dim=10**6)), "describes a model of"),
        (change_a_word, "model.json changed after it was saved"),
        (pipe("model.json"), "no regular file"),
        (pipe("weights.safetensors"), "no regular file"),
        (pipe("genes.tsv"), "no regular file"),
        (another_shape, "1 have another shape"),
        (without("cell_projector"), "1 tensors are missing"),
        (without("text_encoder."), "1 tensors are missing"),
    ],
)
def test_a_damaged_folder_is_one_line_and_nothing_in_it_is_run(folder, damage, says):
    damage(folder)
    with pytest.raises(CheckpointError, match=says) as raised:
        load_checkpoint(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["full", "latent"])
@pytest.mark.parametrize("projector", ["linear", "mlp2"])
def test_the_estimate_of_the_size_is_close(kind, projector, tiny_text_encoder):
    settings = ModelSettings.model_validate(
        {
            "cell_encoder": {"kind": kind, "width": 64, "feed_forward": 96, "blocks": 3, "latents": 200},
            "text_encoder": {"name": str(tiny_text_encoder)},
            "projector": projector,
            "dim": 80,
        }
    )
    model = CellTextModel(settings, n_genes=500, lazy_text_encoder=True)
    n_parameters = sum(p.numel() for part in (model.cell_encoder, model.cell_projector) for p in part.parameters())
    assert estimate_cell_parameters(settings, 500) == pytest.approx(n_parameters, rel=0.03)


def test_another_text_encoder_at_the_same_place_is_noticed(checkpoint, folder, tiny_text_encoder, tmp_path):
    moved = tmp_path / "encoder"
    shutil.copytree(tiny_text_encoder, moved)
    edit(lambda facts: facts["settings"]["text_encoder"].update(name=str(moved)))(folder)
    load_checkpoint(folder)
    weights = load_file(moved / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, moved / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="was trained on another"):
        load_checkpoint(folder)


def test_a_name_that_neither_disk_nor_hub_knows_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/nothing-here", str(tmp_path / "absent"), "./absent"):
        with pytest.raises(CheckpointError) as raised:
            load(name)
        assert "\n" not in str(raised.value)


def test_the_folder_is_known_by_one_sha256(folder, tmp_path):
    loaded = load_checkpoint(folder)
    assert loaded.facts["model_sha256"] == fingerprint(folder / "model.json")
    save_checkpoint(loaded, tmp_path / "again", card="# Tiny")
    assert load_checkpoint(tmp_path / "again").facts["model_sha256"] == loaded.facts["model_sha256"]


def test_a_text_encoder_of_pickles_is_refused(tiny_text_encoder, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_text_encoder, folder)
    (folder / "model.safetensors").unlink()
    torch.save(Trap(), folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be loaded") as raised:
        TextEncoder(TextEncoderSettings(name=str(folder)))
    assert "\n" not in str(raised.value)


def test_a_revision_is_asked_for_and_named(monkeypatch, tmp_path, caplog):
    requests = []

    def snapshot_download(name, revision, allow_patterns):
        requests.append((name, revision))
        assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in allow_patterns)
        return str(tmp_path / ("0" * 40))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    download_snapshot.cache_clear()
    assert download_snapshot("owner/name@" + "0" * 40, ("*.json",)).name == "0" * 40
    assert not caplog.records
    download_snapshot("owner/name", ("*.json",))
    download_snapshot.cache_clear()
    assert requests == [("owner/name", "0" * 40), ("owner/name", None)]
    assert "pass owner/name@" + "0" * 40 in caplog.text
