"""Genes are told from other features, found under their names, and of a known species."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError

SYMBOLS = [
    *("CD3D", "CD3E", "PTPRC", "LYZ", "NKG7", "MS4A1", "GNLY", "CD8A", "CD8B", "IL7R", "CD4", "FOXP3", "CST3", "FCN1"),
    *(
        "GAPDH",
        "ACTB",
        "B2M",
        "CD19",
        "CD79A",
        "CD14",
        "S100A8",
        "S100A9",
        "PPBP",
        "PF4",
        "KLRD1",
        "GZMB",
        "IL2RA",
        "CCR7",
    ),
]
MOUSE = [symbol.capitalize() for symbol in SYMBOLS]
PROTEINS = ("CD3", "CD4", "CD8A", "CD14", "CD16", "CD19", "CD56", "HLA-DR", "CD11c", "CD45RA", "CD45RO", "IgG1")


def cells(names, columns=None, counts=None) -> AnnData:
    counts = np.random.default_rng(0).poisson(3.0, (30, len(names))) if counts is None else counts
    return AnnData(sparse.csr_matrix(counts.astype(np.float32)), var=pd.DataFrame(columns or {}, index=list(names)))


def numbered(columns) -> AnnData:
    return cells([str(number) for number in range(len(SYMBOLS))], columns)


def resolved(adata, **options):
    return read_expression(adata, **options).resolution.row


EXPECTED = GeneTable.bundled().resolve(SYMBOLS).row


@pytest.mark.parametrize(
    "column", ["gene_short_name", "Symbol", "features", "hgnc_symbol", "real_gene_name", "SYMBOL", "external_gene_name"]
)
def test_names_are_found_in_any_column_and_it_is_named(column):
    adata = numbered({"biotype": ["protein_coding"] * len(SYMBOLS), column: SYMBOLS})
    assert np.array_equal(resolved(adata), EXPECTED)
    assert f"gene names were read from var['{column}']" in read_expression(adata).findings


@pytest.mark.parametrize(
    "names", [[str(number) for number in range(3630, 3670)], ["CD8B", "MS4A1", *(f"row{i}" for i in range(60))]]
)
def test_a_column_of_names_comes_before_an_index_that_names_few_genes(names):
    adata = cells(names[: len(SYMBOLS)], {"gene_short_name": SYMBOLS})
    assert np.array_equal(resolved(adata), EXPECTED)


@pytest.mark.parametrize(
    "form",
    ["hg38.{}", "human_{}", "GRCh38_{}", "GRCh38______{}", "hg19_{}", '"{}"', "'{}'", "b'{}'", "homo_sapiens-{}"],
)
def test_prefixes_quotes_and_byte_marks_are_no_part_of_a_name(form):
    assert np.array_equal(resolved(cells([form.format(symbol) for symbol in SYMBOLS])), EXPECTED)


@pytest.mark.parametrize("has_index", [True, False])
def test_symbols_of_x_name_the_genes_of_raw(has_index):
    adata = numbered({}) if has_index else cells(SYMBOLS)
    adata.var["gene_symbol"] = SYMBOLS
    raw = numbered({})
    adata.raw, adata.X = raw, adata.X.toarray() - 3.0
    expression = read_expression(adata)
    assert (expression.source, "raw has too few known gene names, so those of X were used") == (
        "raw",
        expression.findings[-1],
    )
    assert np.array_equal(expression.resolution.row, EXPECTED)


def test_raw_without_known_names_gives_way_to_x():
    adata = cells(SYMBOLS)
    adata.raw = cells([f"row {number}" for number in range(40)])
    assert read_expression(adata).source == "X"


@pytest.mark.parametrize("column", ["feature_types", "feature_type", "Type", "modality", "feature_class"])
@pytest.mark.parametrize(
    "kind", ["Antibody Capture", "Peaks", "CRISPR Guide Capture", "protein", "ADT", "Multiplexing Capture"]
)
def test_other_features_are_set_aside_under_any_usual_column(column, kind):
    expression = read_expression(cells([*SYMBOLS, "CD2", "CD7"], {column: ["rna"] * len(SYMBOLS) + [kind] * 2}))
    assert np.array_equal(expression.resolution.row, [*EXPECTED, -1, -1])
    assert f"2 features that are not genes ({kind}) were ignored" in expression.findings


def test_biotypes_are_no_other_features():
    biotypes = ["protein_coding", "lncRNA"] * (len(SYMBOLS) // 2)
    assert np.array_equal(resolved(cells(SYMBOLS, {"Type": biotypes, "feature_type": biotypes})), EXPECTED)


@pytest.mark.parametrize("suffix", ["CD2_TotalSeqB", "ADT_CD2", "CD2-ADT", "Hashtag3", "CD2_prot", "chr1:100-900"])
def test_other_features_are_known_by_their_names(suffix):
    assert np.array_equal(resolved(cells([*SYMBOLS, suffix])), [*EXPECTED, -1])


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (PROTEINS, {"feature_types": ["Antibody Capture"] * len(PROTEINS)}),
        (PROTEINS, {"modality": ["prot"] * len(PROTEINS)}),
        (PROTEINS, {}),
        ([f"{name}_TotalSeqC" for name in PROTEINS], {}),
    ],
)
def test_antibodies_alone_are_refused(names, columns):
    with pytest.raises(InputError, match=r"No feature is a gene, but there are: .* \(12\); seen: CD3"):
        read_expression(cells(names, columns))


def test_a_small_panel_of_genes_is_no_list_of_antibodies():
    assert read_expression(cells(["CD3D", "CD4", "CD8A", "CD19", "CD14", "CD79A", "MS4A1"])).resolution.coverage == 1


@pytest.mark.parametrize(
    ("names", "species"),
    [
        ([f"ENSRNOG{number:011d}" for number in range(20)], "rat"),
        ([f"ENSDARG{number:011d}" for number in range(20)], "zebrafish"),
        ([*SYMBOLS, *(f"ENSMMUG{number:011d}" for number in range(5))], "macaque"),
        ([*SYMBOLS, *(f"ENSMFAG{number:011d}.2" for number in range(5))], "macaque"),
        ([*MOUSE, "RT1-A1", "RT1-Da", "RT1-Ba", "AABR07000001.1"], "rat"),
        ([*map(str.lower, SYMBOLS), "si:dkey-1a2", "zgc:12345", "zgc:777", "wu:fb55"], "zebrafish"),
        ([*SYMBOLS, "MAMU-DRA", "MAMU-A1", "MAMU-E"], "macaque"),
        ([f"rn6_{symbol}" for symbol in MOUSE], "rat"),
    ],
)
def test_other_species_are_named(names, species):
    with pytest.raises(InputError, match=f"The genes are of {species} .* another species"):
        read_expression(cells(names))


@pytest.mark.parametrize("form", ["{}", "mm10_{}", "GRCm39_{}", "mouse-{}"])
def test_mouse_is_mapped_with_any_prefix(form):
    expression = read_expression(cells([form.format(symbol) for symbol in MOUSE]))
    assert expression.resolution.species == "mouse"
    mapped = expression.resolution.row >= 0
    assert mapped.sum() > 15
    assert np.array_equal(expression.resolution.row[mapped], EXPECTED[mapped])


def two_species():
    """Counts of 20 human and 10 mouse cells, with a little of the other species in each."""
    rng = np.random.default_rng(1)
    counts = np.hstack([rng.poisson(3.0, (30, len(SYMBOLS))), rng.poisson(3.0, (30, len(SYMBOLS)))])
    counts[:20, len(SYMBOLS) :] //= 4
    counts[20:, : len(SYMBOLS)] //= 4
    return counts


@pytest.mark.parametrize(
    ("human", "mouse"), [("GRCh38_{}", "mm10___{}"), ("hg19_{}", "mm10_{}"), ("{}", "mm10_{}"), ("{}", "{}")]
)
@pytest.mark.parametrize("is_log", [False, True])
def test_cells_of_another_species_are_empty_and_counted(human, mouse, is_log):
    names = [*map(human.format, SYMBOLS), *map(mouse.format, MOUSE)]
    counts = two_species().astype(np.float64)
    adata = cells(names, counts=np.log1p(counts * 7 / counts.sum(axis=1, keepdims=True)) if is_log else counts)
    expression = read_expression(adata)
    for size in (2048, 7):
        rows = sparse.vstack(list(expression.blocks(size)))
        assert np.flatnonzero(np.diff(rows.indptr) == 0).tolist() == list(range(20, 30))
    assert np.array_equal(expression.resolution.row[: len(SYMBOLS)], EXPECTED)
    assert (expression.resolution.row[len(SYMBOLS) :] == -1).all()
    assert "of mouse: they were left out, and 10 of 30 cells" in expression.findings[0]


def test_two_species_are_known_by_ids_or_by_a_column_of_genomes():
    table = GeneTable.bundled()
    ids = [
        *(str(table.ensembl_id[row]) for row in EXPECTED),
        *(f"ENSMUSG{number:011d}" for number in range(len(SYMBOLS))),
    ]
    for adata in (
        cells(ids, counts=two_species()),
        cells([*SYMBOLS, *MOUSE], {"genome": ["GRCh38"] * len(SYMBOLS) + ["mm10"] * len(SYMBOLS)}, two_species()),
    ):
        assert "10 of 30 cells" in read_expression(adata).findings[0]
