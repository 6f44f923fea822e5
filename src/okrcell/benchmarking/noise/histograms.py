"""Histograms of the symmetry of right and wrong pairs over epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.canvas import CLEAN_COLOUR, FAINT, WRONG_COLOUR, heading, kept, legend, panels
from okrcell.benchmarking.noise.ladder import USUAL
from okrcell.benchmarking.noise.reliability import EDGES
from okrcell.benchmarking.noise.report import share
from okrcell.benchmarking.noise.summary import Finding, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_EPOCHS = 5
"""Maximum number of epochs in the figure."""
TICKS = (0, 0.04, 0.25, 0.5, 1)
SHARES = (0, 0.01, 0.04, 0.1, 0.25, 0.5, 1)
"""Tick labels; the axes have square-root scales, because most wrong pairs may lie in one bin."""


def told_of(summary: Summary, objective: str) -> list[Finding]:
    """Select the detections of an objective to draw: for each kind of noise the rate nearest to `USUAL`."""
    mine = [one for one in summary.findings if one.objective == objective]
    return [
        min((one for one in mine if one.kind == kind), key=lambda one: abs(one.rate - USUAL))
        for kind in dict.fromkeys(one.kind for one in mine)
    ]


def draw_histograms(findings: list[Finding], path: Path) -> None:
    """Draw the distribution of r of right and wrong pairs by epoch; one row per kind of noise."""
    epochs = [_epochs(one) for one in findings]
    figure, axes = panels(len(findings), max(map(len, epochs)), 2.7, 2.3)
    for row, (finding, some) in enumerate(zip(findings, epochs, strict=True)):
        # The same height in a row, so that its panels can be compared.
        sides = (finding.clean_counts, finding.wrong_counts)
        height = 1.15 * max((_parts(counts[epoch]).max() for epoch in some for counts in sides), default=1.0)
        for column, ax in enumerate(axes[row]):
            if column >= len(some):
                ax.set_visible(False)
                continue
            _histogram(ax, finding, some[column], height)
            area = finding.symmetry[some[column]]
            ax.set_title(f"AUROC {area.mean:.2f}" if area else "", loc="right", fontsize=9, color=FAINT)
            if row == 0 or some != epochs[0]:
                heading(ax, f"epoch {some[column] + 1}")
            if column == 0:
                ax.set_ylabel(f"{share(finding.rate)} {finding.kind}\nfraction of pairs", fontsize=9)
            else:
                ax.tick_params(labelleft=False)
            if row == len(findings) - 1:
                ax.set_xlabel("symmetry r", fontsize=9)
    legend(figure, axes[0, 0])
    figure.suptitle(
        f"{findings[0].objective}: symmetry of right and wrong pairs (square-root scales)",
        x=0.01,
        ha="left",
        fontsize=12,
    )
    kept(figure, path)


def _epochs(finding: Finding) -> list[int]:
    """Indices of the epochs to draw, evenly spaced from the first recorded one to the last."""
    there = [place for place, counts in enumerate(finding.clean_counts) if sum(counts)]
    chosen = np.linspace(0, len(there) - 1, min(MOST_EPOCHS, len(there))).round().astype(int)
    return [there[place] for place in chosen.tolist()]


def _parts(counts: Sequence[int]) -> NDArray[np.float64]:
    parts = np.array(counts, dtype=np.float64)
    return parts / max(parts.sum(), 1)


def _histogram(ax: "Axes", finding: Finding, epoch: int, height: float) -> None:
    sides = ((finding.clean_counts, CLEAN_COLOUR, "right pairs"), (finding.wrong_counts, WRONG_COLOUR, "wrong pairs"))
    for counts, colour, label in sides:
        parts = _parts(counts[epoch])
        ax.stairs(parts, np.sqrt(EDGES), color=colour, linewidth=1.6, label=label)
        ax.stairs(parts, np.sqrt(EDGES), color=colour, fill=True, alpha=0.18)
    ax.set_yscale("function", functions=(lambda part: np.sqrt(np.maximum(part, 0)), np.square))
    ax.set_ylim(0, height)
    ticks = [tick for tick in SHARES if tick <= height]
    ax.set_yticks(ticks, [share(tick) for tick in ticks])
    ax.set_xlim(0, 1)
    ax.set_xticks(np.sqrt(TICKS), [f"{tick:g}" for tick in TICKS])
