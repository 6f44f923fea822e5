"""Folders with a Matrix Market file: layouts, several samples, headers and turned matrices."""

import gzip

import numpy as np
import pytest
from scipy import sparse
from scipy.io import mmwrite

from okrcell.cells.findings import read_findings
from okrcell.cells.io import open_cells
from okrcell.errors import InputError

GENES = ["CD3D", "LYZ", "MS4A1", "NKG7", "GNLY"]
IDS = [f"ENSG{number:011d}" for number in range(5)]
CELLS = ["AAAC-1", "AAAG-1", "AAAT-1"]
COUNTS = np.array([[1, 0, 2, 0, 5], [0, 3, 0, 0, 0], [0, 0, 7, 1, 0]])


def write_sample(folder, prefix="", suffix="", features="features", counts=COUNTS):
    folder.mkdir(exist_ok=True)
    mmwrite(folder / f"{prefix}matrix{suffix}.mtx", sparse.coo_matrix(counts.T))
    lines = "".join(f"{gene_id}\t{gene}\tGene Expression\n" for gene_id, gene in zip(IDS, GENES, strict=True))
    (folder / f"{prefix}{features}{suffix}.tsv").write_text(lines)
    (folder / f"{prefix}barcodes{suffix}.tsv").write_text("".join(f"{cell}\n" for cell in CELLS))


def same(adata, counts=COUNTS):
    assert list(adata.obs_names) == CELLS
    assert list(adata.var_names) == GENES
    assert list(adata.var["gene_ids"]) == IDS
    assert np.array_equal(adata.X.toarray(), counts)


def refused(path, match):
    with pytest.raises(InputError, match=match) as caught:
        open_cells(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("prefix", "suffix"), [("GSM1_a_", ""), ("", "_a"), ("GSM1.", ".a")])
@pytest.mark.parametrize("features", ["features", "genes"])
def test_names_with_the_prefix_or_suffix_of_the_matrix_are_read(tmp_path, prefix, suffix, features):
    write_sample(tmp_path, prefix, suffix, features)
    adata = open_cells(tmp_path)
    same(adata)
    assert set(adata.var["feature_types"]) == {"Gene Expression"}
    assert not read_findings(adata)


def test_several_samples_are_refused_by_name_and_read_one_by_one(tmp_path):
    write_sample(tmp_path, "GSM01_donorA_")
    write_sample(tmp_path, "GSM02_donorB_", counts=COUNTS * 2)
    refused(tmp_path, "2 matrices.*GSM01_donorA_matrix.mtx, GSM02_donorB_matrix.mtx")
    same(open_cells(tmp_path / "GSM01_donorA_matrix.mtx"))
    same(open_cells(tmp_path / "GSM02_donorB_matrix.mtx"), COUNTS * 2)


def test_a_sample_that_lacks_names_is_not_passed_over(tmp_path):
    write_sample(tmp_path, "GSM01_")
    write_sample(tmp_path, "GSM02_")
    (tmp_path / "GSM02_barcodes.tsv").unlink()
    refused(tmp_path, "2 matrices")


def test_names_of_another_prefix_are_refused(tmp_path):
    write_sample(tmp_path, "A_")
    (tmp_path / "A_barcodes.tsv").rename(tmp_path / "B_barcodes.tsv")
    refused(tmp_path, "A_features.tsv and A_barcodes.tsv.*B_barcodes.tsv")


def test_features_without_a_prefix_are_shared(tmp_path):
    write_sample(tmp_path, "A_")
    (tmp_path / "A_features.tsv").rename(tmp_path / "features.tsv")
    same(open_cells(tmp_path))


def test_a_packed_and_an_unpacked_copy_are_one_sample(tmp_path):
    write_sample(tmp_path)
    for file in list(tmp_path.iterdir()):
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    same(open_cells(tmp_path))


def test_header_lines_are_left_out_and_told(tmp_path):
    write_sample(tmp_path)
    for name, header in (("features", "gene_id\tgene_name\tfeature_type\n"), ("barcodes", "barcode\n")):
        file = tmp_path / f"{name}.tsv"
        file.write_text(header + file.read_text())
    adata = open_cells(tmp_path)
    same(adata)
    assert list(adata.var.columns) == ["gene_ids", "feature_types"]
    assert "the first line of features.tsv was read as its header" in read_findings(adata)
    assert "the first line of barcodes.tsv was read as its header" in read_findings(adata)


def test_a_line_too_many_that_is_no_header_is_refused(tmp_path):
    write_sample(tmp_path)
    (tmp_path / "barcodes.tsv").write_text("AAAA-1\n" + (tmp_path / "barcodes.tsv").read_text())
    refused(tmp_path, "barcodes.tsv has one line more than matrix.mtx.*'AAAA-1'")


def test_a_turned_matrix_is_read_and_told(tmp_path):
    write_sample(tmp_path, counts=COUNTS.T)
    (tmp_path / "matrix.mtx").unlink()
    mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(COUNTS))
    adata = open_cells(tmp_path)
    same(adata)
    assert any("cells in rows" in finding for finding in read_findings(adata))


@pytest.mark.parametrize("matrix", ["count_matrix.mtx", "DGE.mtx"])
def test_a_folder_of_parse_opens(tmp_path, matrix):
    mmwrite(tmp_path / matrix, sparse.coo_matrix(COUNTS))
    lines = "".join(f"{gene_id},{gene},hg38\n" for gene_id, gene in zip(IDS, GENES, strict=True))
    (tmp_path / "all_genes.csv").write_text(f"gene_id,gene_name,genome\n{lines}")
    lines = "".join(f"{cell},sample{number},human\n" for number, cell in enumerate(CELLS))
    (tmp_path / "cell_metadata.csv").write_text(f"bc_wells,sample,species\n{lines}")
    adata = open_cells(tmp_path)
    same(adata)
    assert list(adata.obs["sample"]) == ["sample0", "sample1", "sample2"]
    assert set(adata.var["genome"]) == {"hg38"}


def test_a_folder_of_kallisto_opens(tmp_path):
    mmwrite(tmp_path / "cells_x_genes.mtx", sparse.coo_matrix(COUNTS))
    (tmp_path / "cells_x_genes.genes.txt").write_text("\n".join(GENES) + "\n")
    (tmp_path / "cells_x_genes.barcodes.txt").write_text("\n".join(CELLS) + "\n")
    adata = open_cells(tmp_path)
    assert np.array_equal(adata.X.toarray(), COUNTS)
    assert list(adata.var_names) == GENES


def test_a_square_matrix_is_read_as_its_layout_says(tmp_path):
    counts = np.arange(9).reshape(3, 3)
    (tmp_path / "kallisto").mkdir()
    mmwrite(tmp_path / "kallisto" / "cells_x_genes.mtx", sparse.coo_matrix(counts))
    (tmp_path / "kallisto" / "cells_x_genes.genes.txt").write_text("\n".join(GENES[:3]))
    (tmp_path / "kallisto" / "cells_x_genes.barcodes.txt").write_text("\n".join(CELLS))
    assert np.array_equal(open_cells(tmp_path / "kallisto").X.toarray(), counts)
    (tmp_path / "tenx").mkdir()
    mmwrite(tmp_path / "tenx" / "matrix.mtx", sparse.coo_matrix(counts.T))
    (tmp_path / "tenx" / "features.tsv").write_text("\n".join(GENES[:3]))
    (tmp_path / "tenx" / "barcodes.tsv").write_text("\n".join(CELLS))
    assert np.array_equal(open_cells(tmp_path / "tenx").X.toarray(), counts)


def test_a_folder_around_folders_names_them(tmp_path):
    write_sample(tmp_path / "filtered_feature_bc_matrix")
    refused(tmp_path, "Pass one of the folders within it: filtered_feature_bc_matrix")
