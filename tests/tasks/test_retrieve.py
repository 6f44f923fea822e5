"""The best cells come first."""

import numpy as np

from okrcell.tasks.retrieve import best, match


class Axis:
    """Every text points along the first axis."""

    name = "axis"

    def embed_texts(self, texts):
        return np.tile(np.array([1, 0], dtype=np.float32), (len(texts), 1))


def test_a_match_is_the_cosine_and_an_empty_cell_has_none():
    cells = np.array([[1, 0], [0, 1], [-1, 0], [np.nan, np.nan]], dtype=np.float32)
    np.testing.assert_allclose(match(cells, "B cell", Axis()), [1, 0, -1, np.nan], atol=1e-6)


def test_ties_keep_their_order_and_an_empty_cell_is_never_found():
    scores = np.array([0.5, np.nan, 0.9, 0.5, 0.9])
    assert best(scores, 3).tolist() == [2, 4, 0]
    assert best(scores, 99).tolist() == [2, 4, 0, 3]
