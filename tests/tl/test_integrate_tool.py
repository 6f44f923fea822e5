"""Batches of a file brought together."""

import matplotlib as mpl
import numpy as np
import pytest

from okrcell import pl
from okrcell.errors import InputError
from okrcell.model.embedder import load
from okrcell.tl.embed import embed
from okrcell.tl.integrate import integrate

mpl.use("Agg")


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def embedded(blood, model):
    adata = blood[:300].copy()
    embed(adata, model)
    return adata


def test_every_cell_has_a_place_and_the_receipt_tells_of_the_batches(embedded, model):
    adata = embedded.copy()
    integrate(adata, model, "donor")
    assert adata.obsm["X_okrcell_integrated"].shape == (300, 15)
    assert np.isfinite(adata.obsm["X_okrcell_integrated"]).all()
    receipt = adata.uns["okrcell"]["integrate"]
    assert receipt["batches"] == [f"donor{number}" for number in range(7)]
    assert sum(receipt["cells"]) == 300
    assert np.all((receipt["shared"] > 0.5) & (receipt["shared"] <= 1))
    assert receipt["apart"] == []


def test_cells_whose_batch_is_missing_are_a_batch(embedded, model):
    adata = embedded.copy()
    adata.obs["lane"] = np.where(np.arange(300) < 100, None, "a")
    integrate(adata, model, "lane")
    receipt = adata.uns["okrcell"]["integrate"]
    assert dict(zip(receipt["batches"], receipt["cells"], strict=True)) == {"(no batch)": 100, "a": 200}


def test_numbers_may_name_batches(embedded, model):
    adata = embedded[:80].copy()
    adata.obs["run"] = np.arange(80) % 2
    integrate(adata, model, "run")
    assert adata.uns["okrcell"]["integrate"]["batches"] == ["0", "1"]


def test_a_column_that_is_not_there_is_told_with_those_near_to_it(embedded, model):
    with pytest.raises(InputError, match="near to it are donor"):
        integrate(embedded.copy(), model, "doner")


def test_a_file_of_one_cell_works(embedded, model):
    adata = embedded[:1].copy()
    integrate(adata, model, "donor")
    assert np.isfinite(adata.obsm["X_okrcell_integrated"]).all()


def test_answers_survive_a_file(embedded, model, tmp_path):
    import anndata as ad

    adata = embedded[:60].copy()
    integrate(adata, model, "donor")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert list(again.uns["okrcell"]["integrate"]["batches"]) == adata.uns["okrcell"]["integrate"]["batches"]


def test_the_picture_shows_batch_and_type_before_and_after(embedded, model, monkeypatch, tmp_path):
    adata = embedded.copy()
    integrate(adata, model, "donor")
    monkeypatch.setattr("okrcell.tasks.neighbours.flat_map", lambda points: points[:, :2])
    axes = pl.integration(adata, save=tmp_path / "panel.png")
    assert [ax.get_title(loc="left") for ax in axes] == [
        "donor, before integration",
        "donor, after integration",
        "cell_type, before integration",
        "cell_type, after integration",
    ]
    with pytest.raises(InputError, match="no column 'kind'"):
        pl.integration(adata, label_key="kind")


def test_a_picture_needs_an_integration(embedded):
    with pytest.raises(InputError, match=r"Run okr.tl.integrate"):
        pl.integration(embedded)
