"""Stored embeddings are reused only for the model that wrote them."""

import numpy as np
import pytest
from anndata import read_h5ad

import okrcell as okr
from okrcell.cells.io import open_cells
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder


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
    record = adata.uns["okrcell"]["embed"]
    assert record["input"]["cells"] == 10
    assert record["kind"] == "log1p"
    assert record["weights_sha256"] == model.fingerprint
    assert 0 < record["model_genes_measured"] <= record["model_genes"]


def test_vectors_of_other_values_are_computed_again(blood, model):
    adata = blood[:20].copy()
    adata.layers["junk"] = adata.X[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    expected = adata.copy()
    okr.tl.embed(expected, model)
    okr.tl.embed(adata, model, layer="junk")
    assert not np.allclose(adata.obsm["X_okrcell"], expected.obsm["X_okrcell"], atol=1e-3)
    okr.tl.find_cells(adata, model, "B cell")
    np.testing.assert_allclose(adata.obsm["X_okrcell"], expected.obsm["X_okrcell"], atol=1e-6)
    assert adata.uns["okrcell"]["find"]["matrix"] == "X"
    assert (
        adata.uns["okrcell"]["find"]["expression_sha256"]
        == adata.uns["okrcell"]["vector_inputs"]["X_okrcell"]["expression_sha256"]
    )


@pytest.mark.parametrize("change", ["values", "genes", "cells", "vectors"])
def test_a_change_of_what_was_read_or_of_the_vectors_is_noticed(blood, model, change, monkeypatch):
    adata = blood[:12].copy()
    okr.tl.embed(adata, model)
    if change == "values":
        adata.X = adata.X * 1.0
        adata.X.data[0] += 1
    elif change == "genes":
        adata.var_names = np.roll(adata.var_names, 1)
    elif change == "cells":
        adata.X = adata.X[::-1].copy()
    else:
        adata.obsm["X_okrcell"] = np.roll(adata.obsm["X_okrcell"], 1, axis=0)
    computed = count_embeddings(monkeypatch)
    okr.tl.find_cells(adata, model, "B cell")
    assert computed == [12]


def test_the_same_values_are_embedded_once(blood, model, monkeypatch, tmp_path):
    adata = blood[:12].copy()
    adata.raw = adata
    okr.tl.embed(adata, model)
    computed = count_embeddings(monkeypatch)
    okr.tl.find_cells(adata, model, "B cell")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    okr.tl.find_cells(open_cells(tmp_path / "cells.h5ad"), model, "B cell")
    okr.tl.find_cells(adata, model, "B cell", layer="X")
    assert computed == []


def count_embeddings(monkeypatch):
    """Record the number of cells of each call of `Embedder.embed_cells`."""
    computed, embed_cells = [], Embedder.embed_cells

    def embed(self, expression, progress=None):
        computed.append(expression.n_cells)
        return embed_cells(self, expression, progress)

    monkeypatch.setattr(Embedder, "embed_cells", embed)
    return computed


VERBS = {
    "embed": okr.tl.embed,
    "annotate": okr.tl.annotate,
    "cluster": okr.tl.cluster,
    "integrate": okr.tl.integrate,
    "find_cells": lambda adata, *model: okr.tl.find_cells(adata, *(model or (None,)), "B cell"),
    "find_texts": okr.tl.find_texts,
    "describe": okr.tl.describe,
    "explain": okr.tl.explain,
    "audit": okr.tl.audit,
}


@pytest.mark.parametrize("verb", [*VERBS, "standardise"])
@pytest.mark.parametrize("wrong", ["cells.h5ad", ["cells"], None])
def test_what_is_no_anndata_is_refused(verb, wrong):
    with pytest.raises(InputError, match="adata must be an AnnData, but it is"):
        VERBS.get(verb, okr.tl.standardise)(wrong)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("wrong", ["./model", ["model"]])
def test_what_is_no_model_is_refused(blood, verb, wrong):
    adata = blood[:2].copy()
    adata.obs["okrcell_cluster"] = adata.obs["batch"] = "a"
    with pytest.raises(InputError, match="model must be a loaded model, but it is"):
        VERBS[verb](adata, wrong)


def test_a_reference_must_be_cells_too(blood, model):
    with pytest.raises(InputError, match="reference must be an AnnData, but it is the path"):
        okr.tl.annotate(blood[:2].copy(), model, reference="reference.h5ad")


def test_a_view_of_a_backed_file_is_refused(blood, tmp_path, model):
    blood[:6].copy().write_h5ad(tmp_path / "cells.h5ad")
    backed = read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(InputError, match="view of a backed AnnData"):
        okr.tl.embed(backed[:3], model)
    okr.tl.embed(backed, model)
    assert backed.obsm["X_okrcell"].shape == (6, model.dim)
    backed.file.close()


@pytest.mark.parametrize("records", ["a note", [1, 2], {"annotate": "a note"}])
def test_records_of_another_shape_are_refused(blood, model, records):
    adata = blood[:2].copy()
    adata.uns["okrcell"] = records
    for verb in (okr.tl.embed, lambda adata, model: okr.tl.standardise(adata)):
        with pytest.raises(InputError, match=r"uns\['okrcell'\] must hold provenance records"):
            verb(adata, model)
