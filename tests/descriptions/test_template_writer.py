from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.descriptions.description import Description
from okrcell.descriptions.evidence_lookup import EvidenceCache, gather_evidence
from okrcell.descriptions.metadata_text import distinct_synonyms, original_description
from okrcell.descriptions.template_writer import TemplateWriter, describe
from okrcell.evidence import Aspect, Evidence
from okrcell.ontology.obs_profile import CellProfile, read_profile
from okrcell.ontology.ontology import OntologySource

B_CELL, PLASMABLAST, BLOOD = "CL:0000236", "CL:0000980", "UBERON:0000178"
IN_BLOOD = read_profile(
    {"cell_type": "B cell", "tissue": "blood", "disease": "COVID-19", "sex": "male", "assay": "inDrop"}
)
IN_LUNG = read_profile({"cell_type": "B cell", "tissue": "lung", "disease": "normal"})


def piece(
    text: str, aspect: Aspect, terms: tuple[str, ...] = (B_CELL,), genes: str = "", by: str = "table"
) -> Evidence:
    return Evidence(text, by, " in ".join(terms) or genes, "2024", "CC0", aspect, terms, tuple(genes.split()))


MARKERS = piece("Marker genes of B cell: CD79A, MS4A1, CD19.", "marker", genes="CD79A MS4A1 CD19")
AGREEING = piece("Marker genes of B cell: MS4A1, CD79A, CD19.", "marker", genes="MS4A1 CD79A CD19", by="other table")
MARKERS_IN_BLOOD = piece("Marker genes in blood: TCL1A, IGHD, CD19.", "marker", (B_CELL, BLOOD), "TCL1A IGHD CD19")
ABSENT = piece("Genes absent from B cell: CD3D, CD3E.", "absent_marker", genes="CD3D CD3E")
EXPERT = piece("B cells make antibodies. They mature in bone marrow.\nA later paragraph. " * 9, "description")
GENE = piece("The protein encoded by this gene is a part of the B-cell receptor.", "gene", (), "CD79A")
KNOWN = (MARKERS, AGREEING, MARKERS_IN_BLOOD, ABSENT, EXPERT, GENE)


def written(profile: CellProfile, *more: Evidence) -> Description:
    return TemplateWriter().write(profile, [*gather_evidence(profile, [OntologySource()]), *more])


def cited(description: Description, start: str) -> tuple[Evidence, ...]:
    return next(sentence.evidence for sentence in description.sentences if sentence.text.startswith(start))


def test_each_kind_of_knowledge_has_its_sentence_and_cites_exactly_what_it_rests_on():
    description = written(IN_BLOOD, *KNOWN)
    assert cited(description, "In blood, its marker genes include TCL1A, IGHD and CD19.") == (MARKERS_IN_BLOOD,)
    assert cited(description, "Its marker genes in general include CD79A, MS4A1 and CD19.") == (MARKERS, AGREEING)
    assert cited(description, "table lists CD3D and CD3E as negative markers of this cell type.") == (ABSENT,)
    assert cited(description, "B cells make antibodies.") == (EXPERT,)
    assert cited(description, "The protein encoded by CD79A is a part of the B-cell receptor.") == (GENE,)


def test_no_fact_of_the_profile_is_lost_to_the_knowledge():
    text = written(IN_BLOOD, *KNOWN).phrasings[0]
    assert all(sentence.text in text for sentence in written(IN_BLOOD).sentences)


def test_the_original_text_is_what_metadata_and_ontology_say():
    assert written(IN_BLOOD, *KNOWN).original == written(IN_BLOOD).phrasings
    assert written(IN_BLOOD).original == ()


def test_in_place_of_a_refused_text_stands_the_original_with_the_reason():
    evidence = [*gather_evidence(IN_BLOOD, [OntologySource()]), *KNOWN]
    plain = original_description(IN_BLOOD, evidence, "endpoint", "the answer was no JSON")
    assert (plain.outcome, plain.writer, plain.remark) == ("original", "endpoint", "the answer was no JSON")
    assert plain.sentences == written(IN_BLOOD).sentences
    assert plain.phrasings == written(IN_BLOOD).phrasings


def test_what_knowledge_adds_in_brief_is_shared_by_all_profiles_of_a_type():
    one, other = written(IN_BLOOD, *KNOWN), written(IN_LUNG, *KNOWN)
    added = set(one.phrasings[1:]) - set(one.original)
    assert added == set(other.phrasings[1:]) - set(other.original)
    assert "Marker genes of a B cell include CD79A, MS4A1 and CD19." in added
    assert not any("blood" in text for text in added)


def test_phrasings_fit_the_text_encoder_of_256_word_pieces():
    longest = max(written(IN_BLOOD, *KNOWN).phrasings[1:], key=len)
    assert len(longest) < 1100


def test_markers_of_a_broader_type_are_said_to_be_its_own():
    class Table:
        name = "table"

        def evidence_for(self, term_id: str) -> tuple[Evidence, ...]:
            return (MARKERS,) if term_id == B_CELL else ()

        def passages(self) -> Iterator[Evidence]:
            return iter(())

    profile = read_profile({"cell_type_ontology_term_id": "CL:0000844"})
    description = describe([profile], sources=[OntologySource(), Table()])[0]
    selected = [sentence for sentence in description.sentences if "CD79A" in sentence.text]
    assert [sentence.text for sentence in selected] == [
        "It is a kind of B cell, a cell type whose marker genes include CD79A, MS4A1 and CD19."
    ]
    assert {one.text for one in selected[0].evidence} >= {
        MARKERS.text,
        f"{profile.cell_type} is a kind of B cell.",
        "B cell",
    }
    assert f"A {profile.cell_type} is a kind of B cell, a cell type whose" in " ".join(description.phrasings)


def test_a_formula_is_neither_quoted_nor_cited():
    description = written(read_profile({"cell_type_ontology_term_id": "CL:0000521"}))
    assert description.phrasings[0].startswith("Fungal cell.")
    assert not any("in taxon" in text for text in description.phrasings)
    assert all(one.aspect != "definition" for sentence in description.sentences for one in sentence.evidence)


def test_codes_are_no_other_names():
    names = ["T.4Nve.Sp", "MF.LN", "NK.94+.Sp", "DRG Nav1.7 neuron", "Th cell"]
    assert distinct_synonyms("cell", names, 5) == ("DRG Nav1.7 neuron", "Th cell")


def test_knowledge_about_another_type_is_not_used():
    stranger = piece("Marker genes of T cell: CD3D.", "marker", ("CL:0000084",), "CD3D")
    assert written(IN_LUNG, stranger) == written(IN_LUNG)


ASPECTS: list[Aspect] = [
    "name",
    "definition",
    "synonym",
    "passage",
    "description",
    "marker",
    "absent_marker",
    "gene",
    "function",
]
PIECES = st.builds(
    Evidence,
    text=st.text("aB .:c(1", max_size=30),
    source=st.sampled_from(["one", "two"]),
    record=st.sampled_from([B_CELL, BLOOD, "PMID:1"]),
    snapshot=st.just("1"),
    licence=st.just("CC0"),
    aspect=st.sampled_from(ASPECTS),
    terms=st.sampled_from([(), (B_CELL,), (B_CELL, BLOOD), (BLOOD,)]),
    genes=st.lists(st.sampled_from(["CD19", "CD79A", "RPS3", "CD3D"]), max_size=4).map(tuple),
)


@given(
    st.lists(PIECES, max_size=8),
    st.sampled_from([IN_BLOOD, IN_LUNG, CellProfile(), CellProfile(label="x", cell_type="x")]),
)
def test_whatever_is_known_every_sentence_is_cited_and_the_text_is_its_sentences(
    evidence: list[Evidence], profile: CellProfile
):
    description = TemplateWriter().write(profile, evidence)
    assert description == TemplateWriter().write(profile, evidence)
    assert description.phrasings
    assert all(description.phrasings)
    assert len(set(description.phrasings)) == len(description.phrasings)
    if description.sentences:
        assert description.phrasings[0] == " ".join(sentence.text for sentence in description.sentences)
    for sentence in description.sentences:
        assert sentence.evidence
        assert all(one in evidence or one.source == "metadata" for one in sentence.evidence)


@pytest.mark.parametrize("cell_type", ["B cell", "CD14-positive monocyte", "hepatocyte", "plasmablast", "astrocyte"])
def test_real_markers_that_are_named_stand_in_the_cited_tables(shared_knowledge: Path, cell_type: str):
    from okrcell.knowledge.registry import open_sources

    inquiry = EvidenceCache(open_sources(None, shared_knowledge))
    profile = read_profile({"cell_type": cell_type, "tissue": "blood", "disease": "normal"})
    description = TemplateWriter().write(profile, gather_evidence(profile, inquiry))
    named = [sentence for sentence in description.sentences if "marker genes" in sentence.text]
    assert named
    for sentence in named:
        listed = sentence.text.rpartition(" include ")[2].rstrip(".").replace(" and ", ", ").split(", ")
        assert set(listed) <= {gene for one in sentence.evidence for gene in one.genes}
    assert len(description.original) < len(description.phrasings)


@pytest.mark.parametrize("label", [r"T\B doublet", r"\g<0> cell", r"\1", "{} cell", "a\\"])
def test_a_label_is_never_a_pattern(label):
    text = TemplateWriter().write(CellProfile(cell_type=label, label=label), [])
    assert any(label in sentence.text for sentence in text.sentences)
