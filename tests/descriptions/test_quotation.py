import pytest

from okrcell.descriptions.evidence_lookup import EvidenceIndex
from okrcell.descriptions.template_writer import literature_quote
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile

MAST_CELL = CellProfile(cell_type="mast cell", cell_type_id="CL:0000097")


def abstract(text: str, terms: tuple[str, ...] = ()) -> Evidence:
    return Evidence(text, "PubMed", "PMID:1", "2024", "(c)", "passage", terms)


def quoted(text: str, profile: CellProfile = MAST_CELL) -> list[str]:
    return [sentence.text for sentence in literature_quote(profile, EvidenceIndex([abstract(text)]))]


def test_a_general_sentence_about_the_type_is_quoted_with_its_record():
    text = "Allergy is common. Mast cells (MCs) release histamine and heparin when they are activated by antigen. So it is."
    assert quoted(text) == [
        "The literature (PMID:1) says: “Mast cells (MCs) release histamine and heparin when they are activated by antigen.”"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "T cells release cytokines when they are activated by an antigen that they know.",
        "Mast cell tumours are common in dogs and respond to treatment in most of the cases.",
        "Mast cells were counted in sections of skin from both groups of mice in this study.",
        "Mast cells are found in 30% of all sections of skin that were looked at by the authors.",
        "We show that mast cells release histamine and heparin when they are activated by antigen.",
        "These mast cells release histamine and heparin when they are activated by antigen.",
        "Mast cells release histamine.",
    ],
)
def test_what_is_not_about_the_type_or_only_about_one_study_is_not_quoted(text: str):
    assert quoted(text) == []


def test_only_literature_is_quoted_and_only_of_known_types():
    own = Evidence("Mast cells release histamine and heparin when activated by antigen in tissues.", "Cell Ontology",
                   "CL:0000097", "1", "CC BY 4.0", "passage", ("CL:0000097",))  # fmt: skip
    assert list(literature_quote(MAST_CELL, EvidenceIndex([own]))) == []
    assert quoted(own.text, CellProfile(cell_type="mast cell", label="mast cell")) == []
