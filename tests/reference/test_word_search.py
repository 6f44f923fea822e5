"""Passages are scored by words as bm25s scores them, also when they came in portions."""

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.knowledge.bm25 import K1, TOKENIZERS, B, BM25Search

texts = st.lists(st.text(alphabet="ab -", max_size=12).map(lambda text: f"x {text}"), min_size=1, max_size=8)


@pytest.mark.parametrize("by", TOKENIZERS)
@settings(max_examples=50, deadline=None)
@given(texts, st.integers(0, 8), st.text(alphabet="abx ", max_size=8))
def test_the_scores_are_those_of_bm25s(by, texts, first, question):
    reference = bm25s.BM25(k1=K1, b=B, method="lucene")
    reference.index([TOKENIZERS[by](text) for text in texts], show_progress=False)
    query_tokens = TOKENIZERS[by](question)
    expected = reference.get_scores(query_tokens) if reference.get_tokens_ids(query_tokens) else np.zeros(len(texts))
    whole = BM25Search.build(by, texts)
    grown = BM25Search.build(by, texts[first:], BM25Search.build(by, texts[:first]))
    np.testing.assert_allclose(whole.scores(question), expected, rtol=1e-5)
    np.testing.assert_array_equal(whole.scores(question), grown.scores(question))
