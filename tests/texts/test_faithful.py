import json
from pathlib import Path

import pytest

from okrcell.knowledge.evidence import Aspect, Evidence
from okrcell.knowledge.ontology import ontology
from okrcell.texts.description import Sentence
from okrcell.texts.profile import CellProfile
from okrcell.texts.screening.faithful import Gate
from okrcell.texts.sentences import introduced

CASES = Path(__file__).parent / "faithfulness.jsonl"
B_CELL = CellProfile("B cell", "CL:0000236", "blood", "UBERON:0000178", "lupus nephritis", "MONDO:0005556")


def evidence(text: str, aspect: Aspect, terms: tuple[str, ...] = (), genes: tuple[str, ...] = ()) -> Evidence:
    return Evidence(text, "a source", (*terms, *genes, "a record")[0], "2026", "CC0", aspect, terms, genes)


MARKERS = evidence("Marker genes of B cell: CD79A, MS4A1, CD19.", "marker", ("CL:0000236",), ("CD79A", "MS4A1", "CD19"))
ABSENT = evidence("Negative marker genes of B cell: CD3D, CD14.", "absent_marker", ("CL:0000236",), ("CD3D", "CD14"))
DEFINITION = evidence(
    "A lymphocyte of B lineage that is capable of B cell mediated immunity.", "definition", ("CL:0000236",)
)
INSULIN = evidence(
    "This gene encodes insulin, which inhibits the release of glucose by the liver.", "gene", (), ("INS",)
)


def objection(text: str, *cited: Evidence, profile: CellProfile = B_CELL) -> str | None:
    return Gate().objection(Sentence(text, cited), profile)


@pytest.mark.parametrize(
    ("text", "cited"),
    [("Its marker genes include CD79A, MS4A1 and CD20.", MARKERS), ("These lymphocytes express CD79A.", MARKERS),
     ("B lymphocytes of the blood carry CD19.", MARKERS), ("CD3D is absent from B cells.", ABSENT),
     ("It does not express CD3D or CD14.", ABSENT), ("Neither CD3D nor CD14 is found.", ABSENT),
     ("In blood, this lymphocyte mediates immunity.", DEFINITION),
     ("Insulin inhibits the hepatic release of glucose.", INSULIN)],
)  # fmt: skip
def test_what_the_evidence_says_passes(text: str, cited: Evidence):
    assert objection(text, cited) is None


@pytest.mark.parametrize(
    ("text", "cited", "reason"),
    [("B cells express CD3E.", MARKERS, "names CD3E"), ("T cells are marked by CD79A.", MARKERS, "names T cells"),
     ("Naive B cells express CD79A.", MARKERS, "names Naive B cells"), ("In the kidney, it has CD19.", MARKERS, "names kidney"),
     ("In asthma, it has CD19.", MARKERS, "names asthma"), ("It has 3 markers, CD19 first.", MARKERS, "the number 3"),
     ("It is CD19-negative.", MARKERS, "contrary"), ("CD19 is low.", MARKERS, "contrary"), ("It has CD3D.", ABSENT, "contrary"),
     ("It is not capable of mediating immunity.", DEFINITION, "denies"),
     ("A B cell is not a lymphocyte.", DEFINITION, "lymphocyte"),
     ("Insulin stimulates the release of glucose by the liver.", INSULIN, "stimulate"),
     ("Insulin plays a role in lupus nephritis.", INSULIN, "names lupus nephritis")],
)  # fmt: skip
def test_what_the_evidence_does_not_say_is_stopped(text: str, cited: Evidence, reason: str):
    said = objection(text, cited)
    assert said is not None
    assert reason in said


def test_a_sentence_without_evidence_is_stopped():
    assert objection("It expresses CD19.") == "cites no evidence"


def test_evidence_on_another_type_counts_only_when_that_type_is_named():
    macrophage = CellProfile("macrophage", "CL:0000235")
    assert "another cell type" in (objection("It expresses CD79A.", MARKERS, profile=macrophage) or "")
    assert objection("Unlike it, B cells express CD79A.", MARKERS, profile=macrophage) is None


def test_what_is_said_of_a_type_holds_for_its_kinds_but_not_the_other_way_round():
    assert objection("It expresses CD79A.", MARKERS, profile=CellProfile("naive B cell", "CL:0000788")) is None
    lymphocyte = CellProfile("lymphocyte", "CL:0000542")
    assert objection("It expresses CD79A.", MARKERS, profile=lymphocyte) is not None


def test_the_record_of_one_gene_bears_no_claim_about_its_sibling():
    record = evidence("This gene encodes the beta chain of the CD8 antigen.", "gene", (), ("CD8B",))
    assert objection("CD8B encodes the beta chain of CD8.", record) is None
    assert objection("CD8A encodes the beta chain of CD8.", record) is not None


def test_every_definition_passes_when_it_cites_itself():
    cells = ontology("CL")
    for term in map(cells.term, cells.terms()[::10]):
        if term.definition:
            sentence = Sentence(
                introduced(term.name, term.definition), (evidence(term.definition, "definition", (term.id,)),)
            )
            assert Gate().objection(sentence, CellProfile(term.name, term.id)) is None, sentence.text


def test_nearly_no_definition_passes_when_it_cites_another():
    cells = ontology("CL")
    terms = [term for term in map(cells.term, cells.terms()[::10]) if term.definition]
    passed = [
        one.name
        for one, other in zip(terms, terms[::-1], strict=True)
        if one.id != other.id
        and objection(
            introduced(one.name, one.definition),
            evidence(other.definition, "definition", (other.id,)),
            profile=CellProfile(other.name, other.id),
        )
        is None
    ]
    assert len(passed) <= 0.02 * len(terms), passed


def test_planted_falsehoods_are_caught_and_true_sentences_pass():
    caught, stopped = list[bool](), list[bool]()
    for line in CASES.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        cited = [
            Evidence(**{**piece, "terms": tuple(piece["terms"]), "genes": tuple(piece["genes"])})
            for piece in case["evidence"]
        ]
        said = objection(case["sentence"], *cited, profile=CellProfile(**case["profile"]))
        (stopped if case["true"] else caught).append(said is not None)
    assert len(caught) >= 60
    assert len(stopped) >= 60
    assert sum(caught) >= 0.90 * len(caught)
    assert sum(stopped) <= 0.10 * len(stopped)
