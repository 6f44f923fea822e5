"""Keys of a file of cells, read without its cells, are those of the cells once they are open."""

import h5py
import numpy as np
import pytest
from anndata import AnnData

from okrcell.cells.io import open_cells
from okrcell.cells.slot_keys import RequestedKeys, SlotKeys, read_slot_keys
from okrcell.cli import main
from okrcell.errors import InputError


@pytest.fixture(params=["h5ad", "without X"])
def path(blood, tmp_path, request):
    adata = blood[:30].copy()
    adata.raw = adata.copy()
    adata.obsm["X_pca"] = np.ones((30, 2))
    adata.layers["counts"] = adata.X.copy()
    if request.param == "without X":
        adata.X = None
        adata.raw = None
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_keys_on_disk_are_those_of_the_open_cells(path):
    stored, loaded = read_slot_keys(path), SlotKeys.from_anndata(open_cells(path))
    for slot in ("obs", "obsm", "matrices"):
        assert sorted(getattr(stored, slot)) == sorted(getattr(loaded, slot))
    assert "layers['counts']" in stored.matrices


def test_keys_behind_a_link_and_of_other_formats_are_unknown(path, tmp_path):
    with h5py.File(tmp_path / "linked.h5ad", "w") as file:
        for name in ("obs", "var", "layers"):
            file[name] = h5py.ExternalLink(str(path), name)
    (tmp_path / "cells.csv").write_text("a,b")
    assert [read_slot_keys(tmp_path / name) for name in ("linked.h5ad", "cells.csv", "none")] == [None, None, None]


def test_a_missing_key_is_named_with_those_that_exist(path):
    keys = read_slot_keys(path)
    RequestedKeys({"--groupby": "donor", "--other": None}, "counts", "X_pca").check(keys)
    for requested, message in (
        (RequestedKeys({"--groupby": "doner"}), "similar columns are donor.*--groupby"),
        (RequestedKeys(layer="umi"), r"no layers\['umi'\] in this file. There are: .*layers\['counts'\]"),
        (RequestedKeys(use_rep="X_umap"), "no X_umap in obsm, which has: X_pca"),
    ):
        with pytest.raises(InputError, match=message):
            requested.check(keys)


MISTAKES = {
    "annotate --layer umi": "no layers['umi']",
    "audit --label-key cell_typ": "similar columns are cell_type",
    "audit --layer umi --label-key cell_type": "no layers['umi']",
    "cluster --use-rep X_pca": "no X_pca in obsm",
    "describe --groupby cell_typ": "similar columns are cell_type",
    "describe --groupby own": "no grouping",
    "embed --layer raw": "no layers['raw']",
    "explain --groupby cell_typ": "similar columns are cell_type",
    "integrate --batch-key cell_typ": "similar columns are cell_type",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_key_of_a_table_is_reported_before_the_model_is_loaded(mistake, blood, tmp_path, capsys, monkeypatch):
    for module in ("cells", "labels"):
        monkeypatch.setattr(f"okrcell.cli.{module}.load_model", lambda path: pytest.fail("the model was loaded"))
    adata: AnnData = blood[:30]
    table = adata.to_df().iloc[:, :60]
    table.insert(0, "cell_type", adata.obs["cell_type"])
    table.insert(0, "own", [f"{name}!" for name in adata.obs_names])
    table.to_csv(tmp_path / "cells.csv")
    verb, *options = mistake.split()
    output = {"audit": "out.tsv", "describe": "out.md", "explain": "out.md"}.get(verb, "out.h5ad")
    with pytest.raises(SystemExit) as ended:
        main([verb, str(tmp_path / "cells.csv"), "-o", str(tmp_path / output), *options])
    assert ended.value.code == 2
    assert MISTAKES[mistake] in capsys.readouterr().err
