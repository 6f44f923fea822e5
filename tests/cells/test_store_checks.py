"""No file leads out of itself, and none claims more than it holds."""

import h5py
import numpy as np
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from okrcell.cells.io import open_cells, save_cells
from okrcell.cli import main
from okrcell.errors import InputError

N_CELLS, N_GENES = 6, 4


@pytest.fixture
def cells(tmp_path):
    matrix = sparse.csr_matrix(np.arange(N_CELLS * N_GENES, dtype=np.float32).reshape(N_CELLS, N_GENES))
    adata = AnnData(matrix)
    adata.var_names = ["CD3E", "MS4A1", "NKG7", "CD14"]
    adata.obs["cell_type"] = "B cell"
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def secret(tmp_path):
    """A file of another owner, which nothing may read or write."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file.create_group("uns")
        file["values"] = np.zeros(N_CELLS)
    return tmp_path / "secret.h5"


def link_slot(slot):
    def change(file, secret):
        if slot in file:
            del file[slot]
        file[slot] = h5py.ExternalLink(str(secret), "/uns")

    return change


def add_external_storage(file, secret):
    file.create_dataset("obs/leak", shape=(10,), dtype="u1", external=[(str(secret), 0, 10)])
    file["obs/leak"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def add_virtual_dataset(file, secret):
    layout = h5py.VirtualLayout(shape=(N_CELLS,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(secret), "values", shape=(N_CELLS,))
    file.create_virtual_dataset("obs/leak", layout)


def hide_link_deep_inside(file, secret):
    file["uns/notes/more/link"] = h5py.ExternalLink(str(secret), "/uns")


OUTWARD = {
    "uns": link_slot("uns"),
    "obsm": link_slot("obsm"),
    "X": link_slot("X"),
    "a note": hide_link_deep_inside,
    "external storage": add_external_storage,
    "a virtual dataset": add_virtual_dataset,
}


@pytest.mark.parametrize("kind", OUTWARD)
def test_a_file_that_leads_to_another_is_refused_at_reading_and_before_writing(kind, cells, secret, tmp_path):
    adata = open_cells(cells).to_memory()
    before = secret.read_bytes()
    with h5py.File(cells, "r+") as file:
        OUTWARD[kind](file, secret)
    with pytest.raises(InputError, match="is not opened, because"):
        open_cells(cells)
    adata.uns["okrcell"] = {"embed": {"verb": "embed"}}
    with pytest.raises(InputError, match="is not opened, because"):
        save_cells(adata, tmp_path / "out.h5ad", source=cells)
    assert not (tmp_path / "out.h5ad").exists()
    assert secret.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("embed", "cells.h5ad", "-o", "out.h5ad"),
        ("standardise", "cells.h5ad", "-o", "out.h5ad"),
        ("enrich", "cells.h5ad", "-o", "out.parquet"),
        ("prepare", "cells.h5ad", "-o", "corpus"),
        ("annotate", "clean.h5ad", "-o", "out.h5ad", "--reference", "cells.h5ad"),
    ],
)
def test_every_command_refuses_it(words, cells, secret, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clean.h5ad").write_bytes(cells.read_bytes())
    with h5py.File(cells, "r+") as file:
        link_slot("uns")(file, secret)
    before = secret.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "is a link to another file" in capsys.readouterr().err
    assert secret.read_bytes() == before


def test_links_inside_a_file_are_followed(cells):
    with h5py.File(cells, "r+") as file:
        file["layers/again"] = h5py.SoftLink("/X")
        file["uns/same"] = file["obs"]
    assert open_cells(cells).layers["again"].shape == (N_CELLS, N_GENES)


def claim_long_index(file):
    names = file.create_dataset("uns/claim", shape=(10**10,), dtype="f8", chunks=(10**6,), compression="gzip")
    names.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def claim_wide_row(file):
    del file["X/data"], file["X/indices"]
    for name, dtype in (("data", "f4"), ("indices", "i4")):
        file.create_dataset(f"X/{name}", shape=(10**7,), dtype=dtype, chunks=(10**6,), compression="gzip")
    file["X/indptr"][1:] = 10**7


def claim_many_rows(file):
    del file["X/indptr"]
    file.create_dataset("X/indptr", shape=(10**7,), dtype="i8", chunks=(10**6,), compression="gzip")


@pytest.mark.parametrize("claim", [claim_long_index, claim_wide_row, claim_many_rows])
def test_what_cannot_be_held_is_refused_before_it_is_read(claim, cells):
    with h5py.File(cells, "r+") as file:
        claim(file)
    with pytest.raises(InputError, match=r"claims .* bytes|make no matrix of its shape"):
        open_cells(cells)


def test_large_but_true_arrays_are_read(cells):
    with h5py.File(cells, "r+") as file:
        notes = file.create_dataset("uns/zeros", data=np.zeros(10**6), compression="gzip")
        notes.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    assert open_cells(cells).uns["zeros"].shape == (10**6,)


@pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:zarr v3 autosharding", "ignore:Consolidated metadata")
def test_a_zarr_store_is_read_alone(cells, tmp_path):
    pytest.importorskip("zarr")
    read_h5ad(cells).write_zarr(tmp_path / "cells.zarr")
    assert open_cells(tmp_path / "cells.zarr").n_obs == N_CELLS
    (tmp_path / "cells.zarr" / "uns" / "leak").symlink_to(tmp_path / "cells.h5ad")
    with pytest.raises(InputError, match="leak is a link out of its folder"):
        open_cells(tmp_path / "cells.zarr")
