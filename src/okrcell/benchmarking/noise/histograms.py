"""Histograms of the symmetry of right and wrong pairs over epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.canvas import (
    CLEAN_COLOR,
    MUTED_COLOR,
    WRONG_COLOR,
    create_panels,
    save_figure,
    set_heading,
    shared_legend,
)
from okrcell.benchmarking.noise.ladder import DEFAULT_RATE
from okrcell.benchmarking.noise.reliability import EDGES
from okrcell.benchmarking.noise.report import percent
from okrcell.benchmarking.noise.summary import NoiseSummary, PairDetection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_EPOCHS = 5
"""Maximum number of epochs in the figure."""
TICKS = (0, 0.04, 0.25, 0.5, 1)
FRACTION_TICKS = (0, 0.01, 0.04, 0.1, 0.25, 0.5, 1)
"""Tick labels; the axes have square-root scales, because most wrong pairs may lie in one bin."""


def detections_to_draw(summary: NoiseSummary, objective: str) -> list[PairDetection]:
    """Select the detections of an objective to draw: for each kind of noise the rate nearest to `DEFAULT_RATE`."""
    detections = [detection for detection in summary.findings if detection.objective == objective]
    return [
        min(
            (detection for detection in detections if detection.kind == kind),
            key=lambda detection: abs(detection.rate - DEFAULT_RATE),
        )
        for kind in dict.fromkeys(detection.kind for detection in detections)
    ]


def draw_histograms(detections: list[PairDetection], path: Path) -> None:
    """Draw the distribution of r of right and wrong pairs by epoch; one row per kind of noise."""
    epochs = [_shown_epochs(detection) for detection in detections]
    figure, axes = create_panels(len(detections), max(map(len, epochs)), 2.7, 2.3)
    for row, (detection, shown_epochs) in enumerate(zip(detections, epochs, strict=True)):
        # The same height in a row, so that its panels can be compared.
        sides = (detection.clean_counts, detection.wrong_counts)
        height = 1.15 * max(
            (_fractions(counts[epoch]).max() for epoch in shown_epochs for counts in sides), default=1.0
        )
        for column, ax in enumerate(axes[row]):
            if column >= len(shown_epochs):
                ax.set_visible(False)
                continue
            _histogram(ax, detection, shown_epochs[column], height)
            area = detection.symmetry[shown_epochs[column]]
            ax.set_title(f"AUROC {area.mean:.2f}" if area else "", loc="right", fontsize=9, color=MUTED_COLOR)
            if row == 0 or shown_epochs != epochs[0]:
                set_heading(ax, f"epoch {shown_epochs[column] + 1}")
            if column == 0:
                ax.set_ylabel(f"{percent(detection.rate)} {detection.kind}\nfraction of pairs", fontsize=9)
            else:
                ax.tick_params(labelleft=False)
            if row == len(detections) - 1:
                ax.set_xlabel("symmetry r", fontsize=9)
    shared_legend(figure, axes[0, 0])
    figure.suptitle(
        f"{detections[0].objective}: symmetry of right and wrong pairs (square-root scales)",
        x=0.01,
        ha="left",
        fontsize=12,
    )
    save_figure(figure, path)


def _shown_epochs(detection: PairDetection) -> list[int]:
    """Indices of the epochs to draw, evenly spaced from the first recorded one to the last."""
    recorded = [i for i, counts in enumerate(detection.clean_counts) if sum(counts)]
    selected = np.linspace(0, len(recorded) - 1, min(MAX_EPOCHS, len(recorded))).round().astype(int)
    return [recorded[i] for i in selected.tolist()]


def _fractions(counts: Sequence[int]) -> NDArray[np.float64]:
    fractions = np.array(counts, dtype=np.float64)
    return fractions / max(fractions.sum(), 1)


def _histogram(ax: "Axes", detection: PairDetection, epoch: int, height: float) -> None:
    sides = ((detection.clean_counts, CLEAN_COLOR, "right pairs"), (detection.wrong_counts, WRONG_COLOR, "wrong pairs"))
    for counts, color, label in sides:
        fractions = _fractions(counts[epoch])
        ax.stairs(fractions, np.sqrt(EDGES), color=color, linewidth=1.6, label=label)
        ax.stairs(fractions, np.sqrt(EDGES), color=color, fill=True, alpha=0.18)
    ax.set_yscale("function", functions=(lambda fraction: np.sqrt(np.maximum(fraction, 0)), np.square))
    ax.set_ylim(0, height)
    ticks = [tick for tick in FRACTION_TICKS if tick <= height]
    ax.set_yticks(ticks, [percent(tick) for tick in ticks])
    ax.set_xlim(0, 1)
    ax.set_xticks(np.sqrt(TICKS), [f"{tick:g}" for tick in TICKS])
