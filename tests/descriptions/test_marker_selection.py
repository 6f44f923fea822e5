from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.descriptions.evidence_lookup import (
    MAX_UNCONFIRMED_MARKERS,
    EvidenceIndex,
    absent_markers,
    broader_types,
    general_markers,
    tissue_markers,
)
from okrcell.evidence import Aspect, Evidence
from okrcell.knowledge.registry import open_sources
from okrcell.ontology.ontology import ontology

B_CELL, BLOOD, KIDNEY, CORTEX = "CL:0000236", "UBERON:0000178", "UBERON:0002113", "UBERON:0001225"


def table(source: str, genes: str, *terms: str, aspect: Aspect = "marker") -> Evidence:
    symbols = tuple(genes.split())
    text = f"Marker genes: {', '.join(symbols)}."
    return Evidence(text, source, " in ".join(terms), "2024", "CC0", aspect, terms, symbols)


def chosen(*pieces: Evidence, most: int = 10) -> tuple[str, ...]:
    return general_markers(B_CELL, EvidenceIndex(pieces), most).genes


def test_a_gene_on_which_tables_agree_comes_first():
    assert chosen(table("one", "CD74 CD19", B_CELL), table("two", "MS4A1 CD19", B_CELL)) == ("CD19", "CD74", "MS4A1")


def test_the_weak_end_of_a_long_list_is_not_named():
    long = table("one", " ".join(f"GENE{number}" for number in range(20)), B_CELL)
    assert chosen(long) == tuple(f"GENE{number}" for number in range(MAX_UNCONFIRMED_MARKERS))


def test_only_tables_that_name_a_chosen_gene_are_cited():
    first, second = table("one", "CD19 MS4A1", B_CELL), table("two", "RPL3", B_CELL)
    assert general_markers(B_CELL, EvidenceIndex([first, second]), 10).evidence == (first,)


def test_genes_that_every_cell_uses_mark_none():
    assert chosen(table("one", "RPS3 RPL13A MT-CO1 CD19", B_CELL)) == ("CD19",)


def test_markers_of_another_type_or_of_a_tissue_are_not_those_of_the_type():
    assert chosen(table("one", "CD3D", "CL:0000084"), table("one", "CD5", B_CELL, BLOOD)) == ()


def test_a_tissue_has_its_own_markers_and_lends_them_to_its_parts():
    known = EvidenceIndex([table("one", "CD5 CD19", B_CELL, KIDNEY), table("one", "CD74", B_CELL, BLOOD)])
    assert tissue_markers(B_CELL, KIDNEY, known, 10)[1].genes == ("CD5", "CD19")
    assert tissue_markers(B_CELL, CORTEX, known, 10)[0] == KIDNEY
    assert tissue_markers(B_CELL, "UBERON:0002048", known, 10)[1].genes == ()
    assert tissue_markers(B_CELL, "", known, 10)[0] == ""


def test_a_gene_that_the_types_own_name_denies_is_no_marker_of_it():
    term = ontology("CL").term("CL:0002396")
    name = Evidence(term.name, "Cell Ontology", term.id, "2024", "CC BY 4.0", "name", (term.id,))
    assert term.name == "CD14-low, CD16-positive monocyte"
    markers = general_markers(term.id, EvidenceIndex([name, table("one", "FCGR3A CD14", term.id)]), 10)
    assert markers.genes == ("FCGR3A",)


def test_a_protein_of_several_chains_is_denied_with_all_its_genes():
    words = Evidence("A cell that lacks CD3 and is CD20-negative.", "o", B_CELL, "1", "CC0", "definition", (B_CELL,))
    assert chosen(words, table("one", "CD3D CD3E MS4A1 CD19", B_CELL)) == ("CD19",)


def test_what_the_quoted_description_denies_is_no_marker():
    words = Evidence(
        "They have no CD16 expression, negative for CD3, CD19 and CD20.",
        "o",
        B_CELL,
        "1",
        "CC0",
        "description",
        (B_CELL,),
    )
    assert chosen(words, table("one", "FCGR3A CD3D CD19 MS4A1 CD74", B_CELL)) == ("CD74",)


def test_a_gene_in_dispute_is_no_marker_and_one_that_more_tables_claim_is_not_absent():
    absent = table("one", "CD5 CD19", B_CELL, aspect="absent_marker")
    known = EvidenceIndex([absent, table("two", "CD5 CD19", B_CELL), table("three", "CD19 CD74", B_CELL)])
    assert general_markers(B_CELL, known, 10).genes == ("CD19", "CD74")
    assert absent_markers(B_CELL, known, 10).genes == ("CD5",)


@pytest.mark.parametrize(
    ("name", "genes"),
    [
        ("pancreatic PP cell", {"PPY"}),
        ("pancreatic epsilon cell", {"GHRL"}),
        ("pancreatic A cell", {"GCG", "ARX"}),
        ("type B pancreatic cell", {"INS", "PDX1", "IAPP"}),
        ("B cell", {"CD79A", "CD79B", "MS4A1", "CD19"}),
        ("pulmonary alveolar type 2 cell", {"SFTPC", "ABCA3"}),
    ],
)
def test_the_real_tables_together_name_first_what_textbooks_name(shared_knowledge: Path, name: str, genes: set[str]):
    term = ontology("CL").find(name)
    assert term is not None
    tables = open_sources(["accordion", "cellmarker2", "panglaodb"], shared_knowledge)
    known = EvidenceIndex([piece for source in tables for piece in source.evidence_for(term.id)])
    assert genes == set(general_markers(term.id, known, 10).genes[: len(genes)])


def test_broader_types_come_nearest_first():
    assert broader_types("CL:0001054")[0] == "CL:0000576"
    assert broader_types("CL:none") == ()


@given(
    st.lists(st.lists(st.sampled_from([f"GENE{n}" for n in range(15)]), max_size=12), max_size=4), st.integers(0, 12)
)
def test_whatever_tables_say_each_chosen_gene_stands_in_a_cited_one(tables: list[list[str]], most: int):
    pieces = [table(f"table {place}", " ".join(genes), B_CELL) for place, genes in enumerate(tables)]
    markers = general_markers(B_CELL, EvidenceIndex(pieces), most)
    assert len(markers.genes) <= most
    assert len(set(markers.genes)) == len(markers.genes)
    assert all(any(gene in piece.genes for piece in markers.evidence) for gene in markers.genes)
    assert all(set(markers.genes) & set(piece.genes) for piece in markers.evidence)
