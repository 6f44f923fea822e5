"""Genes stated by texts of the Cell Ontology, the selection by licence, and the table in the package."""

import doctest
import gzip
import json

import pytest

from okrcell.descriptions import ontology_markers
from okrcell.descriptions.ontology_markers import load_markers, ontology_statements, read_statements
from okrcell.errors import InputError
from okrcell.knowledge import marker_licences
from okrcell.knowledge.downloads import KnowledgeFiles
from okrcell.knowledge.marker_licences import RESOURCE_LICENCES, resource_licence
from okrcell.knowledge.open_markers import read_open_markers

B_CELL, T_CELL, NAIVE_B = "CL:0000236", "CL:0000084", "CL:0000788"


def term(term_id, name, definition="", synonyms=(), description=""):
    texts = {"definition": definition, "synonyms_exact": list(synonyms), "extended_description": description}
    return {"id": term_id, "name": name, **texts}


@pytest.fixture
def folder(tmp_path):
    """Texts of two types, and tables of three resources, one of them openly licensed."""
    terms = [
        term(B_CELL, "B cell", "A cell that expresses CD19 and CD79A. It lacks CD3E.", ["MS4A1-positive cell"]),
        term(T_CELL, "T cell", "A cell that is CD3E-positive and CD4-negative.", ["CD4-positive lymphocyte"]),
        term("CL:9999999", "no such type", "A cell that expresses LYZ."),
    ]
    (tmp_path / "cl_terms.json.gz").write_bytes(gzip.compress(json.dumps(terms).encode()))
    stated = {"ASCT+B": "CD19 CD22 CD37", "scBrainMap": "CD19 BLK BLNK", "CELLxGENE": "LYZ"}
    rows = [f"Human,{B_CELL},{gene},positive,{name}" for name, genes in stated.items() for gene in genes.split()]
    header = "species,CL_ID,marker,marker_type"
    (tmp_path / "cellmarker_accordion_by_cl.csv.gz").write_text("\n".join([f"{header},resources", *rows]))
    (tmp_path / "cellmarker_accordion_healthy.csv.gz").write_text(f"{header},Uberon_ID,resource\n")
    return tmp_path


@pytest.fixture(scope="module")
def real(shared_knowledge):
    """All statements of the real knowledge files."""
    return read_statements(KnowledgeFiles(shared_knowledge))


def statements(folder):
    file = KnowledgeFiles(folder).local_file("cl_terms.json.gz")
    return {(row.cell_type, row.gene): row.present for row, _ in ontology_statements(file).rows}


def test_texts_state_markers_and_absent_genes_and_contradictions_are_left_out(folder):
    assert statements(folder) == {
        (B_CELL, "CD19"): True,
        (B_CELL, "CD79A"): True,
        (B_CELL, "CD3E"): False,
        (B_CELL, "MS4A1"): True,
        (T_CELL, "CD3E"): True,
    }


def test_open_markers_are_those_of_open_resources_and_all_are_those_of_every_table(folder):
    chosen, every = load_markers(folder), load_markers(folder, "all")
    assert chosen.sources == ("ASCT+B", "Cell Ontology")
    assert every.sources == ("ASCT+B", "Cell Ontology", "scBrainMap")
    assert "BLK" in every.genes
    assert set(chosen.genes) == {"CD19", "CD22", "CD37", "CD79A", "MS4A1", "CD3E"}
    # Two open resources state CD19, and a third one that is not open.
    assert chosen.resources[B_CELL, "CD19"] == ("ASCT+B", "Cell Ontology")
    assert every.support[0, every.genes.index("CD19")] - chosen.support[0, chosen.genes.index("CD19")] == 1
    assert all("scBrainMap" not in table for table in chosen.tables)


def test_a_folder_without_open_statements_is_refused_with_what_to_do(folder):
    (folder / "cl_terms.json.gz").unlink()
    table = folder / "cellmarker_accordion_by_cl.csv.gz"
    table.write_text(table.read_text().replace("ASCT+B", "my laboratory"))
    with pytest.raises(InputError, match=r"only other resources, scBrainMap.*knowledge.markers to all"):
        load_markers(folder)
    assert load_markers(folder, "all").sources == ("other resources", "scBrainMap")


def test_texts_alone_suffice(folder):
    for table in folder.glob("cellmarker*"):
        table.unlink()
    assert load_markers(folder).types == (B_CELL,)


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'[{"id": "CL:0000236"}]', b"not json"])
def test_a_damaged_file_of_texts_is_named(folder, content):
    (folder / "cl_terms.json.gz").write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=r"cl_terms.json.gz is not a JSON list"):
        load_markers(folder)


def test_only_open_licences_are_open():
    assert {name for name, entry in RESOURCE_LICENCES.items() if entry.is_open} == {"ASCT+B", "Cell Ontology"}
    assert all(not resource_licence(name).is_open for name in ("PMID 123", "CellMarker 2.0, Company", "anything"))
    assert resource_licence("PMID 123").licence == "academic use"


def test_every_resource_of_the_real_tables_has_a_licence_entry(real):
    assert real.sources == RESOURCE_LICENCES.keys()


def test_the_table_in_the_package_is_that_of_the_knowledge_files(real):
    bundled, derived = read_open_markers(), real.openly_licensed()
    assert set(bundled.rows) == {(row, name) for row, name in derived.rows if row.gene}
    assert bundled.snapshots == derived.snapshots
    consensus, expected = bundled.consensus(), derived.consensus()
    assert (consensus.types, consensus.genes) == (expected.types, expected.genes)
    assert abs(consensus.support - expected.support).max() == 0


def test_real_texts_state_what_is_known(real):
    stated = {(row.cell_type, row.gene): row.present for row, name in real.rows if name == "Cell Ontology"}
    assert len(stated) > 2500
    assert stated[NAIVE_B, "CD27"] is False


@pytest.mark.parametrize("module", [marker_licences, ontology_markers])
def test_the_examples_run(module):
    assert doctest.testmod(module).failed == 0
