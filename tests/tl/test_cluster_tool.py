"""`tl.cluster` and `okrcell cluster`."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from okrcell import pl
from okrcell.errors import InputError
from okrcell.model.embedder import load
from okrcell.tl.cluster import cluster
from okrcell.tl.embed import embed

mpl.use("Agg")


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def embedded(blood, model):
    adata = blood.copy()
    embed(adata, model)
    return adata


@pytest.fixture(scope="module")
def grouped(embedded, model):
    adata = embedded.copy()
    cluster(adata, model)
    return adata


def test_groups_are_named_by_size_and_have_to_do_with_cell_types(grouped):
    groups = grouped.obs["okrcell_cluster"]
    counts = groups.value_counts(sort=False)
    assert list(counts.index) == [str(number) for number in range(len(counts))]
    assert (np.diff(counts.to_numpy()) <= 0).all()
    assert adjusted_rand_score(grouped.obs["cell_type"], groups) > 0.2


def test_the_receipt_tells_how_the_resolution_was_chosen(grouped):
    receipt = grouped.uns["okrcell"]["cluster"]
    assert receipt["resolution_named_by"] == "stability"
    assert receipt["resolution"] in receipt["resolutions"]
    assert len(receipt["agreement"]) == len(receipt["groups"]) == 20
    assert np.all(np.asarray(receipt["agreement"]) <= 1)


def test_answers_survive_a_file(grouped, tmp_path):
    import anndata as ad

    grouped.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(
        again.uns["okrcell"]["cluster"]["agreement"], grouped.uns["okrcell"]["cluster"]["agreement"]
    )
    assert (again.obs["okrcell_cluster"] == grouped.obs["okrcell_cluster"]).all()


def test_a_resolution_that_is_named_is_taken(embedded, model):
    adata = embedded[:200].copy()
    cluster(adata, model, resolution=0.7, key_added="mine")
    receipt = adata.uns["okrcell"]["cluster"]
    assert (receipt["resolution"], receipt["resolution_named_by"]) == (0.7, "user")
    assert "mine" in adata.obs


def test_a_cell_without_expression_is_unknown(embedded, model):
    adata = embedded[:100].copy()
    filled = adata.X.tolil()
    filled[5] = 0
    adata.X = filled.tocsr()
    adata.obsm["X_okrcell"][5] = np.nan
    cluster(adata, model)
    assert (adata.obs["okrcell_cluster"] == "unknown").to_numpy().nonzero()[0].tolist() == [5]
    assert np.isnan(adata.obsm["X_okrcell_joined"][5]).all()


@pytest.mark.parametrize("cells", [1, 2])
def test_a_file_of_few_cells_has_a_group(embedded, model, cells):
    adata = embedded[:cells].copy()
    cluster(adata, model)
    assert set(adata.obs["okrcell_cluster"]) <= {"0", "1"}


def test_a_slot_that_is_not_there_is_told(embedded, model):
    with pytest.raises(InputError, match="X_nowhere in obsm, which has: X_okrcell"):
        cluster(embedded.copy(), model, use_rep="X_nowhere")


@pytest.mark.parametrize("resolution", [0, -1.0, [], [0.5, 0]])
def test_a_resolution_is_above_zero(embedded, model, resolution):
    with pytest.raises(InputError, match="above zero"):
        cluster(embedded.copy(), model, resolution=resolution)


def test_groups_of_a_slot_leave_the_other_slots_alone(embedded, model):
    adata = embedded[:150].copy()
    before = adata.obsm["X_okrcell"].copy()
    cluster(adata, model, use_rep="X_okrcell", resolution=[0.3, 0.6])
    np.testing.assert_array_equal(adata.obsm["X_okrcell"], before)
    assert "X_okrcell_joined" not in adata.obsm


def test_the_picture_has_every_group_and_the_curve(grouped, tmp_path):
    adata = grouped.copy()
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    left, right = pl.clusters(adata, basis="X_umap", save=tmp_path / "clusters.png")
    names = list(adata.obs["okrcell_cluster"].cat.categories)
    assert [text.get_text() for text in left.texts] == names
    assert len(right.lines[1].get_xdata()) == 20
    assert (tmp_path / "clusters.png").stat().st_size > 10_000


def test_groups_keep_their_names_where_one_has_no_cells_any_more(grouped):
    adata = grouped[grouped.obs["okrcell_cluster"] != "0"].copy()
    adata.obs["okrcell_cluster"] = adata.obs["okrcell_cluster"].cat.set_categories(
        grouped.obs["okrcell_cluster"].cat.categories
    )
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    left, _ = pl.clusters(adata, basis="X_umap", show=False)
    names = list(grouped.obs["okrcell_cluster"].cat.categories)[1:]
    assert [text.get_text() for text in left.texts] == names
    assert [text.get_text().partition("\N{NO-BREAK SPACE}")[0] for text in left.get_legend().get_texts()] == names


def test_a_picture_needs_groups(embedded):
    with pytest.raises(InputError, match=r"Run okr.tl.cluster"):
        pl.clusters(embedded)
