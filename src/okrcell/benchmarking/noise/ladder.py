"""Dot plot of all objectives, with and without noise."""

from pathlib import Path

from okrcell.benchmarking.canvas import CLEAN_COLOUR, FAINT, INK, WRONG_COLOUR, heading, kept, panels
from okrcell.benchmarking.noise.plan import CONTROL
from okrcell.benchmarking.noise.report import WORDS, share
from okrcell.benchmarking.noise.summary import Summary

USUAL = 0.4
"""Preferred rate of noise in the figure; the nearest available rate is drawn."""


def draw_ladder(summary: Summary, path: Path) -> None:
    """Draw macro-F1 and accuracy, one row per objective, dots with 95 % intervals over seeds."""
    from matplotlib.lines import Line2D

    kind, rate = noise_of_ladder(summary)
    figure, axes = panels(1, len(WORDS), 4.6, 0.9 + 0.36 * len(summary.objectives))
    names = summary.objectives
    levels = [(0.0, CLEAN_COLOUR, "o", -0.12), *([(rate, WRONG_COLOUR, "s", 0.12)] if rate > 0 else [])]
    for column, measure in enumerate(WORDS):
        ax = axes[0, column]
        for level, colour, mark, shift in levels:
            label = "no wrong pairs" if level == 0 else f"{share(level)} {kind}"
            for place, name in enumerate(names):
                score = summary.score(name, kind, level)
                one = score.mean[measure] if score else None
                if one is None:
                    continue
                if one.low is not None and one.high is not None:
                    ax.plot([one.low, one.high], [place + shift] * 2, color=colour, linewidth=1.6, alpha=0.55)
                ax.plot(one.mean, place + shift, mark, color=colour, markersize=6.5, label=label)
            control = summary.score(CONTROL, kind, level)
            usual = control.mean[measure] if control else None
            if usual is not None:
                ax.axvline(usual.mean, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6, zorder=0)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_yticks(range(len(names)), names if column == 0 else [""] * len(names))
        ax.tick_params(axis="y", labelsize=9.5, labelcolor=INK)
        ax.set_xlim(max(ax.get_xlim()[0], 0), min(ax.get_xlim()[1], 1))
        heading(ax, f"{WORDS[measure]}, mean over sets")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    shown[CONTROL] = Line2D([], [], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    shown["95 % interval over seeds"] = Line2D([], [], color=FAINT, linewidth=1.6, alpha=0.55)
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    kept(figure, path)


def noise_of_ladder(summary: Summary) -> tuple[str, float]:
    """Return the kind and rate of noise that most objectives were run with, nearest to `USUAL`; rate 0 without noise."""
    there = [(one.kind, one.rate) for one in summary.scores if one.rate > 0]
    if not there:
        return "shuffled", 0.0
    return max(dict.fromkeys(there), key=lambda noise: (there.count(noise), -abs(noise[1] - USUAL)))
