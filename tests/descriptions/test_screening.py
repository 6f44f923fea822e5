from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from okrcell.descriptions.description import Description, Sentence
from okrcell.descriptions.fact_check import FactChecker
from okrcell.descriptions.llm_prompt import shortened_texts
from okrcell.descriptions.screening import MIN_TYPES, ScreeningSettings, remove_unsupported, screen
from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import ontology

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Letters:
    """Text embedder by letter frequencies."""

    name = "letters"

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = np.array([[text.lower().count(letter) for letter in ALPHABET] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def described(name: str, term: str, *texts: str) -> Description:
    profile = CellProfile(name, term)
    evidence = Evidence(f"Marker genes of {name}: CD79A.", "a source", term, "", "", "marker", (term,), ("CD79A",))
    sentences = tuple(Sentence(text, (evidence,)) for text in texts)
    return Description(profile, sentences, (" ".join(texts), *texts[:1], name), "endpoint", "essay-1, a model")


def original(text: Description) -> Description:
    return replace(text, sentences=(), phrasings=(f"{text.profile.cell_type}.",), writer="template", prompt="")


def test_a_false_sentence_leaves_every_phrasing_and_is_kept_with_the_reason():
    text = described("B cell", "CL:0000236", "A B cell expresses CD19.", "A B cell expresses CD79A.")
    sifted = remove_unsupported(text, FactChecker())
    assert [sentence.text for sentence in sifted.sentences] == ["A B cell expresses CD79A."]
    assert sifted.phrasings == ("A B cell expresses CD79A.", "B cell: A B cell expresses CD79A.")
    assert [dropped.text for dropped in sifted.dropped] == ["A B cell expresses CD19."]
    assert "CD19" in sifted.dropped[0].reason


def test_a_sentence_is_cut_out_where_it_is_one_and_not_inside_another():
    false, true = "B cells express CD19.", "CD79A marks B cells."
    text = described("B cell", "CL:0000236", false, true, "In blood, B cells express CD19.")
    texts = (f"{true} {false}", f"B cell: {false}", f"B cell: {false} {true}", f"{true} In mice, {false}")
    sifted = remove_unsupported(
        replace(text, sentences=text.sentences[:2], phrasings=texts, writer="template"), FactChecker()
    )
    assert sifted.phrasings == (true, f"B cell: {true}", f"{true} In mice, {false}")


def test_a_language_models_phrasings_are_made_anew():
    texts = ("B cells express CD19.", "B cells express CD79A.", "CD79A marks B cells.")
    text = described("B cell", "CL:0000236", *texts)
    sifted = remove_unsupported(text, FactChecker())
    assert sifted.phrasings == shortened_texts("B cell", texts[1:])
    assert sifted.phrasings == (" ".join(texts[1:]), f"B cell: {texts[1]}")


def test_a_text_unlike_its_original_is_replaced_and_told_why():
    like = described("B cell", "CL:0000236", "B cell CD79A.")
    unlike = described("B cell", "CL:0000236", "CD79A zzz zzz zzz.")
    screened = screen([like, unlike], [original(like), original(unlike)], Letters(), ScreeningSettings(threshold=0.5))
    accepted, replaced = screened.descriptions
    assert accepted is not None
    assert replaced is not None
    assert accepted.outcome == "written"
    assert accepted.similarity is not None
    assert accepted.similarity > 0.5
    assert (replaced.outcome, replaced.phrasings, replaced.writer) == ("original", ("B cell.",), "endpoint")
    assert "under 0.500" in replaced.remark
    assert screened.report.rejected == 0.5


def test_a_rejected_text_may_leave_nothing():
    unlike = described("B cell", "CL:0000236", "CD79A zzz zzz zzz.")
    settings = ScreeningSettings(threshold=0.5, on_reject="drop")
    assert screen([unlike], [original(unlike)], Letters(), settings).descriptions == (None,)


def test_without_a_true_sentence_the_original_stands():
    text = described("B cell", "CL:0000236", "A B cell expresses CD19.")
    (screened,) = screen([text], [original(text)], Letters(), ScreeningSettings(threshold=-1)).descriptions
    assert screened is not None
    assert (screened.outcome, screened.phrasings) == ("original", ("B cell.",))
    assert len(screened.dropped) == 1


def test_sentences_are_left_alone_when_asked():
    text = described("B cell", "CL:0000236", "A B cell expresses CD19.")
    settings = ScreeningSettings(threshold=-1, sentences=False)
    (screened,) = screen([text], [original(text)], Letters(), settings).descriptions
    assert screened is not None
    assert screened.sentences == text.sentences


def cell_type_texts(number: int) -> list[Description]:
    home = ontology("CL")
    terms = [home.term(term) for term in home.term_ids() if home.term(term).definition][:number]
    return [described(term.name, term.id, f"A {term.name} expresses CD79A.") for term in terms]


def test_the_calibrated_threshold_is_the_95th_percentile_of_strangers():
    texts = cell_type_texts(MIN_TYPES)
    originals = [original(text) for text in texts]
    report = screen(texts, originals, Letters(), ScreeningSettings(sentences=False)).report
    first = Letters().embed_texts([text.phrasings[0] for text in originals]).astype(float)
    written = Letters().embed_texts([text.phrasings[0] for text in texts]).astype(float)
    strangers = (first @ written.T)[~np.eye(MIN_TYPES, dtype=bool)]
    assert report.threshold == pytest.approx(np.percentile(strangers, 95))
    assert report.strangers.count == MIN_TYPES * (MIN_TYPES - 1)
    assert report.own.count == MIN_TYPES
    assert report.embedder == "letters"


def test_of_few_cell_types_no_text_is_rejected_and_the_report_says_so():
    texts = cell_type_texts(MIN_TYPES - 1)
    settings = ScreeningSettings(sentences=False)
    screened = screen(texts, [original(text) for text in texts], Letters(), settings)
    assert screened.report.threshold is None
    assert screened.report.rejected == 0
    assert [one.outcome for one in screened.descriptions if one] == ["written"] * (MIN_TYPES - 1)


def test_an_original_is_not_screened():
    text = original(described("B cell", "CL:0000236", "A B cell expresses CD79A."))
    text = replace(text, outcome="original", remark="the server did not answer")
    assert screen([text], [text], Letters(), ScreeningSettings(threshold=0.5)).descriptions == (text,)


def test_each_text_needs_its_original():
    with pytest.raises(InputError, match="1 written texts for 0 originals"):
        screen([described("B cell", "CL:0000236", "x")], [], Letters())


def test_the_threshold_is_a_cosine():
    with pytest.raises(ValidationError):
        ScreeningSettings(threshold=2)
