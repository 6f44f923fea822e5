import pytest

from okrcell.descriptions.metadata_text import (
    apposition,
    definition_sentence,
    indefinite_article,
    join_list,
    truncate_sentences,
)
from okrcell.evidence import split_sentences


def test_a_definition_becomes_a_sentence_about_the_name():
    assert (
        definition_sentence("natural killer cell", "A lymphocyte that kills.")
        == "A natural killer cell is a lymphocyte that kills."
    )
    assert definition_sentence("M cell", "Any epithelial cell that samples antigen") == (
        "An M cell is an epithelial cell that samples antigen."
    )


def test_a_definition_with_a_subject_of_its_own_stays_as_it_is():
    assert (
        definition_sentence("columnar cell", "A columnar cell is a cell of a sheet.")
        == "A columnar cell is a cell of a sheet."
    )
    assert (
        definition_sentence("neutrophil", "Any of the forms of a leukocyte.")
        == "Neutrophil: any of the forms of a leukocyte."
    )
    assert definition_sentence("monocyte", "Myeloid leukocyte.") == "Monocyte: myeloid leukocyte."


def test_the_article_that_an_ontology_leaves_open_is_chosen():
    assert (
        definition_sentence("cycling B cell", "A(n) B cell that is cycling.")
        == "A cycling B cell is a B cell that is cycling."
    )
    assert definition_sentence("venule cell", "A(n) endothelial cell that is part of a(n) venule.") == (
        "A venule cell is an endothelial cell that is part of a venule."
    )
    assert apposition("venule wall", "A(n) organ of a(n) venule.") == "venule wall, an organ of a venule"


def test_a_formula_defines_nothing():
    assert definition_sentence("fungal cell", "Any cell that in taxon some Fungi.") == "Fungal cell."
    assert apposition("fungal cell", "Any cell that in taxon some Fungi.") == "fungal cell"


def test_definitions_are_cut_at_sentence_ends():
    text = "First is e.g. short. Second is longer. Third."
    assert split_sentences(text) == ("First is e.g. short.", "Second is longer.", "Third.")
    assert truncate_sentences(text, 25) == "First is e.g. short."
    assert truncate_sentences(text, 40) == "First is e.g. short. Second is longer."
    assert truncate_sentences("", 40) == ""


def test_a_tissue_is_defined_in_passing():
    assert apposition("blood", "A fluid of plasma and cells. It flows.") == "blood, a fluid of plasma and cells"
    assert apposition("lung", "Respiration organ.") == "lung (respiration organ)"
    assert apposition("lung", "") == "lung"
    assert apposition("lung", "Long " * 80) == "lung"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("NK cell", "an"), ("B cell", "a"), ("CD4-positive T cell", "a"), ("unipolar cell", "a"), ("astrocyte", "an"),
     ("M2 macrophage", "an"), ("eukaryotic cell", "a"), ("oligodendrocyte", "an"), ("T cell", "a")],
)  # fmt: skip
def test_the_article_follows_the_sound(name: str, expected: str):
    assert indefinite_article(name) == expected


def test_a_list_reads_as_one():
    assert join_list(["CD79A", "MS4A1", "CD19"]) == "CD79A, MS4A1 and CD19"
    assert join_list(["CD79A", "MS4A1"]) == "CD79A and MS4A1"
    assert join_list(["CD79A"]) == "CD79A"
    assert join_list([]) == ""
