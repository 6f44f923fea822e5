"""Line plots of scores against the rate of noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.benchmarking.canvas import heading, kept, legend, panels
from okrcell.benchmarking.noise.looks import looks
from okrcell.benchmarking.noise.plan import CONTROL
from okrcell.benchmarking.noise.report import WORDS, minus, share
from okrcell.benchmarking.noise.summary import Scores, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST_RATES = 3
"""Minimum number of rates of a curve, if any objective was run at so many."""
KIND = {
    "shuffled": "Shuffled texts",
    "sibling": "Labels of a sibling type",
    "dropout": "Lost expression",
    "ambient": "Ambient expression",
    "doublets": "Doublets",
    "permuted": "Permuted expression",
}


def draw_curves(summary: Summary, path: Path) -> None:
    """Draw macro-F1 and accuracy against the rate of noise, one column per kind; bands are 95 % intervals over seeds.

    Objectives that were run at fewer than `FEWEST_RATES` rates have no curve if others have; see `draw_ladder` for them.
    """
    drawn = {kind: _drawn(summary, kind) for kind in summary.kinds}
    styles = looks([name for name in summary.objectives if any(name in some for some in drawn.values())])
    figure, axes = panels(len(WORDS), len(summary.kinds), 4.2, 3.3)
    for column, kind in enumerate(summary.kinds):
        for row, measure in enumerate(WORDS):
            ax = axes[row, column]
            _curves(ax, drawn[kind], measure, styles)
            if column == 0:
                ax.set_ylabel(f"{WORDS[measure]}, mean over sets", fontsize=9)
            if row == 0:
                heading(ax, KIND.get(kind, kind), _lead(summary, kind))
            if row == len(WORDS) - 1:
                ax.set_xlabel("fraction of wrong training pairs", fontsize=9)
    for row in axes:
        _same_height(list(row))
    legend(figure, *axes[0])
    kept(figure, path)


def _drawn(summary: Summary, kind: str) -> dict[str, list[Scores]]:
    """Return the scores by rate of the objectives that were run at enough rates for a curve."""
    scores = {
        name: [one for rate in summary.rates if (one := summary.score(name, kind, rate))] for name in summary.objectives
    }
    enough = min(FEWEST_RATES, max(map(len, scores.values())))
    # The control is drawn if it has two points.
    return {name: some for name, some in scores.items() if len(some) >= (2 if name == CONTROL else enough)}


def _curves(ax: "Axes", drawn: dict[str, list[Scores]], measure: str, styles: dict[str, dict[str, Any]]) -> None:
    for name, scores in drawn.items():
        points = [(score.rate, one) for score in scores if (one := score.mean[measure])]
        rates = [rate for rate, _ in points]
        ax.plot(rates, [one.mean for _, one in points], label=name, linewidth=1.8, markersize=5, **styles[name])
        ends = [(one.low, one.high) for _, one in points if one.low is not None and one.high is not None]
        if len(ends) == len(points):
            low, high = zip(*ends, strict=True)
            ax.fill_between(rates, low, high, color=styles[name]["color"], alpha=0.13, linewidth=0)
    ticks = sorted({score.rate for scores in drawn.values() for score in scores})
    ax.set_xticks(ticks, [share(rate) for rate in ticks])


def _lead(summary: Summary, kind: str) -> str:
    """Format the gain of the best objective over the control at the highest rate with both."""
    for rate in reversed(summary.rates):
        some = [
            one
            for name in summary.objectives
            if (one := summary.score(name, kind, rate)) and one.over_control["macro_f1"]
        ]
        if rate == 0 or not some:
            continue
        best = max(some, key=lambda one: one.over_control["macro_f1"].mean)  # pyright: ignore[reportOptionalMemberAccess]
        gain = best.over_control["macro_f1"]
        if gain is None or gain.low is None or gain.high is None:
            return ""
        ends = f"{gain.low * 100:+.1f} to {gain.high * 100:+.1f}"
        return minus(f"at {share(rate)}: {best.objective} {gain.mean * 100:+.1f} points ({ends})")
    return ""


def _same_height(row: "list[Axes]") -> None:
    low, high = min(ax.get_ylim()[0] for ax in row), max(ax.get_ylim()[1] for ax in row)
    for ax in row:
        ax.set_ylim(max(low, 0), min(high, 1))
