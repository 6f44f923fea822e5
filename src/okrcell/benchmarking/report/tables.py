"""Result tables, and the report around them as Markdown and HTML."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from okrcell.benchmarking.datasets.wordings import WORDINGS
from okrcell.benchmarking.report.figures import FigureFiles, draw_figures
from okrcell.benchmarking.report.over_sets import ScoreOverSets, scores_over_sets, set_groups
from okrcell.benchmarking.report.per_type import per_type_table
from okrcell.benchmarking.report.summary import (
    DOWNSAMPLING_TASKS,
    LOWER_IS_BETTER,
    METRIC_TITLES,
    NOT_HIGHLIGHTED,
    TASK_INFO,
    TASKS_BY_CASE,
    UNMODIFIED_CASE,
    BenchmarkSummary,
    MethodScores,
    TaskScores,
    dataset_title,
    format_case,
    format_difference,
    format_points,
    summarize,
)
from okrcell.benchmarking.report.text import ReportText, comparisons, report_text
from okrcell.escaping import escape_markdown
from okrcell.metrics.intervals import Estimate
from okrcell.provenance import write_json
from okrcell.storage import atomic_file

REPORT_FILE, PAGE_FILE, SUMMARY_FILE = "report.md", "report.html", "summary.json"
PER_TYPE_FILE = "per_type.md"
GIGABYTE = 1_000_000_000
MISSING = "–"
OVER_SETS_NOTE = (
    "In brackets: 95 % intervals of Student's t over data sets, which say what to expect on another study; scores of a data "
    "set are first averaged over seeds, and differences are paired by data set. Intervals with ± in the other tables are over "
    "seeds, which draw other cells of the same data sets."
)


@dataclass(frozen=True)
class TableCell:
    """One value of a table."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class TableRow:
    """One method: a row of a table."""

    title: str
    kind: str
    """ours, control, baseline, or chance."""
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class ResultTable:
    """One table of the report."""

    title: str
    head: tuple[str, ...]
    rows: tuple[TableRow, ...]
    note: str = ""


def publish(
    records: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any], absent: Mapping[str, str], folder: Path
) -> Path:
    """Write the report as Markdown and HTML, its figures, and all numbers as JSON; return the path of the HTML page.

    A table by cell type is written beside it, if the task zero_shot has scores.

    Parameters
    ----------
    records
        Lines of the records.
    provenance
        Provenance of the benchmark.
    absent
        Method that was selected but not run, to the reason.
    folder
        Folder of the benchmark.
    """
    summary = summarize(records, provenance["methods"])
    pictures = draw_figures(summary, folder)
    comparison_dicts = [asdict(comparison) | {"outcome": comparison.outcome} for comparison in comparisons(summary)]
    over_sets = [
        asdict(scores)
        for table in summary.tables
        for measure in TASK_INFO[table.task].main_metrics
        for scores in scores_over_sets(summary, table, measure)
    ]
    numbers = {"absent": dict(absent), "verdicts": comparison_dicts, "over_sets": over_sets, **asdict(summary)}
    write_json(folder / SUMMARY_FILE, {**provenance, **numbers})
    if by_type := per_type_table(records, provenance["methods"]):
        with atomic_file(folder / PER_TYPE_FILE) as draft:
            draft.write_text(by_type, encoding="utf-8")
    with atomic_file(folder / REPORT_FILE) as draft:
        draft.write_text(render_markdown(summary, provenance, pictures, absent), encoding="utf-8")
    with atomic_file(folder / PAGE_FILE) as draft:
        draft.write_text(render_page(summary, provenance, pictures, absent, folder), encoding="utf-8")
    return folder / PAGE_FILE


def result_tables(summary: BenchmarkSummary, task: str) -> list[ResultTable]:
    """Return the tables of a task: the main table first, then tables by data set."""
    tables = summary.of_task(task)
    if task in DOWNSAMPLING_TASKS:
        return [_robustness_table(summary, tables)] if len(tables) > 1 else []
    if task in TASKS_BY_CASE:
        tables = tuple(sorted(tables, key=_case_order))
        main_tables = [_table_by_case(summary, tables, name) for name in TASK_INFO[task].metrics]
    else:
        main_tables = [_main_table(summary, table) for table in tables]
    measures = [(table, name) for table in tables for name in TASK_INFO[task].main_metrics if len(table.sets) > 1]
    return [
        *main_tables,
        *(_table_over_sets(summary, table, name) for table, name in measures),
        *(_table_by_set(summary, table, name) for table, name in measures),
    ]


def _case_order(table: TaskScores) -> int:
    return list(WORDINGS).index(table.case) if table.task == "free_text" else int(table.case[len("K = ") :])


def _table_over_sets(summary: BenchmarkSummary, table: TaskScores, measure: str) -> ResultTable:
    """Table of means over data sets, and of differences to okrcell, with intervals over data sets."""
    groups = list(set_groups(table))
    scores = {line.method: list[ScoreOverSets]() for line in table.lines}
    for entry in scores_over_sets(summary, table, measure):
        scores[entry.method].append(entry)
    rows = tuple(
        TableRow(
            _method_title(summary, line),
            summary.kinds.get(line.method, "baseline"),
            tuple(cell for entry in scores[line.method] for cell in _over_sets_cells(entry)),
        )
        for line in table.lines
    )
    return ResultTable(
        f"{METRIC_TITLES[measure]}{format_case(table.case)}, intervals over data sets",
        tuple(head for group in groups for head in (f"mean of {group}", "okrcell minus method, points")),
        rows,
        OVER_SETS_NOTE,
    )


def _over_sets_cells(scores: ScoreOverSets) -> tuple[TableCell, TableCell]:
    mean, difference = scores.mean, scores.difference
    mean_text = MISSING if mean is None else f"{mean.mean:.3f}"
    if mean is not None and mean.low is not None and mean.high is not None:
        mean_text += f" [{mean.low:.3f}, {mean.high:.3f}]".replace("-", "−")
    difference_text = MISSING if difference is None else format_difference(difference)
    return TableCell(mean_text), TableCell(difference_text)


def _main_table(summary: BenchmarkSummary, table: TaskScores) -> ResultTable:
    """Table of all metrics, mean over data sets, with time and memory."""
    measures = [name for name in TASK_INFO[table.task].metrics if any(line.mean.get(name) for line in table.lines)]
    rows = [
        TableRow(
            _method_title(summary, line),
            summary.kinds.get(line.method, "baseline"),
            (
                *(_metric_cell(table, line, name, name in TASK_INFO[table.task].main_metrics) for name in measures),
                *_cost_cells(summary, table.task, line.method),
            ),
        )
        for line in table.lines
    ]
    if table.chance:
        cells = [TableCell(f"{table.chance[name]:.3f}" if name in table.chance else MISSING) for name in measures]
        rows.append(TableRow("chance", "chance", (*cells, TableCell(MISSING), TableCell(MISSING))))
    head = (*(METRIC_TITLES[name] for name in measures), "seconds", "GB")
    suffix = f", mean over {len(table.sets)} sets" if len(table.sets) > 1 else ""
    return ResultTable(
        f"{TASK_INFO[table.task].title}{format_case(table.case)}{suffix}", head, tuple(rows), _note(summary, table)
    )


def _table_by_set(summary: BenchmarkSummary, table: TaskScores, measure: str) -> ResultTable:
    def value_of(line: MethodScores, name: str) -> Estimate | None:
        return line.by_set.get(name, {}).get(measure)

    rows = tuple(
        TableRow(
            _method_title(summary, line),
            summary.kinds.get(line.method, "baseline"),
            tuple(
                _format_cell(value_of(line, name), [value_of(scores, name) for scores in table.lines], measure)
                for name in table.sets
            ),
        )
        for line in table.lines
    )
    return ResultTable(
        f"{METRIC_TITLES[measure]}{format_case(table.case)}, by data set", tuple(map(dataset_title, table.sets)), rows
    )


def _table_by_case(summary: BenchmarkSummary, tables: Sequence[TaskScores], measure: str) -> ResultTable:
    methods = list(dict.fromkeys(line.method for table in tables for line in table.lines))
    rows: list[TableRow] = []
    for method in methods:
        lines = [table.line(method) for table in tables]
        cells = [
            _metric_cell(table, line, measure, True) if line else TableCell(MISSING)
            for table, line in zip(tables, lines, strict=True)
        ]
        first_scores = next(line for line in lines if line)
        kind = summary.kinds.get(method, "baseline")
        rows.append(
            TableRow(
                _method_title(summary, first_scores), kind, (*cells, *_cost_cells(summary, tables[0].task, method))
            )
        )
    title = f"{METRIC_TITLES[measure]}, mean over {len(tables[0].sets)} sets"
    return ResultTable(
        title, (*(table.case for table in tables), "seconds", "GB"), tuple(rows), _note(summary, tables[0])
    )


def _robustness_table(summary: BenchmarkSummary, tables: Sequence[TaskScores]) -> ResultTable:
    unmodified = next((table for table in tables if table.case == UNMODIFIED_CASE), None)
    downsampled = [table for table in tables if table.case != UNMODIFIED_CASE]
    rows: list[TableRow] = []
    for line in (unmodified or tables[0]).lines:
        accuracy = line.mean.get("accuracy") if unmodified else None
        changes = [entry.mean.get("lost") if (entry := table.line(line.method)) else None for table in downsampled]
        cells = (
            TableCell(f"{accuracy.mean:.3f}" if accuracy else MISSING),
            *(TableCell(_format_change(entry)) for entry in changes),
        )
        rows.append(TableRow(_method_title(summary, line), summary.kinds.get(line.method, "baseline"), cells))
    head = ("accuracy as measured", *(table.case.replace("%", " %") for table in downsampled))
    counts = {len(table.sets) for table in downsampled}
    note = (
        ""
        if len(counts) < 2
        else (
            "Number of data sets that have more genes than the panel: "
            + ", ".join(f"{table.case}: {len(table.sets)}" for table in downsampled if table.case.endswith("genes"))
            + "."
        )
    )
    return ResultTable("Change of accuracy in points, mean over sets", head, tuple(rows), note)


def _metric_cell(table: TaskScores, line: MethodScores, measure: str, with_interval: bool) -> TableCell:
    value = line.mean.get(measure)
    values = [scores.mean.get(measure) for scores in table.lines if not scores.lacks]
    return _format_cell(value, values if not line.lacks else [], measure, with_interval=with_interval)


def _format_cell(
    value: Estimate | None, values: Sequence[Estimate | None], measure: str, *, with_interval: bool = True
) -> TableCell:
    if value is None:
        return TableCell(MISSING)
    better: Callable[..., float] = min if measure in LOWER_IS_BETTER else max
    means = [round(candidate.mean, 3) for candidate in values if candidate is not None]
    best = len(means) > 1 and measure not in NOT_HIGHLIGHTED and round(value.mean, 3) == better(means)
    half_width = (
        f" ± {(value.high - value.low) / 2:.3f}"
        if with_interval and value.high is not None and value.low is not None
        else ""
    )
    return TableCell(f"{value.mean:.3f}{half_width}", best)


def _format_change(value: Estimate | None) -> str:
    return MISSING if value is None else format_points(value.mean)


def _cost_cells(summary: BenchmarkSummary, task: str, method: str) -> tuple[TableCell, TableCell]:
    cost = summary.cost(task, method)
    if cost is None:
        return TableCell(MISSING), TableCell(MISSING)
    seconds = f"{cost.seconds:.1f}" if cost.seconds < 100 else f"{cost.seconds:.0f}"
    return TableCell(seconds), TableCell(f"{cost.peak_memory / GIGABYTE:.1f}" if cost.peak_memory else MISSING)


def _method_title(summary: BenchmarkSummary, line: MethodScores) -> str:
    return summary.titles.get(line.method, line.method) + (" †" if line.lacks else "")


def _note(summary: BenchmarkSummary, table: TaskScores) -> str:
    lacking = [
        f"{summary.titles.get(line.method, line.method)} has no scores on {', '.join(map(dataset_title, line.lacks))}"
        for line in table.lines
        if line.lacks
    ]
    note = f"† Not comparable, mean over fewer data sets: {'; '.join(lacking)}." if lacking else ""
    if table.not_scored:
        cells = ", ".join(f"{dataset_title(name)} {n_cells:,}" for name, n_cells in table.not_scored.items())
        note += f" Not scored, because the reference lacks their type (cells of the first draw): {cells}."
    return note.strip()


def render_markdown(
    summary: BenchmarkSummary, provenance: Mapping[str, Any], pictures: FigureFiles, absent: Mapping[str, str]
) -> str:
    """Write the report."""
    text = report_text(summary, provenance, absent)
    sections = [f"# {text.title}", text.opening, *_comparison_list(text, "")]
    sections += [f"![{escape_markdown(title)}]({file})" for title, file in pictures.get("", ())]
    for task in summary.tasks:
        sections += [f"## {TASK_INFO[task].title}", TASK_INFO[task].protocol, *_comparison_list(text, task)]
        sections += [f"![{escape_markdown(title)}]({file})" for title, file in pictures.get(task, ())]
        for grid in result_tables(summary, task):
            sections += [f"**{grid.title}**", _table(grid), *([escape_markdown(grid.note)] if grid.note else [])]
    if text.failures:
        sections += ["## Failures", "\n".join(f"- {escape_markdown(line)}" for line in text.failures)]
    sections += ["## Data sets", *_rows(("data set", "cells scored", "source", "licence of the source"), text.sets)]
    sections += ["## Reproducibility", escape_markdown(text.provenance)]
    return "\n\n".join(sections) + "\n"


def _comparison_list(text: ReportText, task: str) -> list[str]:
    lines = text.comparisons if not task else [comparison for comparison in text.comparisons if comparison.task == task]
    if not lines:
        return []
    heads = {comparison.task: f"**{TASK_INFO[comparison.task].title}.** " for comparison in lines} if not task else {}
    return [
        "\n".join(f"- {heads.get(comparison.task, '')}{escape_markdown(comparison.sentence)}" for comparison in lines)
    ]


def _table(grid: ResultTable) -> str:
    lines = [("method", *grid.head), ("---", *("---:" for _ in grid.head))]
    for row in grid.rows:
        title = escape_markdown(row.title)
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in row.cells]
        lines.append((f"**{title}**" if row.kind == "ours" else title, *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *([escape_markdown(cell) for cell in row] for row in rows)]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]


def render_page(
    summary: BenchmarkSummary,
    provenance: Mapping[str, Any],
    pictures: FigureFiles,
    absent: Mapping[str, str],
    folder: Path,
) -> str:
    """Render the page; figures are read from ``folder`` and embedded as data URLs."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["points"] = format_points
    source = files("okrcell.benchmarking.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    text = report_text(summary, provenance, absent)
    return environment.from_string(source).render(
        title=text.title,
        opening=text.opening,
        comparisons=text.comparisons,
        failures=text.failures,
        sets=text.sets,
        provenance=text.provenance,
        tasks=[(task, TASK_INFO[task], result_tables(summary, task)) for task in summary.tasks],
        titles=summary.titles,
        task_titles={task: TASK_INFO[task].title for task in summary.tasks},
        pictures={
            task: [(title, _inline(folder / file)) for title, file in figures] for task, figures in pictures.items()
        },
    )


def _inline(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
