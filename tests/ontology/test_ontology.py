import pytest

from okrcell.errors import InputError
from okrcell.ontology.ontology import ONTOLOGIES, Ontology, OntologySource, ontology, prefix_of


def test_every_ontology_is_there_with_its_release():
    for prefix in ONTOLOGIES:
        assert ontology(prefix).snapshot
        assert ontology(prefix).term(ontology(prefix).term_ids()[0]).name


def test_an_ontology_is_read_when_first_asked_for_a_term():
    assert not vars(Ontology("MONDO")).keys() & {"_records", "_names", "_synonyms"}


def test_a_term_has_name_definition_and_synonyms():
    term = ontology("CL").term("CL:0000236")
    assert term.name == "B cell"
    assert "lymphocyte" in term.definition
    assert "B lymphocyte" in term.synonyms


@pytest.mark.parametrize("spelling", ["CL:0000236", "cl:0000236", "CL_0000236", " CL:0000236 "])
def test_an_id_may_be_written_in_several_ways(spelling: str):
    assert ontology("CL").term(spelling).id == "CL:0000236"


def test_an_obsolete_id_gives_its_replacement():
    cells = ontology("CL")
    old = {term: record for term, record in cells._records.items() if record.get("replaced_by", "").startswith("CL:")}
    assert old
    found = {term: cells.current_id(term) for term in old}
    assert all(new is None or new in cells.term_ids() for new in found.values())
    term, new = next((term, new) for term, new in found.items() if new)
    assert cells.term(term).id == new != term


@pytest.mark.parametrize("wrong", ["CL:0000237000", "CL:624", "CL:abc", "UBERON:0000178", "T cell", ""])
def test_an_unknown_id_is_refused_with_what_was_seen(wrong: str):
    with pytest.raises(InputError, match="has no term") as refused:
        ontology("CL").term(wrong)
    assert f"'{wrong}'" in str(refused.value)


def test_a_mistyped_id_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="The nearest id is CL:"):
        ontology("CL").term("CL:000062")


def test_an_unknown_ontology_is_refused():
    with pytest.raises(InputError, match="choose one of CL"):
        ontology("GO")


@pytest.mark.parametrize(
    ("prefix", "label", "term_id"),
    [
        ("CL", "B cells", "CL:0000236"),
        ("CL", "T-cells", "CL:0000084"),
        ("CL", "NK cell", "CL:0000623"),
        ("CL", "NK", "CL:0000623"),
        ("CL", "Monocytes", "CL:0000576"),
        ("CL", "CD4+, alpha-beta T cell", "CL:0000624"),
        ("CL", "γδ T cells", "CL:0000798"),
        ("CL", "mast", "CL:0000097"),
        ("CL", "Microglia", "CL:0000129"),
        ("CL", "pDC", "CL:0000784"),
        ("CL", "pancreatic beta cell", "CL:0000169"),
        ("UBERON", "Lung", "UBERON:0002048"),
        ("UBERON", "skin", "UBERON:0002097"),
        ("UBERON", "adrenal", "UBERON:0002369"),
        ("MONDO", "COPD", "MONDO:0005002"),
        ("MONDO", "triple-negative breast cancer", "MONDO:0005494"),
        ("MONDO", "Crohn's disease", "MONDO:0005011"),
        ("EFO", "10X 3' v2", "EFO:0009899"),
        ("HsapDv", "adult", "HsapDv:0000258"),
    ],
)
def test_a_name_or_synonym_is_found(prefix: str, label: str, term_id: str):
    found = ontology(prefix).find(label)
    assert found is not None
    assert found.id == term_id


@pytest.mark.parametrize("label", ["", "  ", "-", "IPC", "purple elephant cell", "CD14+ Mono", "obsolete", "N1"])
def test_a_doubtful_name_is_not_found(label: str):
    assert ontology("CL").find(label) is None


def test_every_name_finds_its_own_term_unless_two_share_it():
    cells = ontology("CL")
    wrong = [term for term in cells.term_ids() if (found := cells.find(cells.term(term).name)) and found.id != term]
    assert wrong == []


def test_ancestors_lie_above_and_parents_are_the_nearest_of_them():
    cells = ontology("CL")
    above = cells.ancestors("CL:0000624")
    assert {"CL:0000084", "CL:0000542", "CL:0000000"} <= above
    assert "CL:0000624" not in above
    assert set(cells.parents("CL:0000624")) <= above


def test_distance_is_that_of_the_nearest_shared_ancestor():
    cells = ontology("CL")
    assert cells.distance("CL:0000624", "CL:0000624") == 0
    assert cells.distance("CL:0000624", cells.parents("CL:0000624")[0]) == 1
    one, other = "CL:0000624", "CL:0000625"
    assert cells.distance(one, other) == cells.distance(other, one)
    assert (cells.distance(one, other) or 0) < (cells.distance(one, "CL:0000540") or 0)


def test_definitions_carry_no_literature_references():
    definitions = [ontology("CL").term(term).definition for term in ontology("CL").term_ids()]
    assert not [text for text in definitions if "PMID" in text or "et al." in text]
    assert "[" not in ontology("UBERON").term("UBERON:0001264").definition


def test_evidence_has_an_address():
    pieces = OntologySource().evidence_for("CL:0000236")
    assert [piece.aspect for piece in pieces][:3] == ["name", "definition", "synonym"]
    assert {(piece.source, piece.record, piece.licence) for piece in pieces} == {
        ("Cell Ontology", "CL:0000236", "CC BY 4.0")
    }
    assert all("cellxgene-ontology-guide" in piece.snapshot for piece in pieces)


@pytest.mark.parametrize("unknown", ["", "CL:1", "GO:0008150", "a sentence"])
def test_a_source_says_nothing_of_what_it_does_not_know(unknown: str):
    assert OntologySource().evidence_for(unknown) == ()


def test_the_ontology_of_an_id_is_told_by_its_prefix():
    assert prefix_of("cl_0000236") == "CL"
    assert prefix_of("HSAPDV:0000258") == "HsapDv"
    assert prefix_of("T cell") is None
    assert prefix_of("GO:0008150") is None


@pytest.mark.parametrize(
    ("label", "term"),
    [("epidermis", "outer epithelium"), ("bowel", "intestine"), ("adrenal", "adrenal gland"), ("skin", "skin of body"),
     ("hippocampus", "Ammon's horn"), ("adipose", "adipose tissue")],
)  # fmt: skip
def test_what_is_written_comes_before_a_noun_that_nobody_wrote(label: str, term: str):
    found = ontology("UBERON").find(label)
    assert found is not None
    assert found.name == term


def test_a_gut_is_no_gland():
    assert ontology("UBERON").find("gut") is None


def test_terms_overlap_where_a_part_is_common_to_both():
    tissues = ontology("UBERON")
    brain, cortex, liver = "UBERON:0000955", "UBERON:0000956", "UBERON:0002107"
    assert cortex in tissues.descendants(brain)
    assert {brain, cortex} <= tissues.overlapping(brain) & tissues.overlapping(cortex)
    assert liver not in tissues.overlapping(brain)
