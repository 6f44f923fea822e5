"""Stored embeddings are reused only for the model that wrote them."""

import numpy as np
import pytest

import okrcell as okr
from okrcell.errors import InputError


class Turned(type(okr.load())):
    """The bundled model with its cell vectors turned round: another model."""

    def __init__(self, model):
        self.__dict__ = {**vars(model), "facts": {**model.facts, "weights_sha256": "another"}}

    def embed_cells(self, expression, progress=None):
        return -super().embed_cells(expression, progress)


@pytest.fixture(scope="module")
def model():
    return okr.load()


def test_vectors_of_another_model_are_not_taken_for_this_ones(blood, model):
    adata = blood[:40].copy()
    okr.tl.find_cells(adata, model, "B cell")
    first = adata.obs["okrcell_match"].copy()
    okr.tl.find_cells(adata, Turned(model), "B cell")
    np.testing.assert_allclose(adata.obs["okrcell_match"], -first, atol=1e-6)
    okr.tl.find_cells(adata, model, "B cell")
    np.testing.assert_allclose(adata.obs["okrcell_match"], first, atol=1e-6)


def test_vectors_in_another_slot_do_not_stand_in_for_the_first(blood, model):
    adata = blood[:10].copy()
    okr.tl.embed(adata, Turned(model))
    okr.tl.embed(adata, model, key_added="mine")
    okr.tl.find_cells(adata, model, "B cell")
    np.testing.assert_allclose(adata.obsm["X_okrcell"], adata.obsm["mine"], atol=1e-6)


def test_a_candidate_with_a_slash_can_be_saved(blood, model, tmp_path):
    adata = blood[:10].copy()
    okr.tl.annotate(adata, model, candidates=["monocyte", "monocyte/macrophage"])
    adata.write_h5ad(tmp_path / "named.h5ad")
    assert adata.obsm["okrcell_scores"].columns.tolist() == ["monocyte", "monocyte|macrophage"]
    assert adata.uns["okrcell"]["annotate"]["candidates"] == ["monocyte", "monocyte/macrophage"]


def test_an_empty_sentence_is_refused_before_anything_is_read(blood, model):
    with pytest.raises(InputError, match="empty"):
        okr.tl.find_cells(blood[:2].copy(), model, "  ")


def test_the_receipt_tells_what_was_read_by_what(blood, model):
    adata = blood[:10].copy()
    okr.tl.embed(adata, model)
    told = adata.uns["okrcell"]["embed"]
    assert told["input"]["cells"] == 10
    assert told["kind"] == "log1p"
    assert told["weights_sha256"] == model.fingerprint
    assert 0 < told["model_genes_measured"] <= told["model_genes"]
