"""Fine-tuning of the encoder on a reference, full or LoRA."""

import copy
import sys

import numpy as np
import pytest
import torch

from okrcell.cells.expression import read_expression
from okrcell.errors import MissingExtraError
from okrcell.model.cell_encoder import CellEncoderSettings, build_cell_encoder
from okrcell.model.embedder import Embedder
from okrcell.tasks.classifier import read_labels
from okrcell.tasks.fine_tuning import FineTuningSettings, add_lora, fine_tune, merge_lora
from okrcell.tasks.label_transfer import annotate_from_reference

pytest.importorskip("peft", reason="the extra fine-tuning is not installed")

QUICK = FineTuningSettings(max_epochs=5, batch_size=16, learning_rate=1e-2, lora_learning_rate=3e-2)


@pytest.fixture(params=["latent", "full"])
def embedder(request, tiny_model, vocabulary):
    from okrcell.model.cell_text_model import CellTextModel, ModelSettings
    from okrcell.model.checkpoint import Checkpoint
    from okrcell.settings import parse_settings

    torch.manual_seed(1)
    shape = {**tiny_model, "cell_encoder": {**tiny_model["cell_encoder"], "kind": request.param}}
    model = CellTextModel(parse_settings(ModelSettings, shape, "test"), n_genes=len(vocabulary))
    return Embedder(Checkpoint(model.eval(), vocabulary, {"weights_sha256": "tiny"}, "tiny"))


@pytest.fixture
def reference(blood):
    subset = blood[blood.obs["cell_type"].isin(["B cell", "CD14-positive monocyte", "dendritic cell"])][:150].copy()
    return read_expression(subset), read_labels(subset.obs["cell_type"].tolist())


@pytest.mark.parametrize("method", ["encoder", "lora"])
def test_tuning_teaches_a_copy_and_leaves_the_model_as_it_was(embedder, reference, method):
    before = {name: value.clone() for name, value in embedder.model.state_dict().items()}
    drawn = torch.get_rng_state()
    tuned = fine_tune(*reference, embedder, method=method, settings=QUICK)
    assert torch.equal(torch.get_rng_state(), drawn)
    after = embedder.model.state_dict()
    assert before.keys() == after.keys() == tuned.embedder.model.state_dict().keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    moved = {name for name, value in tuned.embedder.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(("cell_encoder.", "cell_projector.")) for name in moved)
    if method == "lora":
        assert not any("tokens" in name or "norm" in name or name.startswith("cell_projector") for name in moved)
    assert min(tuned.losses) < tuned.losses[0]
    assert embedder.fingerprint == "tiny"
    assert tuned.embedder.fingerprint == ""


@pytest.mark.parametrize("method", ["encoder", "lora"])
def test_one_seed_gives_one_model(embedder, reference, method):
    one, again = (fine_tune(*reference, embedder, method=method, settings=QUICK, seed=3) for _ in range(2))
    assert one.losses == again.losses
    np.testing.assert_array_equal(one.logits(reference[0]), again.logits(reference[0]))


def test_the_words_alone_stay_where_learning_makes_nothing_better(embedder, reference):
    tuned = fine_tune(*reference, embedder, settings=FineTuningSettings(max_epochs=0))
    assert len(tuned.losses) == 1
    np.testing.assert_allclose(tuned.embedder.embed_cells(reference[0]), embedder.embed_cells(reference[0]), atol=1e-6)


@pytest.mark.parametrize("kind", ["latent", "full"])
def test_additions_start_at_nothing_and_merge_into_the_same_encoder(kind):
    from okrcell.cells.tokenizer import CellTokens

    torch.manual_seed(0)
    shape = CellEncoderSettings(kind=kind, width=16, heads=2, feed_forward=16, blocks=1, latents=3)
    plain = build_cell_encoder(shape, n_genes=30, n_bins=11).eval()
    cells = CellTokens(torch.randint(1, 31, (5, 8)), torch.randint(1, 11, (5, 8)))
    base = plain(cells).cell
    added = add_lora(copy.deepcopy(plain), rank=2).eval()
    torch.testing.assert_close(added(cells).cell, base)
    free = [name for name, part in added.named_parameters() if part.requires_grad]
    assert free
    assert all("lora_" in name for name in free)
    with torch.no_grad():
        for name, part in added.named_parameters():
            if "lora_" in name:
                part.normal_(std=0.3)
    apart = added(cells).cell
    assert not torch.allclose(apart, base, atol=1e-3)
    whole = merge_lora(added)
    torch.testing.assert_close(whole(cells).cell, apart, atol=1e-5, rtol=1e-4)
    assert whole.state_dict().keys() == plain.state_dict().keys()


def test_whole_donors_tell_when_to_stop(embedder, reference):
    expression, labels = reference
    donors = np.array([f"donor{number % 5}" for number in range(expression.n_cells)])
    tuned = fine_tune(expression, labels, embedder, settings=QUICK, donors=donors)
    assert tuned.n_train_cells == expression.n_cells * 4 // 5


@pytest.mark.parametrize("method", ["encoder", "lora"])
def test_a_tuned_model_names_cells(embedder, reference, blood, method):
    expression, labels = reference
    written = [labels.names[place] for place in labels.label_idx]
    query = read_expression(blood[:20].copy())
    found = annotate_from_reference(expression, written, query, embedder, method=method, fine_tuning=QUICK)
    np.testing.assert_allclose(found.probability.sum(axis=1), 1, rtol=1e-5)
    assert found.method == method


def test_a_missing_package_is_named(embedder, reference, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"okrcell\[fine-tuning\]"):
        fine_tune(*reference, embedder, method="lora", settings=QUICK)


@pytest.mark.parametrize("labels", [["B cell"], ["B cell", "T cell"]])
def test_a_cell_or_two_can_be_tuned_to(embedder, blood, labels):
    expression = read_expression(blood[: len(labels)].copy())
    tuned = fine_tune(expression, read_labels(labels), embedder, settings=QUICK)
    assert np.isfinite(tuned.logits(expression)).all()
