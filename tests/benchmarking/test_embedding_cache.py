"""A model that remembers gives the very same vectors, and its time is charged all the same."""

import numpy as np

from okrcell.benchmarking.resources import CachedEmbedder, cached_seconds
from okrcell.cells.expression import read_expression
from okrcell.model.embedder import Embedder


def test_vectors_are_those_of_the_model_whoever_asks_again(checkpoint, blood):
    plain, cached = Embedder(checkpoint), CachedEmbedder(Embedder(checkpoint))
    expected = plain.embed_cells(read_expression(blood))
    rows = np.array([5, 3, 400, 299])
    before = cached_seconds()
    first = cached.embed_cells(read_expression(blood[:300].copy()))
    np.testing.assert_allclose(first, expected[:300], atol=1e-6)
    assert cached_seconds() == before
    np.testing.assert_allclose(cached.embed_cells(read_expression(blood[rows].copy())), expected[rows], atol=1e-6)
    np.testing.assert_allclose(cached.embed_cells(read_expression(blood)), expected, atol=1e-6)
    assert cached_seconds() > before
    texts = ["T cell", "B cell", "T cell"]
    for _ in range(2):
        np.testing.assert_allclose(cached.embed_texts(texts), plain.embed_texts(texts), atol=1e-6)


def test_a_cell_without_expression_stays_without_vector(checkpoint, blood):
    cells = blood[:5].copy()
    empty = cells.X.tolil()
    empty[2] = 0
    cells.X = empty.tocsr()
    cached = CachedEmbedder(Embedder(checkpoint))
    for _ in range(2):
        vectors = cached.embed_cells(read_expression(cells))
        assert np.isnan(vectors).all(axis=1).tolist() == [False, False, True, False, False]
