from collections.abc import Iterator, Sequence

import pytest

from okrcell.descriptions.description import Description, Sentence
from okrcell.descriptions.metadata_text import distinct_synonyms, label_texts
from okrcell.descriptions.template_writer import describe
from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile, read_profile

FULL = read_profile(
    {
        "cell_type": "CD14+ Mono",
        "cell_type_ontology_term_id": "CL:0001054",
        "tissue": "blood",
        "disease": "COVID-19",
        "development_stage": "adult",
        "sex": "male",
        "assay": "10x 3' v3",
    }
)


def test_equal_profiles_share_one_description():
    first, second, third = describe([FULL, CellProfile(cell_type="x", label="x"), FULL])
    assert first is third
    assert first is not second


def test_the_first_phrasing_is_the_sentences_in_a_row_and_begins_with_the_type():
    description = describe([FULL])[0]
    assert description.phrasings[0] == " ".join(sentence.text for sentence in description.sentences)
    assert description.phrasings[0].startswith("A CD14-positive monocyte is a monocyte")


def test_every_fact_is_said():
    text = describe([FULL])[0].phrasings[0]
    for fact in ("blood, a fluid", "COVID-19", "adult", "male", "10x 3' v3"):
        assert fact in text


def test_every_sentence_has_evidence_with_an_address():
    for sentence in describe([FULL])[0].sentences:
        assert sentence.evidence
        for piece in sentence.evidence:
            assert piece.record
            assert piece.source == "metadata" or (piece.snapshot and piece.licence)


def test_phrasings_go_from_the_full_text_to_the_authors_words():
    phrasings = describe([FULL])[0].phrasings
    assert "CD14-positive monocyte" in phrasings
    assert "CD14-positive monocyte in blood" in phrasings
    assert "CD14+ Mono" in phrasings
    assert "CD14+ Mono in blood of a donor with COVID-19" in phrasings
    assert len(set(phrasings)) == len(phrasings)


def test_descriptions_are_deterministic():
    assert describe([FULL]) == describe([FULL])


def test_a_cell_without_type_is_described_by_its_tissue():
    phrasings = describe(
        [CellProfile(tissue="blood", tissue_id="UBERON:0000178", disease="normal", disease_id="PATO:0000461")]
    )[0].phrasings
    assert phrasings[0].startswith("This cell comes from blood, a fluid")
    assert "A cell in normal blood." in phrasings


def test_a_cell_of_which_nothing_is_known_still_has_a_text():
    description = describe([CellProfile()])[0]
    assert description.sentences == ()
    assert description.phrasings == ("A cell.",)


def test_words_the_ontology_does_not_know_are_given_as_the_authors_words():
    assert describe([CellProfile(cell_type="Cancer Cycling", label="Cancer Cycling")])[0].phrasings[0] == (
        "Cancer Cycling, as the authors call this cell."
    )


def test_without_sources_nothing_is_said_that_the_profile_does_not_hold():
    description = describe([FULL], sources=())[0]
    assert description.phrasings[0].startswith("CD14-positive monocyte. It comes from blood.")
    assert {piece.source for sentence in description.sentences for piece in sentence.evidence} == {"metadata"}


def test_a_writer_and_a_source_of_ones_own_fit_in():
    class Notebook:
        name = "notebook"

        def evidence_for(self, term_id: str) -> Sequence[Evidence]:
            return (Evidence("glows", self.name, "page 1", "2024", "CC0"),) if term_id == "CL:0001054" else ()

        def passages(self) -> Iterator[Evidence]:
            return iter(())

    class Quoting:
        name = "quoting"

        def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
            sentences = tuple(Sentence(piece.text, (piece,)) for piece in evidence)
            return Description(profile, sentences, tuple(sentence.text for sentence in sentences))

    assert describe([FULL], Quoting(), [Notebook()])[0].phrasings == ("glows",)


def test_synonyms_that_are_only_another_spelling_are_left_out():
    assert distinct_synonyms("B cell", ("B lymphocyte", "B-cell", "B cells", "bursa cell"), 3) == ("bursa cell",)


def test_a_candidate_id_stands_for_definition_name_and_synonyms():
    texts = label_texts("CL:0000623")
    assert texts[0].startswith("A natural killer cell is a lymphocyte")
    assert texts[1:] == ("natural killer cell", "NK cell")
    assert len(label_texts("CL:0000169")) <= 5


def test_a_known_candidate_name_keeps_the_users_words_first():
    texts = label_texts("NK cells")
    assert texts[0] == "NK cells"
    assert set(label_texts("CL:0000623")) <= set(texts)


def test_free_text_stands_for_itself():
    assert label_texts("exhausted CD8 T cell  in a tumour") == ("exhausted CD8 T cell in a tumour",)


@pytest.mark.parametrize("wrong", ["CL:0000000000", "CL:62", "CL:abc", "cl_1", "UBERON:1"])
def test_an_id_that_does_not_exist_is_refused(wrong: str):
    with pytest.raises(InputError, match="has no term"):
        label_texts(wrong)


def test_an_empty_candidate_is_refused():
    with pytest.raises(InputError, match="empty"):
        label_texts("  ")
