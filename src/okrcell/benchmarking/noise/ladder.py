"""Dot plot of all objectives, with and without noise."""

from pathlib import Path

from okrcell.benchmarking.canvas import (
    CLEAN_COLOR,
    MUTED_COLOR,
    TEXT_COLOR,
    WRONG_COLOR,
    create_panels,
    save_figure,
    set_heading,
)
from okrcell.benchmarking.noise.plan import CONTROL
from okrcell.benchmarking.noise.report import METRIC_TITLES, percent
from okrcell.benchmarking.noise.summary import NoiseSummary

DEFAULT_RATE = 0.4
"""Preferred rate of noise in the figure; the nearest available rate is drawn."""


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
