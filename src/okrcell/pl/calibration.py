"""Whether confidence keeps its word."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from okrcell.errors import InputError
from okrcell.pl.canvas import CATEGORIES, UNKNOWN, axes_for, finish
from okrcell.pl.ground import column

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

UNLABELLED = frozenset({"", "unknown", "nan"})
BINS = 10
SURE = 1.96
"""Standard deviations of a 95 % interval."""


@dataclass(frozen=True)
class Kept:
    """How often answers of like confidence were right."""

    confidence: Float[np.ndarray, "bin"]
    """Mean in the bin, in [0, 1]."""
    right: Float[np.ndarray, "bin"]
    """Share of the bin's cells that are right."""
    low: Float[np.ndarray, "bin"]
    high: Float[np.ndarray, "bin"]
    """Wilson's 95 % interval of that share."""
    cells: Float[np.ndarray, "bin"]


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
    """Draw how often answers were right against how sure they were, and how right the surest are.

    The line runs through ten groups of cells of equal size, from the least to the most sure, with 95 % intervals: where
    it lies on the diagonal, a confidence of 0.8 is right 8 times of 10. The panel to the right answers: if only the surest
    share of the cells is kept, what share of them is right? Cells without a label are left out; those without expression
    are unsure and wrong.

    Parameters
    ----------
    truth, answer
        Columns of ``obs``: the authors' labels and the answers. A label and an answer that mean one Cell Ontology type are
        the same.
    confidence
        Column of ``obs`` with probabilities in [0, 1].
    expected
        Label to the answer that would be right, where the two use different words.
    title
        Heading.
    ax, show, save
        As for `okrcell.pl.answers`; the second panel is made beside ``ax``.

    Returns
    -------
    The axes of the reliability diagram; the other panel is ``ax.child_axes[0]``.

    Raises
    ------
    InputError
        If a column is missing, confidence is no probability, no cell has a label, or ``save`` cannot be written.
    """
    from okrcell.benchmarking.metrics.calibration import expected_calibration_error

    sure, right = answers_judged(adata, truth, answer, confidence, expected)
    found = kept(sure, right)
    error = expected_calibration_error(sure, right)
    new, ax = ax is None, axes_for(ax, 8.2, 4.0)
    ax.plot([0, 1], [0, 1], color=UNKNOWN, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    ax.fill_between(found.confidence, found.low, found.high, color=CATEGORIES[0], alpha=0.15, linewidth=0, zorder=2)
    ax.plot(found.confidence, found.right, color=CATEGORIES[0], marker="o", markersize=5, linewidth=1.6, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_box_aspect(1)
    _quiet(ax, "confidence", "share that is right")
    heading = "Confidence and truth" if title is None else title
    ax.set_title(heading, loc="left", fontsize="medium", fontweight="bold")
    ax.text(
        0.04,
        0.95,
        f"{len(sure):,} cells\nexpected calibration error {error:.3f}",
        transform=ax.transAxes,
        fontsize="small",
        va="top",
    )
    _coverage(ax, sure, right)
    return finish(ax, new=new, show=show, save=save)


def answers_judged(
    adata: "AnnData", truth: str, answer: str, confidence: str, expected: Mapping[str, str] | None = None
) -> tuple[Float[np.ndarray, "cell"], Bool[np.ndarray, "cell"]]:
    """Return how sure the answer of each labelled cell is, and whether it is right.

    Raises
    ------
    InputError
        If a column is missing, confidence is no probability, or no cell has a label.
    """
    numbers = column(adata, confidence)
    if not pd.api.types.is_numeric_dtype(numbers):
        raise InputError(f"obs['{confidence}'] must hold numbers, but it holds {numbers.dtype}.")
    sure = numbers.to_numpy(dtype=np.float64)
    seen = sure[~np.isnan(sure)]
    if len(seen) and (seen.min() < 0 or seen.max() > 1):
        raise InputError(
            f"obs['{confidence}'] must hold probabilities in [0, 1], but it reaches from {seen.min():.3g} to {seen.max():.3g}."
        )
    labels, given = (column(adata, key).astype(object).fillna("").astype(str) for key in (truth, answer))
    labelled = ~labels.isin(UNLABELLED).to_numpy()
    if not labelled.any():
        raise InputError(f"No cell has a label in obs['{truth}'], so no answer can be judged.")
    pairs = pd.DataFrame({"label": labels.to_numpy(), "given": given.to_numpy()})[labelled]
    judged = {
        pair: _same(str(pair[0]) if expected is None else expected.get(str(pair[0]), str(pair[0])), str(pair[1]))
        for pair in set(pairs.itertuples(index=False, name=None))
    }
    right = np.array([judged[pair] for pair in pairs.itertuples(index=False, name=None)], dtype=bool)
    return np.nan_to_num(sure[labelled], nan=0.0), right


def kept(sure: Float[np.ndarray, "cell"], right: Bool[np.ndarray, "cell"]) -> Kept:
    """Put the cells into ten groups of nearly equal size by their confidence; cells of equal confidence stay together."""
    edges = np.unique(np.quantile(sure, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, sure, side="right")
    cells = np.bincount(place).astype(np.float64)
    filled = cells > 0
    count = cells[filled]
    share = np.bincount(place, weights=right)[filled] / count
    centre = (share + SURE**2 / (2 * count)) / (1 + SURE**2 / count)
    half = SURE / (1 + SURE**2 / count) * np.sqrt(share * (1 - share) / count + SURE**2 / (4 * count**2))
    return Kept(np.bincount(place, weights=sure)[filled] / count, share, centre - half, centre + half, count)


def _same(expected: str, given: str) -> bool:
    from okrcell.knowledge.ontology import ontology, prefix_of

    if expected == given:
        return True
    home = ontology("CL")

    def meant(word: str) -> str | None:
        term = None if prefix_of(word) == "CL" else home.find(word)
        return term.id if term else home.current(word)

    return meant(expected) is not None and meant(expected) == meant(given)


def _coverage(ax: "Axes", sure: Float[np.ndarray, "cell"], right: Bool[np.ndarray, "cell"]) -> None:
    """Draw the accuracy of the surest share of the cells, in a panel of its own."""
    from okrcell.benchmarking.metrics.calibration import accuracy_by_coverage

    beside = ax.inset_axes((1.28, 0, 1, 1))
    shares = accuracy_by_coverage(sure, right)
    beside.plot(list(shares), list(shares.values()), color=CATEGORIES[0], marker="o", markersize=5, linewidth=1.6)
    beside.axhline(float(right.mean()), color=UNKNOWN, linewidth=1, linestyle=(0, (4, 3)))
    beside.set(xlim=(0, 1.03), ylim=(0, 1.02))
    _quiet(beside, "share of cells kept, the surest first", "accuracy of those kept")
    beside.set_title("If the unsure are left out", loc="left", fontsize="medium", fontweight="bold")
    beside.text(0.04, 0.05, f"dashed: all cells, {right.mean():.1%}", transform=beside.transAxes, fontsize="small")


def _quiet(ax: "Axes", x: str, y: str) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(length=0, labelsize="small")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    ax.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
    ax.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
    ax.set_xlabel(x, loc="left", fontsize="small")
    ax.set_ylabel(y, loc="top", fontsize="small")
