"""Reliability diagram of prediction confidence, and accuracy by coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from okrcell.cells.anndata_checks import check_is_anndata
from okrcell.errors import InputError
from okrcell.pl._canvas import PALETTE, UNKNOWN_COLOR, color_on, get_axes, obs_column, save_and_show, term_ids

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

UNLABELED = frozenset({"", "unknown", "nan"})
MAX_BINS = 10
Z_95 = 1.96
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class ReliabilityCurve:
    """Points of a reliability diagram: accuracy by bin of confidence."""

    confidence: Float[np.ndarray, "bin"]
    """Mean confidence of the bin, in [0, 1]."""
    accuracy: Float[np.ndarray, "bin"]
    """Fraction of the bin's cells that are correct, in [0, 1]."""
    low: Float[np.ndarray, "bin"]
    high: Float[np.ndarray, "bin"]
    """Bounds of the 95 % Wilson interval of that fraction."""
    n_cells: Float[np.ndarray, "bin"]
    """Number of cells of the bin."""


def calibration(
    adata: "AnnData",
    *,
    truth: str = "cell_type",
    answer: str = "okrcell_cell_type",
    confidence: str = "okrcell_confidence",
    expected: Mapping[str, str] | None = None,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Plot a reliability diagram of confidence and the accuracy by coverage.

    Left: accuracy against mean confidence in ten bins, with 95 % intervals; calibrated confidence lies on the dashed
    diagonal, where 80 % of the cells with confidence 0.8 are correct. Right: accuracy of the most confident fraction of the
    cells; the dashed line is the accuracy of all cells.

    Parameters
    ----------
    adata : AnnData
        Cells with labels, predictions and confidence in ``obs``.
    truth : str, default "cell_type"
        Column of ``obs`` with the authors' labels: names or Cell Ontology ids. Cells whose label is missing, empty or
        "unknown" are left out.
    answer : str, default "okrcell_cell_type"
        Column of ``obs`` with the predicted cell types, as `okrcell.tl.annotate` writes it.
    confidence : str, default "okrcell_confidence"
        Column of ``obs`` with the probability of each prediction, in [0, 1]. A missing value counts as 0.
    expected : mapping of str to str, optional
        Correct prediction by label, where the two columns use different words. Labels that are not in the mapping are
        compared as they are.
    title : str, optional
        Title. None (default): "Reliability diagram".
    ax : matplotlib.axes.Axes, optional
        Axes of the reliability diagram; the second panel is added to its right. None (default): the axes of a new figure.
    show : bool, optional
        Whether to show the figure. None (default): as set by ``scanpy.settings.autoshow``, and only for a figure that this
        function created and that is not saved.
    save : str or Path, optional
        Image file to write, at 200 dpi; the extension selects the format, such as .png, .pdf or .svg. The folder must exist.

    Returns
    -------
    matplotlib.axes.Axes
        Axes of the reliability diagram; the second panel is ``ax.child_axes[0]``.

    Raises
    ------
    InputError
        If a column is missing, confidence is not numeric or outside [0, 1], no cell has a label, or ``save`` cannot be
        written.

    Notes
    -----
    A prediction is correct if it has the Cell Ontology id of the label. Ids are read from ``<column>_ontology_term_id``, such
    as ``cell_type_ontology_term_id``, where it exists; otherwise the prediction must equal the label, or both must name the
    same term. The bins of the diagram are
    deciles of confidence; cells of equal confidence share a bin, so there may be fewer than ten. The intervals are Wilson
    score intervals. The expected calibration error is that of [1]_ (equation 3), with ten bins of equal width.

    References
    ----------
    .. [1] Guo et al., On Calibration of Modern Neural Networks, ICML 2017.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.annotate(adata, model, candidates=["B cell", "monocyte", "natural killer cell", "dendritic cell"])
    >>> adata.obs["label"] = adata.obs["bulk_labels"].map(
    ...     {"CD19+ B": "B cell", "CD14+ Monocyte": "monocyte", "CD56+ NK": "NK cell", "Dendritic": "dendritic cell"}
    ... )
    >>> ax = okr.pl.calibration(adata, truth="label", show=False)
    >>> ax.get_title(loc="left")
    'Reliability diagram'
    """
    from okrcell.metrics.annotation import expected_calibration_error

    check_is_anndata(adata)
    probs, correct = evaluate_predictions(adata, truth, answer, confidence, expected)
    curve = reliability_curve(probs, correct)
    ece = expected_calibration_error(probs, correct)
    is_new, ax = ax is None, get_axes(ax, 8.2, 4.0)
    ax.plot([0, 1], [0, 1], color=UNKNOWN_COLOR, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    ax.fill_between(
        curve.confidence, curve.low, curve.high, color=color_on(ax, PALETTE[0]), alpha=0.15, linewidth=0, zorder=2
    )
    ax.plot(
        curve.confidence,
        curve.accuracy,
        color=color_on(ax, PALETTE[0]),
        marker="o",
        markersize=5,
        linewidth=1.6,
        zorder=3,
    )
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_box_aspect(1)
    _style_axes(ax, "confidence", "accuracy")
    heading = "Reliability diagram" if title is None else title
    ax.set_title(heading, loc="left", fontsize="medium", fontweight="bold")
    ax.text(
        0.04,
        0.95,
        f"{len(probs):,} cells\nexpected calibration error {ece:.3f}",
        transform=ax.transAxes,
        fontsize="small",
        va="top",
    )
    _draw_coverage(ax, probs, correct)
    return save_and_show(ax, is_new=is_new, show=show, save=save)


def evaluate_predictions(
    adata: "AnnData", truth: str, answer: str, confidence: str, expected: Mapping[str, str] | None = None
) -> tuple[Float[np.ndarray, "cell"], Bool[np.ndarray, "cell"]]:
    """Return the confidence of each labeled cell, and whether its prediction is correct.

    Parameters
    ----------
    truth, answer, confidence
        Columns of ``obs``: labels, predicted cell types and their probabilities.
    expected
        Correct prediction by label, where the two columns use different words.

    Returns
    -------
    Confidence in [0, 1] (0 where it is missing) and correctness, for the cells that have a label.

    Raises
    ------
    InputError
        If a column is missing, confidence is not a probability, or no cell has a label.
    """
    series = obs_column(adata, confidence)
    if not pd.api.types.is_numeric_dtype(series):
        raise InputError(f"obs['{confidence}'] must hold numbers, but its dtype is {series.dtype}.")
    probs = series.to_numpy(dtype=np.float64)
    finite = probs[~np.isnan(probs)]
    if len(finite) and (finite.min() < 0 or finite.max() > 1):
        raise InputError(
            f"obs['{confidence}'] must hold probabilities in [0, 1], but its range is {finite.min():.3g} to {finite.max():.3g}."
        )
    labels, predictions = (obs_column(adata, key).astype(object).fillna("").astype(str) for key in (truth, answer))
    label_ids, predicted_ids = (term_ids(adata, key) for key in (truth, answer))
    has_label = ~labels.isin(UNLABELED).to_numpy()
    if not has_label.any():
        raise InputError(
            f"No cell has a label in obs['{truth}'], so accuracy cannot be computed. Pass a labeled column as truth."
        )
    pairs = pd.DataFrame(
        {"label": labels.to_numpy(), "label_id": label_ids, "given": predictions.to_numpy(), "given_id": predicted_ids}
    )[has_label]
    rows: list[tuple[str, str, str, str]] = list(pairs.itertuples(index=False, name=None))
    is_correct = {row: _is_correct(row, expected or {}) for row in set(rows)}
    correct = np.array([is_correct[row] for row in rows], dtype=bool)
    return np.nan_to_num(probs[has_label], nan=0.0), correct


def reliability_curve(probs: Float[np.ndarray, "cell"], correct: Bool[np.ndarray, "cell"]) -> ReliabilityCurve:
    """Bin cells by deciles of confidence and compute accuracy with Wilson intervals.

    Cells of equal confidence share a bin, so there may be fewer than ten.
    """
    edges = np.unique(np.quantile(probs, np.linspace(0, 1, MAX_BINS + 1)[1:-1]))
    bin_idx = np.searchsorted(edges, probs, side="right")
    n_cells = np.bincount(bin_idx).astype(np.float64)
    nonempty = n_cells > 0
    n_nonempty = n_cells[nonempty]
    accuracy = np.bincount(bin_idx, weights=correct)[nonempty] / n_nonempty
    center = (accuracy + Z_95**2 / (2 * n_nonempty)) / (1 + Z_95**2 / n_nonempty)
    half_width = (
        Z_95
        / (1 + Z_95**2 / n_nonempty)
        * np.sqrt(accuracy * (1 - accuracy) / n_nonempty + Z_95**2 / (4 * n_nonempty**2))
    )
    return ReliabilityCurve(
        np.bincount(bin_idx, weights=probs)[nonempty] / n_nonempty,
        accuracy,
        center - half_width,
        center + half_width,
        n_nonempty,
    )


def _is_correct(row: tuple[str, str, str, str], expected: Mapping[str, str]) -> bool:
    label, label_id, predicted, predicted_id = row
    if label in expected:
        return _same_cell_type(expected[label], predicted)
    if label_id and predicted_id:
        return label_id == predicted_id
    return _same_cell_type(label, predicted)


def _same_cell_type(expected: str, predicted: str) -> bool:
    from okrcell.ontology.ontology import ontology, prefix_of

    if expected == predicted:
        return True
    cell_ontology = ontology("CL")

    def term_id(label: str) -> str | None:
        term = None if prefix_of(label) == "CL" else cell_ontology.find(label)
        return term.id if term else cell_ontology.current_id(label)

    return term_id(expected) is not None and term_id(expected) == term_id(predicted)


def _draw_coverage(ax: "Axes", probs: Float[np.ndarray, "cell"], correct: Bool[np.ndarray, "cell"]) -> None:
    """Plot the accuracy of the most confident fraction of the cells, in a panel beside ``ax``."""
    from okrcell.metrics.annotation import accuracy_by_coverage

    panel = ax.inset_axes((1.28, 0, 1, 1))
    accuracies = accuracy_by_coverage(probs, correct)
    panel.plot(
        list(accuracies),
        list(accuracies.values()),
        color=color_on(ax, PALETTE[0]),
        marker="o",
        markersize=5,
        linewidth=1.6,
    )
    panel.axhline(float(correct.mean()), color=UNKNOWN_COLOR, linewidth=1, linestyle=(0, (4, 3)))
    panel.set(xlim=(0, 1.03), ylim=(0, 1.02))
    _style_axes(panel, "coverage: fraction of cells, most confident first", "accuracy")
    panel.set_title("Accuracy by coverage", loc="left", fontsize="medium", fontweight="bold")
    panel.text(0.04, 0.05, f"dashed: all cells, {correct.mean():.1%}", transform=panel.transAxes, fontsize="small")


def _style_axes(ax: "Axes", xlabel: str, ylabel: str) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(length=0, labelsize="small")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    ax.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
    ax.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
    ax.set_xlabel(xlabel, loc="left", fontsize="small")
    ax.set_ylabel(ylabel, loc="top", fontsize="small")
