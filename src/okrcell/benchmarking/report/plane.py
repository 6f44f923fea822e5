"""Figure of the task integration: batch mixing against type separation."""

from collections.abc import Mapping
from pathlib import Path

from okrcell.benchmarking.canvas import create_panels, save_figure, set_heading, shared_legend
from okrcell.metrics.intervals import Estimate
from okrcell.benchmarking.report.looks import method_styles
from okrcell.benchmarking.report.summary import BenchmarkSummary, TaskScores
from okrcell.benchmarking.report.words import dataset_title


def draw_integration(summary: BenchmarkSummary, table: TaskScores, path: Path) -> None:
    """Scatter plot of AvgBIO against AvgBatch: the mean first, then each data set. The upper right is best."""
    panel_scores: list[tuple[str, Mapping[str, Mapping[str, Estimate | None]]]] = [
        (f"mean over {len(table.sets)} sets", {line.method: line.mean for line in table.lines if not line.lacks})
    ]
    panel_scores += [
        (dataset_title(name), {line.method: line.by_set[name] for line in table.lines if name in line.by_set})
        for name in table.sets
    ]
    columns = min(3, len(panel_scores))
    figure, axes = create_panels(-(-len(panel_scores) // columns), columns, 3.9, 3.6)
    styles = method_styles(summary, [line.method for line in table.lines])
    for ax, (title, figures) in zip(axes.flat, panel_scores, strict=False):
        for method, measures in figures.items():
            batch_score, bio_score = measures.get("avg_batch"), measures.get("avg_bio")
            if batch_score is None or bio_score is None:
                continue
            style = styles[method]
            for value, direction in ((batch_score, "h"), (bio_score, "v")):
                if value.low is None or value.high is None:
                    continue
                bounds = [value.low, value.high]
                fixed = [bio_score.mean, bio_score.mean] if direction == "h" else [batch_score.mean, batch_score.mean]
                coordinates = (bounds, fixed) if direction == "h" else (fixed, bounds)
                ax.plot(*coordinates, color=style["color"], alpha=0.4, linewidth=1.6)
            ax.plot(
                batch_score.mean,
                bio_score.mean,
                label=summary.titles.get(method, method),
                **{**style, "linestyle": "none"},
            )
        set_heading(ax, title)
        ax.margins(0.12)
    for ax in axes[:, 0]:
        ax.set_ylabel("AvgBIO: type separation", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("AvgBatch: batch mixing", fontsize=9)
    for ax in axes.flat[len(panel_scores) :]:
        ax.set_visible(False)
    shared_legend(figure, *axes.flat)
    save_figure(figure, path)
