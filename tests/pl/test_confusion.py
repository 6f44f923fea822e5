"""Labels against answers."""

import anndata
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from okrcell import pl
from okrcell.errors import InputError
from okrcell.pl._canvas import wrap_text
from okrcell.pl.confusion import confusion_matrix


def cells(pairs):
    obs = pd.DataFrame(pairs, columns=["label", "okrcell_cell_type"]).rename(index=str)
    return anndata.AnnData(np.zeros((len(obs), 1), dtype=np.float32), obs=obs)


PAIRS = [("B", "B cell")] * 3 + [("B", "T cell")] + [("T", "T cell")] * 5 + [("NK", "unknown")]
EXPECTED = {"B": "B cell", "T": "T cell", "NK": "NK cell"}


def test_every_cell_is_counted_once():
    table = confusion_matrix(cells(PAIRS), "label", "okrcell_cell_type", EXPECTED)
    assert int(table.to_numpy().sum()) == len(PAIRS)


def test_what_is_expected_runs_down_the_diagonal():
    table = confusion_matrix(cells(PAIRS), "label", "okrcell_cell_type", EXPECTED)
    assert list(table.index) == ["B", "T", "NK"]
    assert list(table.columns) == ["B cell", "T cell", "NK cell", "unknown"]
    assert np.diag(table.to_numpy()).tolist() == [3, 5, 0]


def test_without_expectation_the_same_words_meet():
    table = confusion_matrix(
        cells([("b", "b"), ("a", "a"), ("a", "a"), ("a", "z"), ("b", "a")]), "label", "okrcell_cell_type"
    )
    assert list(table.index) == ["a", "b"]
    assert list(table.columns) == ["a", "z", "b"]


def test_missing_values_are_unknown():
    table = confusion_matrix(cells([("a", None), (None, "a")]), "label", "okrcell_cell_type")
    assert int(table.loc["a", "unknown"]) == int(table.loc["unknown", "a"]) == 1


def test_shares_of_a_row_are_written_with_counts():
    ax = Figure(layout="constrained").subplots()
    assert pl.confusion(cells(PAIRS), truth="label", expected=EXPECTED, ax=ax, show=False) is ax
    assert {text.get_text() for text in ax.texts} == {"75%\n3", "25%\n1", "100%\n5", "100%\n1"}
    np.testing.assert_allclose(ax.images[0].get_array().sum(axis=1), 1)


def test_expected_squares_are_framed():
    ax = Figure(layout="constrained").subplots()
    pl.confusion(cells(PAIRS), truth="label", expected=EXPECTED, ax=ax, show=False)
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert len(frames) == 3


def test_many_types_are_drawn_without_numbers():
    pairs = [(f"label {k}", f"answer {k}") for k in range(40)]
    ax = Figure(layout="constrained").subplots()
    pl.confusion(cells(pairs), truth="label", ax=ax, show=False)
    assert not ax.texts
    ax.figure.canvas.draw()


def test_one_cell_is_enough():
    ax = Figure(layout="constrained").subplots()
    pl.confusion(cells([("a", "b")]), truth="label", ax=ax, show=False)
    ax.figure.canvas.draw()


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="no column 'truth' in obs, which has: label"):
        pl.confusion(cells(PAIRS), truth="truth", show=False)


def test_a_name_that_looks_like_a_formula_is_drawn_as_text():
    text = Figure().text(0, 0, wrap_text(r"$\frac{T$ cell, $5 and B", 40))
    assert text.get_text().count(r"\$") == 3
    text.figure.draw_without_rendering()
