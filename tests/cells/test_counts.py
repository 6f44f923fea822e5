"""Counts are found in X, raw or layers."""

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from okrcell.cells.counts import find_counts
from okrcell.errors import InputError

GENES = [
    "CD3D",
    "CD3E",
    "PTPRC",
    "LYZ",
    "NKG7",
    "MS4A1",
    "GNLY",
    "CD8A",
    "CD8B",
    "IL7R",
    "CD4",
    "FOXP3",
    "CST3",
    "FCN1",
]


@pytest.fixture
def counted() -> AnnData:
    counts = np.random.default_rng(0).poisson(3.0, (40, len(GENES)))
    adata = AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    adata.var_names = GENES
    return adata


def scaled(adata):
    values = adata.X.toarray()
    return (values - values.mean(0)) / values.std(0)


def logged(adata, base=None):
    other = adata.copy()
    sc.pp.normalize_total(other, target_sum=1e4)
    sc.pp.log1p(other, base=base)
    return other


def test_counts_in_x_are_used(counted):
    found = find_counts(counted)
    assert (found.source, found.inspection.kind, found.findings) == ("X", "counts", ())


def test_counts_hidden_in_a_layer_are_found_and_said(counted):
    adata = logged(counted)
    adata.layers["counts"] = counted.X
    found = find_counts(adata)
    assert (found.source, found.inspection.kind) == ("layers['counts']", "counts")
    assert found.findings == ("counts were found in layers['counts']; X holds log values",)


def test_counts_hidden_in_raw_are_found_and_said(counted):
    adata = counted.copy()
    adata.raw = counted
    adata.X = scaled(counted)
    found = find_counts(adata)
    assert (found.source, found.findings) == ("raw", ("counts were found in raw; X holds z-scores",))


def test_raw_is_preferred_when_it_has_more_genes(counted):
    adata = counted[:, :5].copy()
    adata.raw = counted
    assert find_counts(adata).source == "raw"


def test_a_part_of_the_molecules_is_not_taken_for_the_counts(counted):
    adata = logged(counted)
    adata.layers["unspliced"], adata.layers["umis"] = counted.X, counted.X
    assert find_counts(adata).source == "layers['umis']"


@pytest.mark.parametrize("base", [None, 2, 10])
def test_logarithms_of_scaled_counts_are_known_to_the_last_digit(counted, base):
    found = find_counts(logged(counted, base))
    assert (found.inspection.kind, found.inspection.exact) == ("log1p", True)
    assert found.inspection.base == pytest.approx(base or np.e)
    assert "exactly log1p of scaled counts" in found.findings[0]


def test_the_base_told_by_scanpy_is_believed(counted):
    adata = AnnData(np.random.default_rng(0).uniform(0.1, 5, (20, 14)).astype(np.float32), var=counted.var)
    adata.uns["log1p"] = {"base": 2.0}
    assert find_counts(adata).inspection.base == 2.0


def test_normalised_values_are_told_from_logarithms(counted):
    adata = counted.copy()
    sc.pp.normalize_total(adata, target_sum=7.7)  # small values, like logarithms
    assert find_counts(adata).inspection.kind == "linear"


def test_z_scores_alone_are_refused(counted):
    adata = AnnData(scaled(counted), var=counted.var)
    with pytest.raises(InputError, match=r"X must hold counts or log values, but it has negative values such as \[-"):
        find_counts(adata)


def test_z_scores_asked_for_are_refused_with_what_to_use_instead(counted):
    adata = counted.copy()
    adata.raw = logged(counted)
    adata.layers["counts"], adata.X = counted.X, scaled(counted)
    with pytest.raises(InputError, match=r"Use raw or layers\['counts'\] instead"):
        find_counts(adata, "X")


def test_a_layer_can_be_chosen_and_a_missing_one_is_named(counted):
    adata = counted.copy()
    adata.layers["spliced"] = counted.X
    assert find_counts(adata, "spliced").source == "layers['spliced']"
    with pytest.raises(
        InputError, match=r"There is no layers\['umi'\] in this file. There are: X, layers\['spliced'\]"
    ):
        find_counts(adata, "umi")


def test_a_layer_called_raw_is_taken_if_there_is_no_raw(counted):
    adata = counted.copy()
    adata.raw = None
    adata.layers["raw"] = adata.X.copy()
    assert find_counts(adata, "raw").source == "layers['raw']"
    adata.raw = counted.copy()
    assert find_counts(adata, "raw").source == "raw"


def test_what_is_no_number_is_refused(counted):
    adata = AnnData(np.full((3, 14), "many", dtype=object), var=counted.var)
    with pytest.raises(InputError, match="X must hold numbers, but it holds values of type object"):
        find_counts(adata)


def test_a_file_without_cells_or_expression_is_refused(counted):
    with pytest.raises(InputError, match="holds no cells"):
        find_counts(counted[:0].copy())
    with pytest.raises(InputError, match="holds no expression"):
        find_counts(AnnData(obs=counted.obs))


def test_the_kind_holds_for_every_dtype(counted):
    for dtype in (np.int8, np.int64, np.uint16, np.float16, np.float64):
        adata = AnnData(counted.X.toarray().astype(dtype), var=counted.var)
        assert find_counts(adata).inspection.kind == "counts"


def test_all_zero_is_no_mistake(counted):
    found = find_counts(AnnData(np.zeros((4, 14), dtype=np.float32), var=counted.var))
    assert found.inspection.kind == "empty"
