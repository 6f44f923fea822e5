import json
from pathlib import Path

import pytest

from okrcell.descriptions.description import Sentence
from okrcell.descriptions.fact_check import FactChecker
from okrcell.descriptions.metadata_text import definition_sentence
from okrcell.evidence import Aspect, Evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import ontology

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
    return FactChecker().reason_to_reject(Sentence(text, cited), profile)


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
    reason_given = objection(text, cited)
    assert reason_given is not None
    assert reason in reason_given


def record(text: str) -> Evidence:
    return Evidence(text, "a source", "a record", "", "", "passage")


RODS = record("Rods are more sensitive to light than cones, and their nuclei are central instead of peripheral.")
BONE = record(
    "A phagocytic cell that removes the matrix of bone. It regulates the transcription of the hormone (AMH) gene."
)
ION = record(
    "A chloride channel. Mutations of CFTR cause cystic fibrosis. It is expressed with steroidogenic factor 1."
)
PLACE = record(
    "A cell of the peripheral nervous system. Mature mast cells are found everywhere, except the bloodstream."
)


@pytest.mark.parametrize(
    ("text", "cited", "reason"),
    [("Rods are less sensitive to light than cones.", RODS, "says less, but"),
     ("Its nuclei are at the periphery.", RODS, "the opposite"),
     ("It deposits the matrix of bone.", BONE, "says deposit, but"),
     ("It silences the gene for AMH.", BONE, "states no direction"),
     ("It activates AMH.", BONE, "states no direction"), ("It keeps the hormone back.", BONE, "states no direction"),
     ("It is a sodium channel.", ION, "names sodium"), ("It carries Ca2+ through a channel.", ION, "names Ca2+"),
     ("CFTR does not cause cystic fibrosis.", ION, "denies"), ("It is dead.", MARKERS, "shares no content"),
     ("B cells contract rhythmically and pump.", MARKERS, "shares no content"),
     ("It secretes bile.", MARKERS, "names bile"),
     ("Diese Zelle lebt im Gehirn.", MARKERS, "shares no content"),
     ("这是一个肝细胞，它不产生抗体。", MARKERS, "Latin letters"),
     ("Это нейрон, CD19.", MARKERS, "Latin letters"), ("B cells: see http://cells.example/x for CD19.", MARKERS, "address"),
     ("B cells with CD19, at www.cells.org today.", MARKERS, "address"),
     ("Mature mast cells circulate in the blood.", PLACE, "contrary"), ("It lies in the lymphatic system.", PLACE, "names")],
)  # fmt: skip
def test_a_turn_without_a_foreign_name_is_stopped(text: str, cited: Evidence, reason: str):
    assert reason in (objection(text, cited, profile=CellProfile()) or "")


@pytest.mark.parametrize(
    ("text", "cited"),
    [("Rods are more sensitive than cones.", RODS), ("Cones are less sensitive to light than rods.", RODS),
     ("Its nuclei lie centrally rather than at the periphery.", RODS), ("It resorbs the matrix of bone.", BONE),
     ("It controls the hormone.", BONE), ("Loss of CFTR causes cystic fibrosis.", ION), ("NR5A1 is expressed too.", ION),
     ("Chloride passes through it, a channel for Cl(-).", ION), ("It is found in peripheral nerves.", PLACE),
     ("No mature mast cells are found in the blood.", PLACE)],
)  # fmt: skip
def test_the_same_in_other_words_passes(text: str, cited: Evidence):
    assert objection(text, cited, profile=CellProfile()) is None


def test_a_genes_symbol_is_no_disease_and_the_assay_may_be_stated():
    caps = evidence("This gene encodes a calcium-binding protein.", "gene", (), ("CAPS",))
    assert objection("CAPS encodes a calcium-binding protein.", caps) is None
    measured = CellProfile("B cell", "CL:0000236", assay="10x 3' v2", label="ATI")
    assert objection("It was measured by 10x 3' v2.", MARKERS, profile=measured) is None
    mueller = CellProfile("Mueller cell", "CL:0000636", label="MG")
    assert objection("MG, as the authors call this cell.", record("MG"), profile=mueller) is None
    assert objection("ATI, as the authors call this cell.", MARKERS, profile=measured) is None


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
    for term in map(cells.term, cells.term_ids()[::10]):
        if term.definition:
            sentence = Sentence(
                definition_sentence(term.name, term.definition), (evidence(term.definition, "definition", (term.id,)),)
            )
            assert FactChecker().reason_to_reject(sentence, CellProfile(term.name, term.id)) is None, sentence.text


def test_nearly_no_definition_passes_when_it_cites_another():
    cells = ontology("CL")
    terms = [term for term in map(cells.term, cells.term_ids()[::10]) if term.definition]
    passed = [
        one.name
        for one, other in zip(terms, terms[::-1], strict=True)
        if one.id != other.id
        and objection(
            definition_sentence(one.name, one.definition),
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
        reason_given = objection(case["sentence"], *cited, profile=CellProfile(**case["profile"]))
        (stopped if case["true"] else caught).append(reason_given is not None)
    assert len(caught) >= 60
    assert len(stopped) >= 60
    assert sum(caught) >= 0.90 * len(caught)
    assert sum(stopped) <= 0.10 * len(stopped)
