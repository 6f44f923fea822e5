"""Figure of the task integration: batch mixing against type separation."""

from collections.abc import Mapping
from pathlib import Path

from okrcell.benchmarking.canvas import heading, kept, legend, panels
from okrcell.benchmarking.intervals import Estimate
from okrcell.benchmarking.report.looks import styles_of
from okrcell.benchmarking.report.summary import Summary, Table
from okrcell.benchmarking.report.words import set_title


def draw_plane(summary: Summary, table: Table, path: Path) -> None:
    """Scatter plot of AvgBIO against AvgBatch: the mean first, then each data set. The upper right is best."""
    shown: list[tuple[str, Mapping[str, Mapping[str, Estimate | None]]]] = [
        (f"mean over {len(table.sets)} sets", {line.method: line.mean for line in table.lines if not line.lacks})
    ]
    shown += [
        (set_title(name), {line.method: line.by_set[name] for line in table.lines if name in line.by_set})
        for name in table.sets
    ]
    columns = min(3, len(shown))
    figure, axes = panels(-(-len(shown) // columns), columns, 3.9, 3.6)
    styles = styles_of(summary, [line.method for line in table.lines])
    for ax, (title, figures) in zip(axes.flat, shown, strict=False):
        for method, measures in figures.items():
            across, up = measures.get("avg_batch"), measures.get("avg_bio")
            if across is None or up is None:
                continue
            style = styles[method]
            for one, drawn in ((across, "h"), (up, "v")):
                if one.low is None or one.high is None:
                    continue
                ends = [one.low, one.high]
                other = [up.mean, up.mean] if drawn == "h" else [across.mean, across.mean]
                where = (ends, other) if drawn == "h" else (other, ends)
                ax.plot(*where, color=style["color"], alpha=0.4, linewidth=1.6)
            ax.plot(across.mean, up.mean, label=summary.titles.get(method, method), **{**style, "linestyle": "none"})
        heading(ax, title)
        ax.margins(0.12)
    for ax in axes[:, 0]:
        ax.set_ylabel("AvgBIO: type separation", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("AvgBatch: batch mixing", fontsize=9)
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    legend(figure, *axes.flat)
    kept(figure, path)
