import pytest

from okrcell.descriptions.evidence_lookup import EvidenceIndex
from okrcell.descriptions.template_writer import function_sentences
from okrcell.evidence import Evidence


def summary(symbol: str, text: str) -> Evidence:
    return Evidence(text, "RefSeq", "Entrez:1", "2024", "public domain", "gene", (), (symbol,))


def sentence_of(symbol: str, text: str) -> str:
    return " ".join(
        sentence.text for sentence in function_sentences([symbol], EvidenceIndex([summary(symbol, text)]), 3)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This gene encodes the CD8 alpha chain.", "GENE1 encodes the CD8 alpha chain."),
        (
            "The protein encoded by this gene is a surface antigen.",
            "The protein encoded by GENE1 is a surface antigen.",
        ),
        ("The product of this gene binds actin.", "The product of GENE1 binds actin."),
        ("The encoded enzyme cleaves peptides.", "The enzyme encoded by GENE1 cleaves peptides."),
        ("GENE1 (CD94) is an antigen on NK cells.", "GENE1 (CD94) is an antigen on NK cells."),
        ("Ribosomes catalyze synthesis. This gene encodes a ribosomal protein.", "GENE1 encodes a ribosomal protein."),
    ],
)
def test_this_gene_becomes_the_genes_symbol(text: str, expected: str):
    assert sentence_of("GENE1", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Mutations in this gene cause blindness.",
        "This gene is located on chromosome 5 and has a pseudogene.",
        "This gene product family is large.",
        "Histones are basic nuclear proteins.",
        "GENE10 is another gene.",
        "GENE1 molecule",
        "This gene encodes lysozyme, whose substrate is peptidoglycan (cleaving the beta.",
        f"This gene encodes {'a very long ' * 30}protein.",
    ],
)
def test_what_is_not_the_role_of_this_gene_is_not_said(text: str):
    assert sentence_of("GENE1", text) == ""


def test_a_role_tells_more_than_a_family():
    text = "This gene encodes a member of the membrane gene family. This gene encodes a molecule of B cell growth."
    assert sentence_of("MS4A1", text) == "MS4A1 encodes a molecule of B cell growth."


def test_genes_keep_their_order_and_those_with_a_role_are_preferred():
    known = EvidenceIndex([
        summary("A1", "This gene encodes a member of a gene family."),
        summary("B1", "This gene encodes insulin."),
        summary("C1", "This gene encodes glucagon."),
    ])  # fmt: skip
    assert [s.text for s in function_sentences(["A1", "B1", "C1"], known, 2)] == [
        "B1 encodes insulin.",
        "C1 encodes glucagon.",
    ]


def test_without_a_summary_the_gene_ontology_speaks():
    annotation = Evidence(
        "PRM1 is annotated with: DNA packaging.",
        "Gene Ontology",
        "GO:1 PRM1",
        "1",
        "CC BY 4.0",
        "function",
        (),
        ("PRM1",),
    )
    (sentence,) = function_sentences(["PRM1"], EvidenceIndex([annotation]), 3)
    assert sentence.text == "The Gene Ontology annotates PRM1 with DNA packaging."
    assert sentence.evidence == (annotation,)
