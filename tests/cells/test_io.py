"""Every supported format can be opened; errors are one line."""

import gzip
import pickle
import shutil
import sys

import anndata
import h5py
import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from scipy.io import mmwrite

from okrcell.cells.expression import read_expression
from okrcell.cells.io import open_cells
from okrcell.errors import InputError, MissingExtraError


@pytest.fixture(scope="module")
def blood() -> AnnData:
    """Sixty real cells with integer counts."""
    whole = sc.datasets.pbmc68k_reduced()[:60]
    counts = sparse.csr_matrix(np.round(np.expm1(whole.raw.X.toarray())).astype(np.float32))
    adata = AnnData(counts, obs=whole.obs[["louvain"]].copy(), var=whole.raw.var[[]])
    adata.obsm["X_pca"] = np.asarray(whole.obsm["X_pca"])
    adata.layers["again"] = counts
    adata.raw = adata.copy()
    return adata


@pytest.fixture
def h5ad(blood, tmp_path):
    path = tmp_path / "cells.h5ad"
    blood.write_h5ad(path)
    return path


def matrix(adata):
    return sparse.vstack(list(read_expression(adata).blocks()), format="csr").toarray()


def one_line(path, match):
    with pytest.raises(InputError, match=match) as caught:
        matrix(open_cells(path))
    assert "\n" not in str(caught.value)


def test_h5ad_opens_without_reading_its_matrices(blood, h5ad):
    adata = open_cells(h5ad)
    assert "Dataset" in type(adata.X).__name__
    assert "Dataset" in type(adata.layers["again"]).__name__
    assert "Dataset" in type(adata.raw.X).__name__
    assert list(adata.obs_names) == list(blood.obs_names)
    assert np.array_equal(matrix(adata), matrix(blood))


@pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:zarr v3 autosharding", "ignore:Consolidated metadata")
@pytest.mark.parametrize("version", [2, 3])
def test_zarr_opens_as_h5ad_does(blood, tmp_path, version):
    pytest.importorskip("zarr")
    with anndata.settings.override(zarr_write_format=version):
        blood.write_zarr(tmp_path / "cells.zarr")
    assert np.array_equal(matrix(open_cells(tmp_path / "cells.zarr")), matrix(blood))


def test_zarr_without_the_package_names_the_extra(blood, tmp_path, monkeypatch):
    (tmp_path / "cells.zarr").mkdir()
    (tmp_path / "cells.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'okrcell\[zarr\]'"):
        open_cells(tmp_path / "cells.zarr")


def test_pickled_objects_in_zarr_are_never_opened(tmp_path):
    array = tmp_path / "cells.zarr" / "obs" / "evil"
    array.mkdir(parents=True)
    (tmp_path / "cells.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    (array / ".zarray").write_text('{"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}]}')
    one_line(tmp_path / "cells.zarr", "pickled objects")


@pytest.mark.parametrize("version", [2, 3])
def test_10x_h5_opens(blood, tmp_path, version):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        group = file.create_group("matrix" if version == 3 else "GRCh38")
        group["barcodes"] = np.array(blood.obs_names, dtype="S")
        group["data"], group["indices"], group["indptr"] = blood.X.data, blood.X.indices, blood.X.indptr
        group["shape"] = [blood.n_vars, blood.n_obs]
        names, kinds = np.array(blood.var_names, dtype="S"), np.array(["Gene Expression"] * blood.n_vars, dtype="S")
        if version == 3:
            group["features/id"], group["features/name"], group["features/feature_type"] = names, names, kinds
        else:
            group["genes"], group["gene_names"] = names, names
    adata = open_cells(tmp_path / "cells.h5")
    assert list(adata.obs_names) == list(blood.obs_names)
    assert np.array_equal(matrix(adata), matrix(blood))


@pytest.mark.parametrize("packed", [False, True])
def test_10x_folder_opens(blood, tmp_path, packed):
    mmwrite(tmp_path / "matrix.mtx", blood.X.T)
    features = "features.tsv" if packed else "genes.tsv"
    (tmp_path / features).write_text("".join(f"{name}\t{name}\tGene Expression\n" for name in blood.var_names))
    (tmp_path / "barcodes.tsv").write_text("".join(f"{name}\n" for name in blood.obs_names))
    if packed:
        for file in list(tmp_path.iterdir()):
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    assert np.array_equal(matrix(open_cells(tmp_path)), matrix(blood))


def test_10x_folder_with_a_missing_or_short_part_is_told(blood, tmp_path):
    mmwrite(tmp_path / "matrix.mtx", blood.X.T)
    one_line(tmp_path / "matrix.mtx", "pass the folder")
    one_line(tmp_path, "there is none")
    (tmp_path / "genes.tsv").write_text("CD3D\tCD3D\n")
    (tmp_path / "barcodes.tsv").write_text("AAA\n")
    one_line(tmp_path, "1 barcodes and 1 features")


def test_loom_opens(blood, tmp_path):
    with h5py.File(tmp_path / "cells.loom", "w") as file:
        file["matrix"] = blood.X.toarray().T
        file["row_attrs/Gene"] = np.array(blood.var_names, dtype="S")
        file["col_attrs/CellID"] = np.array(blood.obs_names, dtype="S")
        file["col_attrs/louvain"] = np.array(blood.obs["louvain"], dtype="S")
        file.create_group("layers")
    adata = open_cells(tmp_path / "cells.loom")
    assert list(adata.obs["louvain"]) == list(blood.obs["louvain"])
    assert np.array_equal(matrix(adata), matrix(blood))


@pytest.mark.parametrize("name", ["cells.csv", "cells.tsv", "cells.csv.gz"])
@pytest.mark.parametrize("turned", [False, True])
def test_text_tables_open_whichever_way_they_lie(blood, tmp_path, name, turned):
    frame = blood.to_df().T if turned else blood.to_df()
    frame.to_csv(tmp_path / name, sep="\t" if ".tsv" in name else ",")
    adata = open_cells(tmp_path / name)
    assert list(adata.obs_names) == list(blood.obs_names)
    assert np.array_equal(matrix(adata), matrix(blood))


def test_a_table_as_r_writes_it_opens(blood, tmp_path):
    frame = blood.to_df()
    lines = ["\t".join(frame.columns), *("\t".join(map(str, row)) for row in frame.itertuples())]
    (tmp_path / "cells.tsv").write_text("\n".join(lines) + "\n")
    assert np.array_equal(matrix(open_cells(tmp_path / "cells.tsv")), matrix(blood))


def test_words_in_a_table_are_labels(blood, tmp_path):
    frame = blood.to_df()
    frame.insert(0, "cell_type", list(blood.obs["louvain"].astype(str) + " cell"))
    frame.to_csv(tmp_path / "cells.csv")
    adata = open_cells(tmp_path / "cells.csv")
    assert adata.obs["cell_type"].iloc[0].endswith(" cell")
    assert np.array_equal(matrix(adata), matrix(blood))


def test_repeated_genes_in_a_table_are_summed(tmp_path):
    (tmp_path / "cells.csv").write_text("cell,CD3D,CD3D,LYZ\na,1,2,0\nb,0,1,5\n")
    expression = read_expression(open_cells(tmp_path / "cells.csv"))
    assert "1 duplicated genes were summed" in expression.findings
    assert next(expression.blocks()).sum(axis=1).ravel().tolist() == [[3.0, 6.0]]


@pytest.mark.parametrize("share", [0.0005, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_gives_one_line(h5ad, share):
    h5ad.write_bytes(h5ad.read_bytes()[: int(h5ad.stat().st_size * share)])
    one_line(h5ad, "truncated|damaged")


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_gives_one_line_or_whole_rows(h5ad, seed):
    rng, content = np.random.default_rng(seed), bytearray(h5ad.read_bytes())
    for place in rng.integers(8, len(content), 400):
        content[place] = rng.integers(256)
    h5ad.write_bytes(content)
    try:
        rows = matrix(open_cells(h5ad))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert len(rows) == 60


def test_a_matrix_that_points_outside_itself_is_refused(h5ad):
    with h5py.File(h5ad, "r+") as file:
        for part in ("X", "raw/X", "layers/again"):
            file[part]["indices"][5] = 2**30
    one_line(h5ad, "damaged")


def test_a_table_of_other_length_than_its_matrix_is_refused(h5ad, blood):
    with h5py.File(h5ad, "r+") as file:
        file["X"].attrs["shape"] = [61, blood.n_vars]
    one_line(h5ad, "cannot be read")


class _Code:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from a file was run')",))


@pytest.mark.parametrize("name", ["cells.h5ad", "cells.pkl", "cells.zarr", "cells.csv"])
def test_code_in_a_file_is_never_run(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(_Code()))
    one_line(tmp_path / name, ".")


def test_huge_notes_and_strange_ones_do_not_stand_in_the_way(h5ad, blood):
    with h5py.File(h5ad, "r+") as file:
        file["uns"].create_dataset("huge", data=np.zeros(5_000_000), compression="gzip")
        strange = file["uns"].create_group("strange")
        strange.attrs["encoding-type"], strange.attrs["encoding-version"] = "from the future", "9.9"
    with pytest.warns(UserWarning, match=r"uns\['strange'\] cannot be read"):
        adata = open_cells(h5ad)
    assert np.array_equal(matrix(adata), matrix(blood))


def test_repeated_names_open_silently(blood, tmp_path):
    adata = AnnData(blood.X, var=blood.var)
    adata.obs_names = ["same"] * 60
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert np.array_equal(matrix(open_cells(tmp_path / "cells.h5ad")), matrix(blood))


def test_what_is_not_there_or_not_known_is_told(tmp_path):
    one_line(tmp_path / "none.h5ad", "There is no file")
    (tmp_path / "empty.h5ad").touch()
    one_line(tmp_path / "empty.h5ad", "is empty")
    (tmp_path / "cells.rds").write_bytes(b"RDX3")
    one_line(tmp_path / "cells.rds", "R object")
    (tmp_path / "cells.docx").write_bytes(b"PK\x03\x04 and so on")
    one_line(tmp_path / "cells.docx", "unknown format")
    one_line(tmp_path, "neither a zarr store nor matrix.mtx")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = [1.0]
    one_line(tmp_path / "other.h5", "it contains: weights")
    (tmp_path / "words.csv").write_text("once upon a time\nthere was a cell\n")
    one_line(tmp_path / "words.csv", "table with names")


def test_a_torn_gz_gives_one_line(blood, tmp_path):
    blood.to_df().to_csv(tmp_path / "cells.csv.gz")
    content = (tmp_path / "cells.csv.gz").read_bytes()
    (tmp_path / "cells.csv.gz").write_bytes(content[: len(content) // 2])
    one_line(tmp_path / "cells.csv.gz", "truncated")


def test_a_file_of_the_old_kind_opens(blood, tmp_path, h5ad):
    shutil.copy(h5ad, tmp_path / "old.h5ad")
    index = np.array([(name.encode(),) for name in blood.obs_names], dtype=[("index", "S40")])
    genes = np.array([(name.encode(),) for name in blood.var_names], dtype=[("index", "S40")])
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["X"], file["obs"], file["var"] = blood.X.toarray(), index, genes
    assert np.array_equal(matrix(open_cells(tmp_path / "old.h5ad")), matrix(blood))
