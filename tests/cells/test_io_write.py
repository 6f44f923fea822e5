"""Results are written atomically."""

import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData, read_h5ad

from okrcell.cells.io import check_storable, open_cells, save_cells
from okrcell.errors import InputError


@pytest.fixture
def source(tmp_path):
    blood = sc.datasets.pbmc68k_reduced()[:50].copy()
    blood.write_h5ad(tmp_path / "in.h5ad")
    return tmp_path / "in.h5ad"


def learned(source) -> AnnData:
    adata = open_cells(source)
    adata.obsm["X_okrcell"] = np.ones((50, 4), dtype=np.float32)
    adata.obs["okrcell_confidence"] = np.linspace(0, 1, 50)
    adata.uns["okrcell"] = {"embed": {"verb": "embed", "settings": {"seed": 3}}}
    return adata


def test_what_was_added_is_there_and_all_else_is_as_it_was(source, tmp_path):
    save_cells(learned(source), tmp_path / "out.h5ad", source=source)
    before, after = read_h5ad(source), read_h5ad(tmp_path / "out.h5ad")
    assert np.array_equal(after.X, before.X)
    assert (after.raw.X != before.raw.X).nnz == 0
    assert set(after.obsp) == set(before.obsp) != set()
    assert set(after.obsm) == {*before.obsm, "X_okrcell"}
    assert after.obs[before.obs.columns].equals(before.obs)
    assert after.uns["okrcell"]["embed"]["settings"]["seed"] == 3


def test_a_second_answer_takes_the_place_of_the_first(source, tmp_path):
    save_cells(learned(source), tmp_path / "out.h5ad", source=source)
    again = learned(tmp_path / "out.h5ad")
    again.obsm["X_okrcell"] *= 2
    save_cells(again, tmp_path / "out.h5ad", source=tmp_path / "out.h5ad")
    assert (read_h5ad(tmp_path / "out.h5ad").obsm["X_okrcell"] == 2).all()


def test_cells_that_lie_on_disk_are_written_without_a_source(source, tmp_path):
    save_cells(learned(source), tmp_path / "out.h5ad")
    assert np.array_equal(read_h5ad(tmp_path / "out.h5ad").X, read_h5ad(source).X)


def test_other_cells_are_refused_and_the_old_file_stays(source, tmp_path):
    (tmp_path / "out.h5ad").write_text("old")
    with pytest.raises(InputError, match="other cells"):
        save_cells(learned(source)[:20].to_memory(), tmp_path / "out.h5ad", source=source)
    assert (tmp_path / "out.h5ad").read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.h5ad", "out.h5ad"]


def test_what_cannot_be_stored_is_told(source, tmp_path):
    adata = learned(source)
    adata.uns["okrcell_thing"] = object()
    with pytest.raises(InputError, match=r"cannot be written .*object"):
        save_cells(adata, tmp_path / "out.h5ad", source=source)
    assert not (tmp_path / "out.h5ad").exists()


def test_the_name_must_say_h5ad_and_the_folder_must_be_there(source, tmp_path):
    with pytest.raises(InputError, match=r"must end in \.h5ad"):
        save_cells(learned(source), tmp_path / "out.csv")
    with pytest.raises(InputError, match="there is no folder"):
        save_cells(learned(source), tmp_path / "none" / "out.h5ad")


def test_the_copy_is_a_sound_file(source, tmp_path):
    save_cells(learned(source), tmp_path / "out.h5ad", source=source)
    with h5py.File(tmp_path / "out.h5ad") as file:
        assert file["obsm/X_okrcell"].attrs["encoding-type"] == "array"


def test_columns_that_h5ad_cannot_hold_are_refused_before_the_work(tmp_path):
    (tmp_path / "in.csv").write_text("cell,_index,CD3D,LYZ\na,T cell,1,0\nb,T cell,0,2\n")
    adata = open_cells(tmp_path / "in.csv")
    with pytest.raises(InputError, match=r"columns of .*in\.csv cannot be written as h5ad") as caught:
        check_storable(adata, tmp_path / "in.csv")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        save_cells(adata, tmp_path / "out.h5ad")


def test_columns_that_h5ad_can_hold_pass_the_check(source, tmp_path):
    check_storable(learned(source), source)
    (tmp_path / "in.csv").write_text("cell,A/B,type,CD3D,LYZ\na,x,,1,0\na,y,T cell,0,2\n")
    adata = open_cells(tmp_path / "in.csv")
    check_storable(adata, tmp_path / "in.csv")
    adata.obs_names_make_unique()
    save_cells(adata, tmp_path / "out.h5ad")
    assert list(read_h5ad(tmp_path / "out.h5ad").obs["A/B"]) == ["x", "y"]


def test_a_type_far_below_is_seen_before_the_work(source):
    adata = learned(source)
    adata.obs["mixed"] = pd.Series([*["a"] * 40, *[1] * 10], index=adata.obs_names, dtype=object)
    with pytest.raises(InputError, match="cannot be written as h5ad"):
        check_storable(adata, source)


def test_a_column_of_a_reserved_name_in_an_h5ad_file_is_seen_before_the_work(source):
    with h5py.File(source, "r+") as file:
        obs = file["obs"]
        obs["index2"] = obs[obs.attrs["_index"]][:]
        obs["index2"].attrs.update(dict(obs[obs.attrs["_index"]].attrs))
        if "_index" not in obs:
            obs["_index"] = obs["index2"]
        obs.attrs["_index"] = "index2"
        obs.attrs["column-order"] = [*obs.attrs["column-order"], "_index"]
    with pytest.raises(InputError, match="'_index' is a reserved name"):
        check_storable(open_cells(source), source)
