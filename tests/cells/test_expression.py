"""Expression is correct for damaged variants of a real file."""

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData, read_h5ad
from scipy import sparse

from okrcell.cells.counts import csc_to_csr_on_disk
from okrcell.cells.expression import read_expression
from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError


@pytest.fixture(scope="module")
def blood() -> AnnData:
    """200 cells of `pbmc68k_reduced` with log values in X."""
    whole = sc.datasets.pbmc68k_reduced()[:200]
    return AnnData(sparse.csr_matrix(whole.raw.X), obs=whole.obs[["louvain"]], var=whole.raw.var[[]])


def matrix(adata, size=64, **options):
    return sparse.vstack(list(read_expression(adata, **options).blocks(size)), format="csr")


def same(one, other):
    return one.shape == other.shape and np.allclose(one.toarray(), other.toarray(), rtol=1e-6)


def test_scaled_x_gives_way_to_raw():
    expression = read_expression(sc.datasets.pbmc68k_reduced())
    assert (expression.source, expression.kind, expression.n_cells) == ("raw", "log1p", 700)
    assert expression.resolution.coverage > 0.98
    assert expression.findings[0] == "log values were found in raw; X holds z-scores"


def test_logarithms_are_undone(blood):
    column = GeneTable.bundled().resolve(["CD3D"]).row[0]
    expected = np.expm1(blood[:, "CD3D"].X.toarray().ravel())
    assert np.allclose(matrix(blood)[:, column].toarray().ravel(), expected, rtol=1e-5)


def test_blocks_are_sorted_positive_and_bounded(blood):
    sizes = []
    for block in read_expression(blood).blocks(64):
        sizes.append(block.shape[0])
        assert block.dtype == np.float32
        assert block.has_sorted_indices
        assert (block.data > 0).all()
        assert block.shape[1] == len(GeneTable.bundled())
    assert sizes == [64, 64, 64, 8]


@pytest.mark.parametrize("form", ["csr", "csc", "dense", "csr_array", "view"])
@pytest.mark.parametrize("where", ["memory", "backed"])
def test_every_layout_gives_the_same_rows(blood, tmp_path, form, where):
    forms = {
        "csr": blood.X,
        "csc": blood.X.tocsc(),
        "dense": blood.X.toarray(),
        "csr_array": sparse.csr_array(blood.X),
        "view": blood.X,
    }
    adata = AnnData(forms[form], obs=blood.obs, var=blood.var)
    if form == "view":
        adata = adata[:]
    if where == "backed":
        adata.write_h5ad(tmp_path / "cells.h5ad")
        adata = read_h5ad(tmp_path / "cells.h5ad", backed="r")
    assert same(matrix(adata), matrix(blood))


def test_columns_are_turned_into_rows_on_disk(blood):
    csc = blood.X.tocsc()
    group = {"indptr": csc.indptr, "indices": csc.indices, "data": csc.data}
    turned = csc_to_csr_on_disk(group, csc.shape, chunk=1000)
    assert same(turned, blood.X)
    with pytest.raises(ValueError, match=r"."):
        csc_to_csr_on_disk(group | {"indices": np.where(csc.indices == 3, 5000, csc.indices)}, csc.shape, chunk=1000)


def test_duplicated_genes_are_summed_and_said(blood):
    adata = AnnData(sparse.hstack([blood.X, blood.X[:, :7]], format="csr").expm1())
    adata.var_names = [*blood.var_names, *blood.var_names[:7]]
    adata.layers["linear"] = adata.X
    expression = read_expression(adata, layer="linear")
    extra = read_expression(blood).resolution.duplicated
    assert expression.resolution.duplicated == extra + 7
    assert f"{extra + 7} duplicated genes were summed" in expression.findings
    first = GeneTable.bundled().resolve(blood.var_names[:1].tolist()).row[0]
    once, twice = matrix(blood)[:, first].toarray(), matrix(adata, layer="linear")[:, first].toarray()
    assert np.allclose(twice, 2 * once, rtol=1e-5)


def test_nan_is_unknown_for_its_gene_alone_and_counted(blood):
    values = blood.X.toarray()
    expected = values.copy()
    values[3, 5], values[7, :50], values[11], values[20] = np.nan, np.nan, np.nan, 0
    expected[3, 5], expected[7, :50], expected[11], expected[20] = 0, 0, 0, 0
    found = matrix(AnnData(values, var=blood.var))
    assert same(found, matrix(AnnData(expected, var=blood.var)))
    assert np.flatnonzero(np.diff(found.indptr) == 0).tolist() == [11, 20]
    findings = read_expression(AnnData(values, var=blood.var)).findings
    assert "816 values that are NaN (not measured), in 765 of 765 genes and 3 of 200 cells" in " ".join(findings)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_infinite_values_are_refused_wherever_they_are(blood, form):
    values = np.tile(blood.X.toarray(), (4, 1))
    values[701, 3] = np.inf
    with pytest.raises(InputError, match="X must be finite, but 1 values are infinite"):
        read_expression(AnnData(form(values), var=blood.var))


def test_negative_values_that_the_sample_did_not_see_are_refused(blood):
    tall = sparse.vstack([blood.X] * 5, format="lil")
    tall[350, 0] = -1.0
    adata = AnnData(tall.tocsr(), var=blood.var)
    adata.obs_names = [str(place) for place in range(1000)]
    with pytest.raises(InputError, match=r"X must not be negative, but it holds values such as \[-1.000\]"):
        matrix(adata)


def test_one_cell_is_enough(blood):
    assert same(matrix(blood[:1].copy()), matrix(blood)[:1])


def test_a_panel_of_two_hundred_genes_works(blood):
    assert read_expression(blood[:, :200].copy()).resolution.coverage > 0.95


def test_ids_with_versions_in_a_column_are_preferred_to_names(blood):
    table = GeneTable.bundled()
    row = table.resolve(blood.var_names.tolist()).row
    known = blood[:, row >= 0].copy()
    ids = [f"{table.ensembl_id[place]}.7" for place in row[row >= 0]]
    named = AnnData(known.X, var=pd.DataFrame({"gene_ids": ids}, index=[f"feature{n}" for n in range(len(ids))]))
    expression = read_expression(named)
    assert expression.resolution.match_counts == {"ensembl_version": len(ids)}
    assert same(matrix(named), matrix(known))


def test_antibodies_are_set_aside(blood):
    kinds = ["Gene Expression"] * (blood.n_vars - 3) + ["Antibody Capture"] * 3
    adata = AnnData(blood.X, var=blood.var.assign(feature_types=kinds))
    expression = read_expression(adata)
    assert (expression.resolution.row[-3:] == -1).all()
    assert any("3 features that are not genes" in finding for finding in expression.findings)


def test_mouse_is_mapped_and_said_first_or_refused(blood):
    adata = blood.copy()
    adata.var_names = [name.capitalize() for name in blood.var_names]
    expression = read_expression(adata)
    assert expression.resolution.coverage > 0.7
    assert expression.findings[0].startswith("MOUSE: the genes are of mouse")
    assert "one-to-one human orthologs" in expression.findings[0]
    with pytest.raises(InputError, match=r"genes are of mouse .* only human genes are accepted"):
        read_expression(adata, orthologs=False)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("ENST00000{:06d}", "transcript ids"),
        ("{}", "Entrez ids"),
        ("{}_at", "array probes"),
        ("ENSDARG{:011d}", "another species"),
        ("chr1:{}-9999", "peaks"),
        ("NM_{:06d}.1", "RefSeq"),
        ("gene number {}", "var_names"),
    ],
)
def test_unknown_names_are_refused_with_their_likely_cause(blood, name, cause):
    adata = blood.copy()
    adata.var_names = [name.format(place) for place in range(10, 10 + blood.n_vars)]
    with pytest.raises(InputError, match=cause):
        read_expression(adata)


def test_a_turned_table_is_noticed(blood):
    with pytest.raises(InputError, match="transpose"):
        read_expression(blood.T.copy())


def test_every_real_data_set_is_read(shared_data):
    files = sorted((shared_data / "evaluate").glob("*.h5ad"))
    assert files
    for file in files:
        adata = read_h5ad(file, backed="r")
        expression = read_expression(adata)
        assert expression.resolution.coverage > 0.9, file.name
        assert sum(block.shape[0] for block in expression.blocks()) == adata.n_obs
        adata.file.close()
