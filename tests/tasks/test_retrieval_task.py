"""Retrieval of cells and texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import okrcell as okr
from okrcell.tasks import retrieval as retrieve
from okrcell.tasks.retrieval import group_vectors, query_findings, rank_texts, text_similarity, top_indices

CELLS = np.array([[1, 0], [0, 1], [-1, 0], [np.nan, np.nan]], dtype=np.float32)
TEXTS = np.array([[0.6, 0.8], [1, 0], [1, 0], [-1, 0]], dtype=np.float32)


class Axis:
    """Embedder that maps every text to the first axis."""

    name = "axis"

    def embed_texts(self, texts):
        return np.tile(np.array([1, 0], dtype=np.float32), (len(texts), 1))


def test_a_match_is_the_cosine_and_an_empty_cell_has_none():
    np.testing.assert_allclose(text_similarity(CELLS, "B cell", Axis()), [1, 0, -1, np.nan], atol=1e-6)


def test_ties_keep_their_order_and_an_empty_cell_is_never_found():
    scores = np.array([0.5, np.nan, 0.9, 0.5, 0.9])
    assert top_indices(scores, 3).tolist() == [2, 4, 0]
    assert top_indices(scores, 99).tolist() == [2, 4, 0, 3]


def test_the_best_text_comes_first_and_an_empty_cell_has_none():
    found = rank_texts(CELLS, TEXTS, 3)
    assert found.indices.tolist() == [[1, 2, 0], [0, 1, 2], [3, 0, 1], [-1, -1, -1]]
    np.testing.assert_allclose(found.similarity[:2], [[1, 1, 0.6], [0.8, 0, 0]])
    assert np.isnan(found.similarity[3]).all()


def test_there_are_no_more_ranks_than_texts():
    assert rank_texts(CELLS, TEXTS[:2], 10).indices.shape == (4, 2)
    assert rank_texts(CELLS[:0], TEXTS, 2).indices.shape == (0, 2)


@given(st.integers(1, 40))
def test_the_size_of_a_block_changes_nothing(size):
    rng = np.random.default_rng(0)
    cells, texts = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    whole, former = rank_texts(cells, texts, 2), retrieve.MAX_SCORES
    retrieve.MAX_SCORES = size
    try:
        parts = rank_texts(cells, texts, 2)
    finally:
        retrieve.MAX_SCORES = former
    np.testing.assert_array_equal(parts.indices, whole.indices)


def test_a_group_matches_as_its_cells_do_on_average():
    group = np.array([0, 0, 2, 2])
    vectors = group_vectors(CELLS, group, 4)
    np.testing.assert_allclose(vectors[0] @ TEXTS[0], np.mean(CELLS[:2] @ TEXTS[0]), rtol=1e-6)
    # The empty cell of the third group is skipped; the other groups have no cell.
    np.testing.assert_allclose(vectors[2], CELLS[2])
    assert np.isnan(vectors[[1, 3]]).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MS4A1", ["MS4A1: gene names", "resembles no cell type"]),
        ("cells with CD79A and NKG7", ["CD79A, NKG7: gene names"]),
        ("the weather is nice today", ["resembles no cell type"]),
        ("a lymphocyte that makes antibodies", []),
        ("exhausted CD8 T cell in a tumour", []),
    ],
)
def test_gene_names_and_texts_that_fit_no_type_are_said(text, words):
    findings = query_findings(text, okr.load())
    assert len(findings) == len(words)
    assert all(word in finding for word, finding in zip(words, findings, strict=True))
