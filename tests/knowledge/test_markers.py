"""Marker tables: sorting by support, exclusion of leaking resources."""

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.errors import InputError
from okrcell.knowledge.markers import (
    LEAKING_PAPERS,
    LEAKING_RESOURCES,
    SEPARATE_RESOURCES,
    MarkerRow,
    MarkerSource,
    read_accordion,
    read_cellmarker,
    read_panglaodb,
    read_rows,
    resolve_cell_type,
    resolve_in_organ,
    sort_by_support,
)
from okrcell.knowledge.registry import open_sources
from okrcell.ontology.ontology import ontology

B_CELL, T_CELL, LUNG, BLOOD = "CL:0000236", "CL:0000084", "UBERON:0002048", "UBERON:0000178"

statements = st.lists(
    st.builds(
        MarkerRow,
        cell_type=st.sampled_from([B_CELL, T_CELL]),
        gene=st.sampled_from(["CD19", "CD3E", "MS4A1", "CD4"]),
        resource=st.sampled_from(["one", "two", "three"]),
        tissue=st.sampled_from(["", LUNG, BLOOD]),
        present=st.booleans(),
    ),
    max_size=30,
)


@given(statements, st.randoms())
def test_the_order_of_a_table_does_not_matter(rows, rng):
    turned = list(rows)
    rng.shuffle(turned)
    assert sort_by_support(rows) == sort_by_support(turned)


@given(statements)
def test_genes_come_once_and_never_both_as_present_and_absent(rows):
    table = sort_by_support(rows)
    for (cell_type, tissue, present), genes in table.genes.items():
        assert len(set(genes)) == len(genes) > 0
        assert not set(genes) & set(table.genes.get((cell_type, tissue, not present), ()))


@given(statements)
def test_the_better_supported_gene_comes_first(rows):
    def support(gene, present):
        return len({row.resource for row in rows if (row.cell_type, row.gene, row.present) == (B_CELL, gene, present)})

    for present in (True, False):
        genes = sort_by_support(rows).genes.get((B_CELL, "", present), ())
        counts = [support(gene, present) for gene in genes]
        assert counts == sorted(counts, reverse=True)
        assert all(support(gene, present) > support(gene, not present) for gene in genes)


def test_within_a_tissue_fame_elsewhere_decides_between_equals():
    rows = [MarkerRow(B_CELL, gene, "one", LUNG) for gene in ("AAAS", "MS4A1")]
    rows += [MarkerRow(B_CELL, "MS4A1", "two"), MarkerRow(B_CELL, "CD19", "two")]
    assert sort_by_support(rows).genes[B_CELL, LUNG, True] == ("MS4A1", "AAAS")


@pytest.mark.parametrize(
    ("statements", "general"),
    [
        ([("one", LUNG)], False),
        ([("one", LUNG), ("two", LUNG)], True),
        ([("one", LUNG), ("one", BLOOD)], True),
        ([("one", "")], True),
    ],
)
def test_what_one_table_says_of_one_tissue_is_not_said_of_the_type_as_such(statements, general):
    table = sort_by_support(MarkerRow(B_CELL, "SCGB1A1", by, tissue) for by, tissue in statements).genes
    assert ((B_CELL, "", True) in table) == general
    assert all(table[B_CELL, tissue, True] == ("SCGB1A1",) for _, tissue in statements if tissue)


def test_a_marker_of_few_types_comes_before_a_marker_of_many():
    rows = [MarkerRow(B_CELL, "ACTB", "one"), MarkerRow(B_CELL, "CD19", "one"), MarkerRow(T_CELL, "ACTB", "one")]
    assert sort_by_support(rows).genes[B_CELL, "", True] == ("CD19", "ACTB")


@pytest.fixture
def source():
    rows = [
        *(MarkerRow(B_CELL, gene, by) for gene in ("CD79A", "MS4A1") for by in ("one", "two")),
        MarkerRow(B_CELL, "CD19", "one", LUNG),
        *(MarkerRow(B_CELL, "CD3E", by, present=False) for by in ("one", "two")),
        MarkerRow(B_CELL, "ACTB", "one", present=False),
    ]
    return MarkerSource("table", "A table", "of today", "CC0", lambda: rows)


def test_evidence_quotes_the_genes_with_their_address(source):
    general, absent, lung = source.evidence_for(B_CELL)
    assert general.text == "Marker genes of B cell: CD79A, MS4A1."
    assert general.genes == ("CD79A", "MS4A1")
    assert (general.aspect, general.record, general.terms) == ("marker", B_CELL, (B_CELL,))
    assert absent.text == "Negative marker genes of B cell (absent or low): CD3E."
    assert (absent.aspect, absent.genes) == ("absent_marker", ("CD3E",))
    assert lung.text == "Marker genes of B cell in lung: CD19."
    assert (lung.record, lung.terms) == (f"{B_CELL} in {LUNG}", (B_CELL, LUNG))
    assert {(piece.source, piece.snapshot, piece.licence) for piece in (general, absent, lung)} == {
        ("A table", "of today", "CC0")
    }
    assert list(source.passages()) == [general, absent, lung]


@pytest.mark.parametrize("term", [T_CELL, LUNG, "MS4A1", "", "CL:9999999", "no term: at all"])
def test_a_table_says_nothing_of_what_it_does_not_know(source, term):
    assert source.evidence_for(term) == ()


def written(path, columns, *rows):
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter="\t" if ".tsv" in path.suffixes else ",")
    table.writerow(columns)
    table.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def accordion(tmp_path):
    by_cell_type = written(
        tmp_path / "by_cl.csv.gz",
        ("species", "CL_ID", "marker", "marker_type", "resources"),
        ("Human", B_CELL, "MS4A1", "positive", "Abcam|CELLxGENE|ASCT+B"),
        ("Human", B_CELL, "LEAK1", "positive", "Azimuth|CELLxGENE|Celltypist_v2|MSigDB"),
        ("Human", B_CELL, "CD19", "positive", "Abcam|MSigDB"),
        ("Human", B_CELL, "CD3E", "negative", "Abcam|ASCT+B"),
        ("Human", B_CELL, "PAX5", "positive", "CellMarker2.0|PanglaoDB"),
        ("Human", B_CELL, "ACTB", "negative", "Abcam"),
        ("Human", "CL:9999999", "CD3E", "positive", "Abcam"),
        ("Mouse", B_CELL, "Ms4a1", "positive", "Abcam"),
    )
    by_tissue = written(
        tmp_path / "healthy.csv",
        ("species", "CL_ID", "Uberon_ID", "marker", "marker_type", "resource"),
        ("Human", B_CELL, LUNG, "CD19", "positive", "Abcam"),
        ("Human", B_CELL, BLOOD, "LEAK1", "positive", "Azimuth"),
    )
    return by_cell_type, by_tissue


def test_leaking_resources_are_left_out_unless_asked_for(accordion):
    table = sort_by_support(read_accordion(*accordion, leaks=False)).genes
    assert table == {
        (B_CELL, "", True): ("MS4A1", "CD19"),
        (B_CELL, "", False): ("CD3E",),
        (B_CELL, LUNG, True): ("CD19",),
    }
    everything = sort_by_support(read_accordion(*accordion, leaks=True)).genes
    assert everything[B_CELL, "", True] == ("LEAK1", "MS4A1", "CD19")
    assert everything[B_CELL, BLOOD, True] == ("LEAK1",)


def test_resources_that_are_asked_themselves_are_not_asked_through_the_accordion(accordion):
    for leaks in (False, True):
        rows = list(read_accordion(*accordion, leaks))
        assert not {row.resource for row in rows} & SEPARATE_RESOURCES
        assert "PAX5" not in {row.gene for row in rows}


def test_a_table_that_lacks_a_column_is_told_with_what_it_has(tmp_path):
    table = written(tmp_path / "table.csv", ("species", "gene"), ("Human", "CD19"))
    with pytest.raises(InputError, match=r"table\.csv has no column cell_type.*its columns are: species, gene"):
        list(read_cellmarker(table, leaks=False))


def test_a_table_cut_short_is_told(accordion):
    by_cell_type, by_tissue = accordion
    by_cell_type.write_bytes(by_cell_type.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated"):
        list(read_accordion(by_cell_type, by_tissue, leaks=False))


def test_a_table_of_other_bytes_is_told(tmp_path):
    (tmp_path / "bytes.csv").write_bytes(b"species,cell_type\n\xff\xfe\x00,\x00\n" * 9)
    with pytest.raises(InputError, match=r"bytes\.csv"):
        list(read_cellmarker(tmp_path / "bytes.csv", leaks=False))


def test_a_table_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        list(read_panglaodb(tmp_path / "nothing.tsv"))


@pytest.mark.parametrize(
    ("name", "given_id", "term"),
    [
        ("B cell", "CL_0000236", B_CELL),
        ("B cell", "", B_CELL),
        ("CD4+ T cell", "CL_0000624", "CL:0000624"),  # each word of the name is one of the term's
        ("Regulatory T(Treg) cell", "CL_0000815", "CL:0000815"),
        ("Natural killer T (NKT) cell", "CL_0000623", ""),  # not natural killer cells
        ("Interstitial cell", "CL_0000178", ontology("CL").find("interstitial cell").id),  # not all are Leydig cells
        ("Mystery cell", "", ""),
    ],
)
def test_a_broad_id_does_not_make_a_narrow_name_broad(name, given_id, term):
    assert resolve_cell_type(name, given_id) == term


@pytest.mark.parametrize(
    ("name", "organ", "term"),
    [
        ("Alpha cells", "Pancreas", "pancreatic A cell"),
        ("T regulatory cells", "Immune system", "regulatory T cell"),
        ("Hepatocytes", "Liver", "hepatocyte"),
        ("Endothelial cells (aorta)", "Vasculature", ""),  # not all endothelial cells are of the aorta
        ("Trophoblast stem cells", "Embryo", ""),  # nor all trophoblast cells stem cells
        ("Undefined placental cells", "Placenta", ""),
    ],
)
def test_the_organ_tells_which_type_is_meant_and_no_broader_one_takes_its_place(name, organ, term):
    found = resolve_in_organ(name, organ)
    assert (ontology("CL").term(found).name if found else "") == term


def test_papers_count_once_and_sick_cells_not_at_all(tmp_path):
    columns = ("species", "cell_type", "cancer_type", "cell_name", "cellontology_id", "uberonongology_id", "Symbol")
    healthy = ("Human", "Normal cell", "Normal", "B cell", "CL_0000236")
    table = written(
        tmp_path / "table.csv",
        (*columns, "PMID", "marker_source"),
        (*healthy, "UBERON_0002048", "CD19", "1.0", "Experiment"),
        (*healthy, "", "CD19", "1.0", "Review"),
        (*healthy, "", "MS4A1", "2.0", "Experiment"),
        (*healthy, "", "MS4A1", "3.0", "Experiment"),
        (*healthy, "", "", "4.0", "Experiment"),
        ("Human", "Cancer cell", "Melanoma", "B cell", "CL_0000236", "", "KRAS", "5.0", "Experiment"),
        ("Mouse", "Normal cell", "Normal", "B cell", "CL_0000236", "", "Cd19", "6.0", "Experiment"),
    )
    genes = sort_by_support(read_cellmarker(table, leaks=False)).genes
    assert genes == {(B_CELL, "", True): ("MS4A1", "CD19"), (B_CELL, LUNG, True): ("CD19",)}


def test_papers_on_cells_of_benchmarks_are_left_out_unless_asked_for(tmp_path):
    columns = ("species", "cell_type", "cancer_type", "cell_name", "cellontology_id", "uberonongology_id", "Symbol")
    healthy = ("Human", "Normal cell", "Normal", "B cell", "CL_0000236", "")
    papers = {paper: f"GENE{number}" for number, paper in enumerate(sorted(LEAKING_PAPERS))}
    table = written(
        tmp_path / "table.csv",
        (*columns, "PMID", "marker_source"),
        *((*healthy, gene, f"{paper}.0", "Experiment") for paper, gene in papers.items()),
        (*healthy, "CD19", "1.0", "Experiment"),
    )
    assert [row.gene for row in read_cellmarker(table, leaks=False)] == ["CD19"]
    assert {row.gene for row in read_cellmarker(table, leaks=True)} == {"CD19", *papers.values()}


def test_genes_of_a_type_that_was_never_measured_keep_their_order(tmp_path):
    columns = ("species", "official gene symbol", "cell type", "organ", "canonical marker")
    table = written(
        tmp_path / "table.tsv",
        (*columns, "sensitivity_human", "specificity_human"),
        ("Mm Hs", "GHRL", "Epsilon cells", "Pancreas", "1", "0.0", "0.0006"),
        ("Hs", "CORIN", "Epsilon cells", "Pancreas", "1", "0.0", "0.0"),
        ("Hs", "GHRLOS", "Epsilon cells", "Pancreas", "1", "NA", "NA"),
        ("Mm Hs", "ACTB", "Hepatocytes", "Liver", "1", "0.9", "0.9"),
        ("Mm Hs", "ALB", "Hepatocytes", "Liver", "1", "0.9", "0.1"),
    )
    genes = sort_by_support(read_panglaodb(table)).genes
    assert genes[ontology("CL").find("pancreatic epsilon cell").id, "", True] == ("GHRL", "CORIN", "GHRLOS")
    assert genes[ontology("CL").find("hepatocyte").id, "", True] == ("ALB", "ACTB")


def test_nothing_rests_on_a_leaking_row_of_the_real_table(shared_knowledge, tmp_path):
    whole, cleaned = [], []
    for name in ("cellmarker_accordion_by_cl.csv", "cellmarker_accordion_healthy.csv"):
        with gzip.open(shared_knowledge / f"{name}.gz", "rt", newline="") as file:
            columns, *rows = csv.reader(file)
        id_of, resource_index = (
            columns.index("CL_ID"),
            columns.index("resources" if "resources" in columns else "resource"),
        )
        rows = [row for row in rows if row[id_of].endswith("6")]  # a tenth of the types is enough, and quicker
        whole.append(written(tmp_path / name, columns, *rows))
        for row in rows:
            row[resource_index] = "|".join(
                part for part in row[resource_index].split("|") if part not in LEAKING_RESOURCES
            )
        cleaned.append(written(tmp_path / f"clean_{name}", columns, *(row for row in rows if row[resource_index])))
    left_out = sort_by_support(read_accordion(*whole, leaks=False))
    assert left_out == sort_by_support(read_accordion(*cleaned, leaks=True))
    assert left_out != sort_by_support(read_accordion(*whole, leaks=True))
    assert len(left_out.tissues) > 30


def test_real_tables_know_what_everyone_knows(shared_knowledge):
    known = {"CD19", "MS4A1", "CD79A"}
    for source in open_sources(["accordion", "cellmarker2", "panglaodb"], shared_knowledge):
        assert known <= set(source.evidence_for(B_CELL)[0].genes)
        assert not known & set(source.evidence_for(T_CELL)[0].genes)


def test_a_table_that_ends_within_a_row_is_refused(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("gene\tcell\torgan\nCD19\tB cell\tblood\nCD3E\tT ce")
    with pytest.raises(InputError, match=r"table\.tsv is cut short"):
        list(read_rows(table, "gene"))
    table.write_text("gene\tcell\torgan\nCD3E\tT cell\nCD19\tB cell\tblood")
    assert [row["organ"] for row in read_rows(table, "gene")] == ["", "blood"]


def test_a_file_that_decompresses_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("okrcell.compression.MIN_LIMIT", 1_000_000)
    bomb = tmp_path / "bomb.tsv.gz"
    bomb.write_bytes(gzip.compress(b"gene\n" + (b"A" * 100_000 + b"\n") * 30))
    with pytest.raises(InputError, match=r"bomb\.tsv\.gz decompresses to an impossible size"):
        list(read_rows(bomb, "gene"))
