"""Line plots of scores against the rate of noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.benchmarking.canvas import create_panels, save_figure, set_heading, shared_legend
from okrcell.benchmarking.noise.looks import objective_styles
from okrcell.benchmarking.noise.plan import CONTROL
from okrcell.benchmarking.noise.report import METRIC_TITLES, percent, with_minus_signs
from okrcell.benchmarking.noise.summary import NoiseScores, NoiseSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIN_RATES = 3
"""Minimum number of rates of a curve, if any objective was run at so many."""
KIND_TITLES = {
    "shuffled": "Shuffled texts",
    "sibling": "Labels of a sibling type",
    "dropout": "Lost expression",
    "ambient": "Ambient expression",
    "doublets": "Doublets",
    "permuted": "Permuted expression",
}


def draw_curves(summary: NoiseSummary, path: Path) -> None:
    """Draw macro-F1 and accuracy against the rate of noise, one column per kind; bands are 95 % intervals over seeds.

    Objectives that were run at fewer than `MIN_RATES` rates have no curve if others have; see `draw_ladder` for them.
    """
    scores_by_kind = {kind: _curve_scores(summary, kind) for kind in summary.kinds}
    styles = objective_styles(
        [name for name in summary.objectives if any(name in scores for scores in scores_by_kind.values())]
    )
    figure, axes = create_panels(len(METRIC_TITLES), len(summary.kinds), 4.2, 3.3)
    for column, kind in enumerate(summary.kinds):
        for row, measure in enumerate(METRIC_TITLES):
            ax = axes[row, column]
            _draw_curves(ax, scores_by_kind[kind], measure, styles)
            if column == 0:
                ax.set_ylabel(f"{METRIC_TITLES[measure]}, mean over sets", fontsize=9)
            if row == 0:
                set_heading(ax, KIND_TITLES.get(kind, kind), _gain_text(summary, kind))
            if row == len(METRIC_TITLES) - 1:
                ax.set_xlabel("fraction of wrong training pairs", fontsize=9)
    for row in axes:
        _same_height(list(row))
    shared_legend(figure, *axes[0])
    save_figure(figure, path)


def _curve_scores(summary: NoiseSummary, kind: str) -> dict[str, list[NoiseScores]]:
    """Return the scores by rate of the objectives that were run at enough rates for a curve."""
    scores = {
        name: [score for rate in summary.rates if (score := summary.score(name, kind, rate))]
        for name in summary.objectives
    }
    min_points = min(MIN_RATES, max(map(len, scores.values())))
    # The control is drawn if it has two points.
    return {
        name: objective_scores
        for name, objective_scores in scores.items()
        if len(objective_scores) >= (2 if name == CONTROL else min_points)
    }


def _draw_curves(
    ax: "Axes", scores_by_objective: dict[str, list[NoiseScores]], measure: str, styles: dict[str, dict[str, Any]]
) -> None:
    for name, scores in scores_by_objective.items():
        points = [(score.rate, value) for score in scores if (value := score.mean[measure])]
        rates = [rate for rate, _ in points]
        ax.plot(rates, [value.mean for _, value in points], label=name, linewidth=1.8, markersize=5, **styles[name])
        bounds = [(value.low, value.high) for _, value in points if value.low is not None and value.high is not None]
        if len(bounds) == len(points):
            low, high = zip(*bounds, strict=True)
            ax.fill_between(rates, low, high, color=styles[name]["color"], alpha=0.13, linewidth=0)
    ticks = sorted({score.rate for scores in scores_by_objective.values() for score in scores})
    ax.set_xticks(ticks, [percent(rate) for rate in ticks])


def _gain_text(summary: NoiseSummary, kind: str) -> str:
    """Format the gain of the best objective over the control at the highest rate with both."""
    for rate in reversed(summary.rates):
        scored = [
            score
            for name in summary.objectives
            if (score := summary.score(name, kind, rate)) and score.over_control["macro_f1"]
        ]
        if rate == 0 or not scored:
            continue
        best = max(scored, key=lambda score: score.over_control["macro_f1"].mean)  # pyright: ignore[reportOptionalMemberAccess]
        gain = best.over_control["macro_f1"]
        if gain is None or gain.low is None or gain.high is None:
            return ""
        interval = f"{gain.low * 100:+.1f} to {gain.high * 100:+.1f}"
        return with_minus_signs(f"at {percent(rate)}: {best.objective} {gain.mean * 100:+.1f} points ({interval})")
    return ""


def _same_height(row: "list[Axes]") -> None:
    low, high = min(ax.get_ylim()[0] for ax in row), max(ax.get_ylim()[1] for ax in row)
    for ax in row:
        ax.set_ylim(max(low, 0), min(high, 1))
