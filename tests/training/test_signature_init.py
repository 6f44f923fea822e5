"""The shared space of a linear model starts from signatures, and words of a type are near its vector."""

import numpy as np
import pytest
import torch
from torch import nn

from okrcell.cells.expression import read_expression
from okrcell.descriptions.type_wordings import type_wordings
from okrcell.errors import InputError
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import Embedder
from okrcell.tasks.fine_tuning import FineTuningSettings
from okrcell.tasks.label_transfer import annotate_from_reference
from okrcell.training import signature_init
from okrcell.training.pretrain import pretrain
from okrcell.training.signature_init import SignatureSpace, all_wordings, fit_text_projector

B_CELL, T_CELL, CD4, HEPATOCYTE = "CL:0000236", "CL:0000084", "CL:0000624", "CL:0000182"


def example_space(n_types=6, n_genes=40, dim=4):
    signatures = np.random.default_rng(0).normal(size=(n_types, n_genes)).astype(np.float32)
    return signatures, SignatureSpace.from_signatures([f"CL:{i}" for i in range(n_types)], signatures, dim)


def test_directions_are_those_of_the_singular_value_decomposition():
    signatures, space = example_space()
    centred = signatures - signatures.mean(axis=1, keepdims=True)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    left, scale, right = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(space.directions * right[:4].T, axis=0)), 1, rtol=1e-5)
    vectors = left[:, :4] * scale[:4]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(space.vectors @ space.vectors.T, vectors @ vectors.T, atol=1e-5)


def test_a_signature_is_nearest_to_its_own_type_and_further_directions_are_zero():
    signatures, space = example_space(dim=10)
    assert not space.directions[:, 6:].any()
    assert ((signatures @ space.directions) @ space.vectors.T).argmax(axis=1).tolist() == list(range(6))


def test_a_term_without_signature_has_the_vector_of_its_nearest_known_relatives():
    signatures = np.eye(3, 30, dtype=np.float32)
    space = SignatureSpace.from_signatures([B_CELL, T_CELL, HEPATOCYTE], signatures, 3)
    vectors, index = space.targets([T_CELL, CD4, "CL:0000542"])
    assert index.tolist() == [1, -1, -1]
    np.testing.assert_allclose(vectors[1], space.vectors[1], atol=1e-6)
    # A lymphocyte has no known ancestor; T cells are one step below it, B cells two.
    np.testing.assert_allclose(vectors[2], space.vectors[1], atol=1e-6)


def test_wordings_are_names_synonyms_definition_and_sentences():
    texts = type_wordings(B_CELL)
    assert {"B cell", "B lymphocyte", "This is a B cell."} <= set(texts)
    assert any("lymphocyte of B lineage" in text for text in texts)
    assert "This is a B cell." not in type_wordings(B_CELL, sentences=False)
    term_ids, all_texts = all_wordings([B_CELL])
    assert len(term_ids) == len(all_texts) > 10_000
    assert {text for term_id, text in zip(term_ids, all_texts, strict=True) if term_id == B_CELL} == set(texts)


def test_a_fitted_projector_maps_every_wording_to_its_type(monkeypatch):
    monkeypatch.setattr(signature_init, "N_STEPS", 60)
    space = SignatureSpace.from_signatures([B_CELL, T_CELL, HEPATOCYTE], np.eye(3, 30, dtype=np.float32), 3)
    made = torch.Generator().manual_seed(0)
    prototypes = torch.randn(3, 16, generator=made)
    term_ids = [B_CELL, T_CELL, HEPATOCYTE] * 8
    pooled = prototypes.repeat(8, 1) + 0.3 * torch.randn(24, 16, generator=made)

    def fitted():
        torch.manual_seed(0)
        projector = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 3))
        fit_text_projector(projector, pooled, term_ids, space, 0, np.zeros(24, dtype=bool))
        with torch.no_grad():
            return projector(prototypes)

    first = fitted()
    assert (first @ torch.from_numpy(space.vectors).T).argmax(dim=1).tolist() == [0, 1, 2]
    assert torch.equal(first, fitted())


def test_prose_is_sampled_more_often_and_many_wordings_not_in_proportion():
    term_ids = np.array([B_CELL] * 4 + [T_CELL])
    probability = signature_init._sampling_probability(
        term_ids, np.array([0, 0, 0, 0, -1]), np.array([True, False, False, False, False])
    )
    assert probability.sum() == pytest.approx(1)
    assert probability[0] == pytest.approx(signature_init.PROSE_WEIGHT * probability[1])
    assert probability[1] == pytest.approx(probability[4] / signature_init.UNKNOWN_WEIGHT / 2)


def test_types_with_few_markers_and_no_cells_have_less_weight_in_the_directions():
    signatures = np.eye(2, 30, dtype=np.float32)
    equal = SignatureSpace.from_signatures([B_CELL, T_CELL], signatures, 1)
    weighted = SignatureSpace.from_signatures([B_CELL, T_CELL], signatures, 1, np.array([1.0, 0.1]))
    assert abs(weighted.directions[0, 0]) > 0.95 * np.linalg.norm(weighted.directions[:, 0])
    assert abs(equal.directions[0, 0]) < 0.9 * np.linalg.norm(equal.directions[:, 0])


@pytest.fixture
def linear_run(run_settings, tmp_path, monkeypatch):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(signature_init, "N_STEPS", 5)
    monkeypatch.setattr(signature_init, "all_wordings", lambda _: ([B_CELL, T_CELL], ["B cell", "T cell"]))
    return run_settings(
        {
            "model": {
                "tokeniser": {"kind": "expression"},
                "cell_encoder": {"kind": "linear", "width": 16},
                "projector": "none",
                "text_projector": "mlp2",
                "dim": 16,
            },
            "stream": {"mask": [0], "min_gene_fraction": 0.3},
            "objective": {"preset": "improved", "gene_weight": 0, "cell_weight": 0},
            "signatures": True,
            "split": {"validation": 0.01, "studies": ["second"]},
        },
        "linear",
    )


def test_a_linear_model_is_trained_saved_and_loaded(linear_run, blood):
    result = pretrain(linear_run)
    model = Embedder(load_checkpoint(result.model))
    vectors = model.embed_cells(read_expression(blood[:30].copy()))
    assert vectors.shape == (30, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    # A cell's vector is of the cell and its panel alone.
    np.testing.assert_allclose(model.embed_cells(read_expression(blood[:7].copy())), vectors[:7], atol=1e-5)
    assert float(model.model.cell_encoder.level[1:].sum()) > 0
    assert np.isfinite(result.validation["validation_cell_to_text"])
    adata = blood[:60].copy()
    labels = adata.obs["cell_type"].astype(str).tolist()
    with pytest.raises(InputError, match="is linear, without layers for lora"):
        annotate_from_reference(read_expression(adata), labels, read_expression(adata), model, method="lora")
    quick = FineTuningSettings(max_epochs=1)
    tuned = annotate_from_reference(
        read_expression(adata), labels, read_expression(adata), model, method="encoder", fine_tuning=quick
    )
    assert len(tuned.prediction.best_idx) == 60
