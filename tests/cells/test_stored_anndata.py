"""Odd h5ad, MuData, SpatialData, 10x and loom files are read by their sound parts, or refused in one right line."""

import gzip
import shutil
import warnings
import zipfile

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from anndata.io import write_elem
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.cells.findings import read_findings
from okrcell.cells.io import open_cells, save_cells
from okrcell.errors import InputError

GENES = ["CD3D", "LYZ", "MS4A1", "NKG7", "GNLY"]
CELLS = ["AAAC-1", "AAAG-1", "AAAT-1"]
COUNTS = np.array([[1, 0, 2, 0, 5], [0, 3, 0, 0, 0], [0, 0, 7, 1, 0]], dtype=np.float32)


@pytest.fixture
def cells() -> AnnData:
    adata = AnnData(sparse.csr_matrix(COUNTS), pd.DataFrame(index=CELLS), pd.DataFrame(index=GENES))
    adata.obs["cell_type"] = ["T cell", "monocyte", "B cell"]
    adata.obsm["X_pca"] = np.ones((3, 2), dtype=np.float32)
    return adata


@pytest.fixture
def h5ad(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def refused(path, match):
    with pytest.raises(InputError, match=match) as caught:
        open_cells(path)
    assert "\n" not in str(caught.value)


def same(adata):
    assert list(adata.obs_names) == CELLS
    assert list(adata.var_names) == GENES
    X = adata.X.to_memory() if hasattr(adata.X, "to_memory") else adata.X
    assert np.array_equal(X.toarray(), COUNTS)


MISALIGNED = {
    "obsm/X_umap": np.zeros((2, 3)),
    "varm/loadings": np.zeros((2, 2)),
    "layers/scale.data": np.zeros((3, 2)),
}


@pytest.mark.parametrize("place", MISALIGNED)
def test_a_slot_of_another_shape_is_left_out_with_a_warning(h5ad, tmp_path, place):
    with h5py.File(h5ad, "r+") as file:
        write_elem(file, place, MISALIGNED[place])
    slot, name = place.split("/")
    with pytest.warns(UserWarning, match=rf"{slot}\['{name}'\] has the shape .* and is left out"):
        adata = open_cells(h5ad)
    same(adata)
    assert name not in getattr(adata, slot)
    assert any(name in finding for finding in read_expression(adata).findings)
    save_cells(adata, tmp_path / "out.h5ad", source=h5ad)
    written = read_h5ad(tmp_path / "out.h5ad")
    assert name not in getattr(written, slot)
    assert list(written.obsm) == ["X_pca"]


def test_a_raw_of_other_cells_is_left_out_with_a_warning(h5ad):
    with h5py.File(h5ad, "r+") as file:
        raw = file.create_group("raw")
        write_elem(raw, "X", COUNTS[:2])
        write_elem(raw, "var", pd.DataFrame(index=GENES))
    with pytest.warns(UserWarning, match="raw has the shape 2 × 5 instead of 3 × 5"):
        adata = open_cells(h5ad)
    assert adata.raw is None
    same(adata)


def test_a_raw_without_genes_is_left_out_with_a_warning(h5ad, tmp_path):
    with h5py.File(h5ad, "r+") as file:
        write_elem(file.create_group("raw"), "X", COUNTS)
    with pytest.warns(UserWarning, match="raw cannot be read"):
        adata = open_cells(h5ad)
    same(adata)
    save_cells(adata, tmp_path / "out.h5ad", source=h5ad)
    same(read_h5ad(tmp_path / "out.h5ad"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("obsm/odd", pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["x", "y", "z"])),
        ("layers/odd", {"a": np.ones(3)}),
        ("obsp/odd", np.ones((2, 2))),
    ],
)
def test_what_is_left_out_is_not_in_the_output(h5ad, tmp_path, place, value):
    with h5py.File(h5ad, "r+") as file:
        write_elem(file, place, value)
    with pytest.warns(UserWarning, match=r"\['odd'\]"):
        adata = open_cells(h5ad)
    save_cells(adata, tmp_path / "out.h5ad", source=h5ad)
    same(read_h5ad(tmp_path / "out.h5ad"))


def test_a_table_in_obsm_with_other_names_is_left_out(h5ad):
    with h5py.File(h5ad, "r+") as file:
        write_elem(file, "obsm/scores", pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["x", "y", "z"]))
    with pytest.warns(UserWarning, match="other names of rows"):
        same(open_cells(h5ad))


def test_names_as_nullable_strings_are_read_and_written(cells, tmp_path):
    for names in (cells.obs, cells.var):
        names.index = pd.Index(pd.array(list(names.index), dtype="string"))
    cells.obs["sample"] = pd.array(["a", None, "b"], dtype="string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        cells.write_h5ad(tmp_path / "cells.h5ad")
    adata = open_cells(tmp_path / "cells.h5ad")
    same(adata)
    adata.obs["okrcell_confidence"] = [0.1, 0.2, 0.3]
    for source in (tmp_path / "cells.h5ad", None):
        save_cells(adata, tmp_path / "out.h5ad", source=source)
        written = read_h5ad(tmp_path / "out.h5ad")
        same(written)
        assert written.obs["sample"].isna().tolist() == [False, True, False]
    assert not anndata.settings.allow_write_nullable_strings


def write_h5mu(path, **modalities):
    with h5py.File(path, "w", userblock_size=512) as file:
        file.attrs["encoding-type"] = "MuData"
        write_elem(file, "obs", pd.DataFrame(index=CELLS))
        write_elem(file, "var", pd.DataFrame(index=GENES))
        for name, adata in modalities.items():
            write_elem(file.require_group("mod"), name, adata)
    with path.open("r+b") as file:
        file.write(b"MuData (format-version=0.1.0;creator=muon)")


def test_the_genes_of_a_mudata_file_are_read_and_told(cells, tmp_path):
    write_h5mu(tmp_path / "cells.h5mu", rna=cells, prot=AnnData(np.ones((3, 2))))
    adata = open_cells(tmp_path / "cells.h5mu")
    same(adata)
    assert read_findings(adata) == ["the modality rna of the MuData file was read; prot was left out"]
    save_cells(adata, tmp_path / "out.h5ad", source=tmp_path / "cells.h5mu")
    same(read_h5ad(tmp_path / "out.h5ad"))


def test_modalities_without_clear_genes_are_refused(cells, tmp_path):
    write_h5mu(tmp_path / "cells.h5mu", first=cells, second=cells)
    refused(tmp_path / "cells.h5mu", "modalities first, second")


@pytest.fixture
def spatialdata(cells, tmp_path):
    zarr = pytest.importorskip("zarr")
    store = tmp_path / "cells.zarr"
    group = zarr.open_group(store, mode="w")
    group.attrs["spatialdata_attrs"] = {"version": "0.2"}
    group.create_group("images")
    group.create_group("tables")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the versions of zarr
        cells.write_zarr(store / "tables" / "table")
    return store


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_the_only_table_of_spatialdata_is_read_and_told(spatialdata):
    adata = open_cells(spatialdata)
    same(adata)
    assert read_findings(adata) == ["the table tables/table of the SpatialData store was read"]


def test_several_tables_of_spatialdata_are_refused_by_name(spatialdata):
    shutil.copytree(spatialdata / "tables" / "table", spatialdata / "tables" / "other")
    refused(spatialdata, "several tables.*tables/other")
    shutil.rmtree(spatialdata / "tables")
    refused(spatialdata, r"no cells \(obs and var\); it contains: images")


def test_compressed_files_are_to_be_unpacked(h5ad, tmp_path):
    content = h5ad.read_bytes()
    (tmp_path / "a.h5ad.gz").write_bytes(gzip.compress(content))
    refused(tmp_path / "a.h5ad.gz", r"compressed with gzip: unpack it first \(gunzip a.h5ad.gz\)")
    (tmp_path / "a.h5ad.zst").write_bytes(b"\x28\xb5\x2f\xfd" + content)
    refused(tmp_path / "a.h5ad.zst", "compressed with zstd")
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as archive:
        archive.writestr("zarr.json", "{}")
    refused(tmp_path / "a.zarr.zip", r"compressed with zip: unpack it first \(unzip")
    (tmp_path / "a.tar").write_bytes(b"GSM1_matrix.mtx.gz")
    refused(tmp_path / "a.tar", "archive of several files")
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    refused(tmp_path / "a.xlsx", "Excel workbook")


@pytest.mark.parametrize("place", ["X/data", "obs/_index", "X/indptr"])
def test_a_compression_without_its_plugin_is_named(h5ad, place, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "hdf5plugin", None)
    with h5py.File(h5ad, "r+") as file:
        group, name = file[place].parent, place.split("/")[1]
        del group[name]
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((4,))
        created.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((4,))
        dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.IEEE_F32LE, space, created)
        dataset.write_direct_chunk((0,), b"no zstd")
    refused(h5ad, f"{place} is compressed with zstd.*pip install hdf5plugin")


def write_genome(file, name, genes, cells, counts):
    group = file.create_group(name)
    matrix = sparse.csr_matrix(counts)
    group["barcodes"], group["shape"] = np.array(cells, dtype="S"), [len(genes), len(cells)]
    group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
    group["genes"] = group["gene_names"] = np.array(genes, dtype="S")


def test_genomes_of_the_same_cells_are_joined(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        write_genome(file, "ERCC92", ["ERCC-1", "ERCC-2"], CELLS, np.ones((3, 2)))
        write_genome(file, "GRCh38", GENES, CELLS, COUNTS)
    adata = open_cells(tmp_path / "cells.h5")
    same(adata[:, adata.var["genome"] == "GRCh38"])
    assert adata.shape == (3, 7)
    assert read_findings(adata) == ["the genes of ERCC92 and GRCh38 were joined: 7 genes"]


def test_of_genomes_with_other_cells_the_human_one_is_read_and_told(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        write_genome(file, "hg19", GENES, CELLS, COUNTS)
        write_genome(file, "a_mm10", ["ENSMUSG00000000001"], ["CCCC-1", "CCCG-1"], np.ones((2, 1)))
    adata = open_cells(tmp_path / "cells.h5")
    same(adata)
    assert "a_mm10 (2 cells) was left out" in read_findings(adata)[0]


def test_layers_of_a_loom_file_are_read_kept_and_told(tmp_path):
    with h5py.File(tmp_path / "cells.loom", "w") as file:
        file["matrix"] = (COUNTS - COUNTS.mean(axis=0)).T
        file["layers/counts"], file["layers/spliced"] = COUNTS.T, COUNTS.T * 2
        file["layers/odd"] = COUNTS
        file["row_attrs/Gene"], file["col_attrs/CellID"] = np.array(GENES, dtype="S"), np.array(CELLS, dtype="S")
    with pytest.warns(UserWarning, match=r"layers\['odd'\] has another shape"):
        adata = open_cells(tmp_path / "cells.loom")
    assert np.array_equal(adata.layers["spliced"].toarray(), COUNTS * 2)
    assert read_expression(adata).source == "layers['counts']"
    assert "layers of the loom file: counts, spliced" in read_findings(adata)
    save_cells(adata, tmp_path / "out.h5ad")
    assert list(read_h5ad(tmp_path / "out.h5ad").layers) == ["counts", "spliced"]


def test_findings_of_reading_reach_the_provenance_and_outlast_a_copy(h5ad, tmp_path):
    (tmp_path / "cells.csv").write_text("# made by R\n" + AnnData.to_df(read_h5ad(h5ad)).to_csv())
    adata = open_cells(tmp_path / "cells.csv")
    assert read_expression(adata).findings[0] == "1 lines of comments before the header were left out"
    save_cells(adata, tmp_path / "out.h5ad")
    again = open_cells(tmp_path / "out.h5ad")
    assert read_expression(again).findings[0] == "1 lines of comments before the header were left out"
