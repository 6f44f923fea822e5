"""Parsing of model answers and server responses."""

import json

import pytest
from fake_endpoint import GOOD, completion
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.descriptions.llm_prompt import (
    MAX_CITATIONS,
    MAX_RESPONSE_CHARS,
    MAX_SENTENCES,
    ChatCompletion,
    InvalidAnswer,
    InvalidCompletion,
    answer_schema,
    parse_answer,
    parse_completion,
)
from okrcell.evidence import Evidence

EVIDENCE = tuple(Evidence(f"fact {number}", "source", str(number), "", "") for number in (1, 2))


def reply(content: str) -> ChatCompletion:
    return ChatCompletion(content, truncated=False, prompt_tokens=None, completion_tokens=None)


@pytest.mark.parametrize(
    "content", [GOOD, f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```\n", f"<think>\nSo {{B}}.\n</think>\n{GOOD}"]
)
def test_thoughts_and_fences_around_the_json_are_let_go(content):
    assert [sentence.text for sentence in parse_answer(reply(content), EVIDENCE)] == [
        "This is a B cell.",
        "It is from blood.",
    ]


@pytest.mark.parametrize("content", [f"Here you are: {GOOD}", f"{GOOD}{GOOD}", f"[{GOOD}]", GOOD[:-1]])
def test_anything_else_around_it_is_refused(content):
    with pytest.raises(InvalidAnswer):
        parse_answer(reply(content), EVIDENCE)


def test_a_text_of_two_sentences_becomes_two_with_the_same_evidence():
    answer = {
        "sentences": [{"text": "It is a B cell. It\nlives [1, 2] in blood (e.g. in veins).", "evidence": [2, 1, 2]}]
    }
    first, second = parse_answer(reply(json.dumps(answer)), EVIDENCE)
    assert (first.text, second.text) == ("It is a B cell.", "It lives in blood (e.g. in veins).")
    assert first.evidence == second.evidence == EVIDENCE[::-1]


def test_what_is_said_twice_is_kept_once_and_ends_with_a_full_stop():
    answer = {"sentences": [{"text": "It is a B cell", "evidence": [1]}, {"text": "It is a B cell.", "evidence": [2]}]}
    assert [sentence.text for sentence in parse_answer(reply(json.dumps(answer)), EVIDENCE)] == ["It is a B cell."]


@settings(max_examples=40)
@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_any_content_is_sentences_or_a_reason(content):
    try:
        sentences = parse_answer(reply(content), EVIDENCE)
    except InvalidAnswer as error:
        assert str(error)
        return
    assert sentences


@given(text=st.text(alphabet=st.characters(categories=None)), cited=st.lists(st.integers(-1, 4)))
def test_any_sentence_is_cited_and_can_be_written_to_a_file(text, cited):
    answer = json.dumps({"sentences": [{"text": text, "evidence": cited}]})
    try:
        sentences = parse_answer(reply(answer), EVIDENCE)
    except InvalidAnswer as error:
        assert str(error)
        return
    assert all(sentence.evidence and sentence.text.isprintable() for sentence in sentences)
    assert " ".join(sentence.text for sentence in sentences).encode()
    assert {piece for sentence in sentences for piece in sentence.evidence} == {EVIDENCE[place - 1] for place in cited}


@settings(max_examples=40)
@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_any_body_is_a_reply_or_a_fault(body):
    with pytest.raises(InvalidCompletion):
        parse_completion(body)


def test_a_deep_body_is_a_fault_and_no_crash():
    with pytest.raises(InvalidCompletion):
        parse_completion("[" * 100_000)
    with pytest.raises(InvalidAnswer):
        parse_answer(reply("[" * 100_000), EVIDENCE)


@pytest.mark.parametrize("usage", [None, ("many", 3), (-1, 3)])
def test_a_server_that_tells_no_usage_is_read_all_the_same(usage):
    read = parse_completion(completion(GOOD, usage=usage))
    assert (read.content, read.prompt_tokens, read.completion_tokens) == (GOOD, None, None)


def test_a_huge_body_is_a_fault():
    with pytest.raises(InvalidCompletion, match="are not read"):
        parse_completion(completion("It is a cell. " * (MAX_RESPONSE_CHARS // 10)))


def answer(*texts: str, cited: int = 1) -> ChatCompletion:
    sentences = [{"text": text, "evidence": list(range(1, cited + 1))} for text in texts]
    return reply(json.dumps({"sentences": sentences}))


def test_the_bounds_of_the_schema_hold_for_a_server_that_knows_no_schema():
    evidence = EVIDENCE * 5
    texts = [f"It is cell number {number}." for number in range(MAX_SENTENCES + 1)]
    assert len(parse_answer(answer(*texts[1:], cited=MAX_CITATIONS), evidence)) == MAX_SENTENCES
    for wrong in (answer(*texts), answer(" ".join(texts)), answer(texts[0], cited=MAX_CITATIONS + 1)):
        with pytest.raises(InvalidAnswer, match=f"at most ({MAX_SENTENCES}|{MAX_CITATIONS})"):
            parse_answer(wrong, evidence)


def test_the_schema_names_the_fields_that_are_read():
    whole = answer_schema(n_evidence=2, max_sentences=10)
    sentence = whole["properties"]["sentences"]["items"]
    assert list(json.loads(GOOD)) == whole["required"]
    assert set(json.loads(GOOD)["sentences"][0]) == set(sentence["required"]) == set(sentence["properties"])
    assert sentence["properties"]["evidence"]["items"]["maximum"] == 2
