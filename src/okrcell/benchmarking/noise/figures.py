"""All figures of the label-noise report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.noise.plan import CONTROL
from okrcell.benchmarking.noise.report import METRIC_TITLES, percent, with_minus_signs
from okrcell.benchmarking.noise.summary import EDGES, NoiseScores, NoiseSummary, PairDetection
from okrcell.benchmarking.report.figures import (
    CLEAN_COLOR,
    COLORS,
    MARKERS,
    MUTED_COLOR,
    TEXT_COLOR,
    WRONG_COLOR,
    create_panels,
    save_figure,
    set_heading,
    shared_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


DEFAULT_RATE = 0.4
"""Preferred rate of noise in the figure; the nearest available rate is drawn."""
MAX_EPOCHS = 5
"""Maximum number of epochs in the figure."""
TICKS = (0, 0.04, 0.25, 0.5, 1)
FRACTION_TICKS = (0, 0.01, 0.04, 0.1, 0.25, 0.5, 1)
"""Tick labels; the axes have square-root scales, because most wrong pairs may lie in one bin."""
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


def draw_ladder(summary: NoiseSummary, path: Path) -> None:
    """Draw macro-F1 and accuracy, one row per objective, dots with 95 % intervals over seeds."""
    from matplotlib.lines import Line2D

    kind, rate = ladder_noise(summary)
    figure, axes = create_panels(1, len(METRIC_TITLES), 4.6, 0.9 + 0.36 * len(summary.objectives))
    names = summary.objectives
    levels = [(0.0, CLEAN_COLOR, "o", -0.12), *([(rate, WRONG_COLOR, "s", 0.12)] if rate > 0 else [])]
    for column, measure in enumerate(METRIC_TITLES):
        ax = axes[0, column]
        for level, color, marker, shift in levels:
            label = "no wrong pairs" if level == 0 else f"{percent(level)} {kind}"
            for row, name in enumerate(names):
                score = summary.score(name, kind, level)
                value = score.mean[measure] if score else None
                if value is None:
                    continue
                if value.low is not None and value.high is not None:
                    ax.plot([value.low, value.high], [row + shift] * 2, color=color, linewidth=1.6, alpha=0.55)
                ax.plot(value.mean, row + shift, marker, color=color, markersize=6.5, label=label)
            control = summary.score(CONTROL, kind, level)
            control_value = control.mean[measure] if control else None
            if control_value is not None:
                ax.axvline(control_value.mean, color=color, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6, zorder=0)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_yticks(range(len(names)), names if column == 0 else [""] * len(names))
        ax.tick_params(axis="y", labelsize=9.5, labelcolor=TEXT_COLOR)
        ax.set_xlim(max(ax.get_xlim()[0], 0), min(ax.get_xlim()[1], 1))
        set_heading(ax, f"{METRIC_TITLES[measure]}, mean over sets")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    entries[CONTROL] = Line2D([], [], color=MUTED_COLOR, linewidth=0.9, linestyle=(0, (4, 3)))
    entries["95 % interval over seeds"] = Line2D([], [], color=MUTED_COLOR, linewidth=1.6, alpha=0.55)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    save_figure(figure, path)


def ladder_noise(summary: NoiseSummary) -> tuple[str, float]:
    """Return the kind and rate of noise that most objectives were run with, nearest to `DEFAULT_RATE`; rate 0 without noise."""
    noises = [(score.kind, score.rate) for score in summary.scores if score.rate > 0]
    if not noises:
        return "shuffled", 0.0
    return max(dict.fromkeys(noises), key=lambda noise: (noises.count(noise), -abs(noise[1] - DEFAULT_RATE)))


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


def objective_styles(objectives: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line style of each objective: a colour and a marker; the control is grey and dashed."""
    others = [name for name in objectives if name != CONTROL]
    styles: dict[str, dict[str, Any]] = {CONTROL: {"color": MUTED_COLOR, "marker": "o", "linestyle": "--"}}
    for i, name in enumerate(others):
        styles[name] = {
            "color": COLORS[i % len(COLORS)],
            "marker": MARKERS[(i + 1) % len(MARKERS)],
            # With more objectives than colours, repeated colours are dotted.
            "linestyle": "-" if i < len(COLORS) else ":",
        }
    return styles


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
