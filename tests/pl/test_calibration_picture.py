"""Confidence against truth, on one picture."""

import anndata
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from okrcell.errors import InputError
from okrcell.pl.calibration import calibration, evaluate_predictions, reliability_curve


def cells(label, answer, confidence):
    obs = pd.DataFrame({"cell_type": label, "okrcell_cell_type": answer, "okrcell_confidence": confidence})
    return anndata.AnnData(np.zeros((len(obs), 1), dtype=np.float32), obs=obs.rename(index=str))


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    sure = rng.uniform(size=1000)
    return cells("B", np.where(rng.uniform(size=1000) < sure, "B", "T"), sure)


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def test_answers_that_keep_their_word_lie_on_the_diagonal(adata, ax):
    assert calibration(adata, ax=ax, show=False) is ax
    line = ax.lines[1]
    assert len(line.get_xdata()) == 10
    np.testing.assert_allclose(line.get_ydata(), line.get_xdata(), atol=0.12)
    summary = ax.texts[0].get_text()
    assert summary.startswith("1,000 cells")
    assert float(summary.split()[-1]) < 0.05


def test_the_surest_are_the_most_often_right(adata, ax):
    calibration(adata, ax=ax, show=False)
    accuracy = ax.child_axes[0].lines[0].get_ydata()
    assert accuracy[0] > 0.9
    assert accuracy[-1] == pytest.approx((adata.obs["okrcell_cell_type"] == "B").mean())


def test_bins_are_counted_by_hand():
    sure, right = np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, True, True, True])
    found = reliability_curve(sure, right)
    assert found.confidence.tolist() == pytest.approx([0.1, 0.9])
    assert found.accuracy.tolist() == [0.5, 1.0]
    assert found.n_cells.tolist() == [2, 2]
    # Wilson's interval of one of two: (0.5 + 1.96^2 / 4) / (1 + 1.96^2 / 2) -+ ...
    assert (found.low[0], found.high[0]) == pytest.approx((0.0945, 0.9055), abs=1e-3)


def test_words_that_mean_one_type_are_the_same(ax):
    adata = cells(
        ["NK cell", "CL:0000236", "CD8", None], ["natural killer cell", "B cell", "T cell", "T cell"], [1.0] * 4
    )
    assert evaluate_predictions(adata, "cell_type", "okrcell_cell_type", "okrcell_confidence")[1].tolist() == [
        True,
        True,
        False,
    ]
    expected = {"CD8": "T cell"}
    _, right = evaluate_predictions(adata, "cell_type", "okrcell_cell_type", "okrcell_confidence", expected)
    assert right.tolist() == [True, True, True]


def test_ids_decide_where_both_columns_have_them():
    adata = cells(["my CD4s", "B", "B cell", "T"], ["CD4 T", "plasma", "T cell", "T cell"], [1.0] * 4)
    adata.obs["cell_type_ontology_term_id"] = ["CL:0000624", "CL:0000236", "CL:0000084", ""]
    adata.obs["okrcell_cell_type_ontology_term_id"] = ["CL:0000624", "CL:0000786", "CL:0000084", "CL:0000084"]
    _, right = evaluate_predictions(adata, "cell_type", "okrcell_cell_type", "okrcell_confidence")
    # Without an id, the names decide: "T" is a T cell.
    assert right.tolist() == [True, False, True, True]


def test_one_cell_and_one_confidence_are_enough(ax):
    calibration(cells(["B"], ["B"], [0.7]), ax=ax, show=False)
    ax.figure.canvas.draw()


def test_a_cell_without_expression_is_unsure_and_wrong():
    sure, right = evaluate_predictions(
        cells(["B", "B"], ["unknown", "B"], [np.nan, 0.9]), "cell_type", "okrcell_cell_type", "okrcell_confidence"
    )
    assert sure.tolist() == [0, 0.9]
    assert right.tolist() == [False, True]


def test_the_whole_picture_can_be_kept(adata, tmp_path):
    calibration(adata, save=tmp_path / "calibration.png")
    assert (tmp_path / "calibration.png").stat().st_size > 10_000


def test_what_is_no_probability_is_refused(adata):
    adata.obs["okrcell_confidence"] *= 30
    with pytest.raises(InputError, match="probabilities in"):
        calibration(adata, show=False)
    with pytest.raises(InputError, match="must hold numbers"):
        calibration(adata, confidence="cell_type", show=False)
    adata.obs["okrcell_confidence"] = 0.5
    with pytest.raises(InputError, match="no column 'truth'"):
        calibration(adata, truth="truth", show=False)
    adata.obs["cell_type"] = "unknown"
    with pytest.raises(InputError, match="No cell has a label"):
        calibration(adata, show=False)
