"""Labels of published annotations are matched to the terms that they mean."""

import csv
from pathlib import Path

import pytest

from okrcell.ontology.matcher import MIN_MATCH_SCORE, match_label
from okrcell.ontology.ontology import ontology
from okrcell.ontology.standardise import candidate_terms

TABLE = Path(__file__).with_name("published_labels.tsv")
MIN_SHARE_RIGHT = 0.95
"""Floor of the share of right labels; 0.967 when the list was written."""
BLOOD, PANCREAS, KIDNEY = "UBERON:0000178", "UBERON:0001264", "UBERON:0002113"


def name(label: str, tissue_id: str = "") -> str:
    matches = candidate_terms("cell_type", label, tissue_id=tissue_id)
    return matches[0].term.name if matches and matches[0].score >= MIN_MATCH_SCORE else ""


@pytest.fixture(scope="module")
def published_labels() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_expected_ids_of_published_labels_exist(published_labels):
    ids = {term_id for row in published_labels for term_id in row["expected"].split("|") if term_id}
    assert {term_id for term_id in ids if ontology("CL").current_id(term_id) != term_id} == set()
    assert len(published_labels) >= 250


def test_published_labels_keep_their_share_of_right_terms(published_labels):
    wrong = []
    for row in published_labels:
        matches = candidate_terms("cell_type", row["label"], tissue_id=row["tissue"], top=1)
        found = matches[0].term.id if matches and matches[0].score >= MIN_MATCH_SCORE else ""
        if found not in row["expected"].split("|"):
            wrong.append(row["label"])
    assert 1 - len(wrong) / len(published_labels) >= MIN_SHARE_RIGHT, wrong


@pytest.mark.parametrize(
    ("label", "term"),
    [
        ("Neutrophilic granulocyte", "neutrophil"),
        ("Basophilic granulocyte", "basophil"),
        ("eosinophilic granulocytes", "eosinophil"),
        ("Ventricle cardiomyocyte cell", "ventricular cardiac muscle cell"),
        ("atrial cardiomyocyte", "regular atrial cardiac myocyte"),
        ("proliferating AT2", "cycling pulmonary alveolar type 2 cell"),
        ("Dividing B cells", "cycling B cell"),
        ("arterial ECs", "endothelial cell of artery"),
    ],
)
def test_an_adjective_is_part_of_the_name(label: str, term: str):
    assert name(label) == term


@pytest.mark.parametrize(
    ("label", "term"),
    [
        ("Multipotent progenitor (MPP)", "hematopoietic multipotent progenitor cell"),
        ("Regulatory T cell (Treg)", "regulatory T cell"),
        ("Goblet (bronchial)", "bronchial goblet cell"),
        ("Haematopoietic stem and progenitor cell", "hematopoietic precursor cell"),
        ("hematopoietic stem/progenitor cells", "hematopoietic precursor cell"),
        ("Conventional dendritic cell 2", "CD1c-positive myeloid dendritic cell"),
        ("cDC1", "CD141-positive myeloid dendritic cell"),
        ("DC2", "CD1c-positive myeloid dendritic cell"),
        ("CD4 Tem", "effector memory CD4-positive, alpha-beta T cell"),
        ("CD8 Naive", "naive thymus-derived CD8-positive, alpha-beta T cell"),
        ("Gamma cell", "pancreatic PP cell"),
        ("Pre-B cell", "precursor B cell"),
        ("Lymphoid cell", "lymphocyte"),
        ("Double negative T cell", "double negative thymocyte"),
    ],
)
def test_brackets_numbers_and_markers_are_part_of_the_name(label: str, term: str):
    assert name(label) == term


@pytest.mark.parametrize(
    ("label", "term"),
    [
        ("FCGR3A monocyte", "CD14-low, CD16-positive monocyte"),
        ("FCGR3A+ Monocytes", "CD14-low, CD16-positive monocyte"),
        ("MS4A1+ B cell", "B cell, CD20-positive"),
        ("NCAM1 bright NK", "CD16-negative, CD56-bright natural killer cell, human"),
        ("NK_CD56bright", "CD16-negative, CD56-bright natural killer cell, human"),
        ("CD16+ NK cells", "CD16-positive, CD56-dim natural killer cell, human"),
    ],
)
def test_a_gene_symbol_is_the_cd_antigen_of_the_name(label: str, term: str):
    assert name(label) in (term, term.split(",")[0] if label.startswith("MS4A1") else term)


def test_a_gene_symbol_alone_names_no_cell_type():
    assert name("MS4A1") == name("NCAM1") == ""


def test_a_short_label_has_its_meaning_in_its_organ():
    assert name("gamma", PANCREAS) == "pancreatic PP cell"
    assert name("gamma") == name("alpha") == ""
    assert name("cTAL", KIDNEY) == "kidney loop of Henle cortical thick ascending limb epithelial cell"
    assert name("MD", BLOOD) != "macula densa epithelial cell"
    assert name("Beta cell", "UBERON:0002107") == ""


def test_a_dropped_qualifier_costs_score_and_is_listed():
    whole, part = match_label("fibroblast", "CL")[0], match_label("Fibroblast_APOD high", "CL")[0]
    assert (whole.term.id, whole.omitted) == (part.term.id, ())
    assert part.method == "part"
    assert part.omitted
    assert part.score < whole.score


def test_a_word_of_an_ancestor_is_no_dropped_qualifier():
    match = match_label("CD14+ monocyte leukocyte", "CL")[0]
    assert (match.term.name, match.omitted) == ("CD14-positive monocyte", ())


def test_a_precursor_is_not_matched_to_any_precursor():
    assert name("Frobnicator precursor") == ""
