"""Result tables, shared by Markdown and HTML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from okrcell.benchmarking.intervals import Estimate
from okrcell.benchmarking.report.summary import WHOLE, Line, Summary, Table
from okrcell.benchmarking.report.words import LESS_IS_BETTER, MEASURES, NOT_JUDGED, TASKS, points, set_title, written

GIGABYTE = 1_000_000_000
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """One value of a table."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One method: a row of a table."""

    title: str
    kind: str
    """ours, control, baseline, or chance."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """One table of the report."""

    title: str
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""


def grids_of(summary: Summary, task: str) -> list[Grid]:
    """Return the tables of a task: the main table first, then tables by data set."""
    tables = summary.of_task(task)
    if task == "few_shot":
        tables = tuple(sorted(tables, key=lambda table: int(table.case.removeprefix("K = "))))
        return [_by_case(summary, tables, name) for name in TASKS[task].measures] + [
            _by_set(summary, table, "macro_f1") for table in tables
        ]
    if task == "robustness":
        return [_losses(summary, tables)] if len(tables) > 1 else []
    return [
        *(_whole(summary, table) for table in tables),
        *(_by_set(summary, table, name) for table in tables for name in TASKS[task].goals if len(table.sets) > 1),
    ]


def _whole(summary: Summary, table: Table) -> Grid:
    """Table of all metrics, mean over data sets, with time and memory."""
    measures = [name for name in TASKS[table.task].measures if any(line.mean.get(name) for line in table.lines)]
    rows = [
        Row(
            _title(summary, line),
            summary.kinds.get(line.method, "baseline"),
            (
                *(_figure(table, line, name, name in TASKS[table.task].goals) for name in measures),
                *_costs(summary, table.task, line.method),
            ),
        )
        for line in table.lines
    ]
    if table.chance:
        cells = [Cell(f"{table.chance[name]:.3f}" if name in table.chance else NOTHING) for name in measures]
        rows.append(Row("chance", "chance", (*cells, Cell(NOTHING), Cell(NOTHING))))
    head = (*(MEASURES[name] for name in measures), "seconds", "GB")
    where = f", mean over {len(table.sets)} sets" if len(table.sets) > 1 else ""
    return Grid(f"{TASKS[table.task].title}{written(table.case)}{where}", head, tuple(rows), _note(summary, table))


def _by_set(summary: Summary, table: Table, measure: str) -> Grid:
    def figure(line: Line, name: str) -> Estimate | None:
        return line.by_set.get(name, {}).get(measure)

    rows = tuple(
        Row(
            _title(summary, line),
            summary.kinds.get(line.method, "baseline"),
            tuple(
                _cell(figure(line, name), [figure(one, name) for one in table.lines], measure) for name in table.sets
            ),
        )
        for line in table.lines
    )
    return Grid(f"{MEASURES[measure]}{written(table.case)}, by data set", tuple(map(set_title, table.sets)), rows)


def _by_case(summary: Summary, tables: Sequence[Table], measure: str) -> Grid:
    methods = list(dict.fromkeys(line.method for table in tables for line in table.lines))
    rows: list[Row] = []
    for method in methods:
        lines = [table.line(method) for table in tables]
        cells = [
            _figure(table, line, measure, True) if line else Cell(NOTHING)
            for table, line in zip(tables, lines, strict=True)
        ]
        there = next(line for line in lines if line)
        kind = summary.kinds.get(method, "baseline")
        rows.append(Row(_title(summary, there), kind, (*cells, *_costs(summary, tables[0].task, method))))
    title = f"{MEASURES[measure]}, mean over {len(tables[0].sets)} sets"
    return Grid(title, (*(table.case for table in tables), "seconds", "GB"), tuple(rows), _note(summary, tables[0]))


def _losses(summary: Summary, tables: Sequence[Table]) -> Grid:
    whole = next((table for table in tables if table.case == WHOLE), None)
    spoilt = [table for table in tables if table.case != WHOLE]
    rows: list[Row] = []
    for line in (whole or tables[0]).lines:
        before = line.mean.get("accuracy") if whole else None
        lost = [one.mean.get("lost") if (one := table.line(line.method)) else None for table in spoilt]
        cells = (Cell(f"{before.mean:.3f}" if before else NOTHING), *(Cell(_points(one)) for one in lost))
        rows.append(Row(_title(summary, line), summary.kinds.get(line.method, "baseline"), cells))
    head = ("accuracy as measured", *(table.case.replace("%", " %") for table in spoilt))
    counts = {len(table.sets) for table in spoilt}
    note = (
        ""
        if len(counts) < 2
        else (
            "Number of data sets that have more genes than the panel: "
            + ", ".join(f"{table.case}: {len(table.sets)}" for table in spoilt if table.case.endswith("genes"))
            + "."
        )
    )
    return Grid("Change of accuracy in points, mean over sets", head, tuple(rows), note)


def _figure(table: Table, line: Line, measure: str, with_interval: bool) -> Cell:
    one = line.mean.get(measure)
    rivals = [other.mean.get(measure) for other in table.lines if not other.lacks]
    return _cell(one, rivals if not line.lacks else [], measure, with_interval=with_interval)


def _cell(one: Estimate | None, rivals: Sequence[Estimate | None], measure: str, *, with_interval: bool = True) -> Cell:
    if one is None:
        return Cell(NOTHING)
    better: Callable[..., float] = min if measure in LESS_IS_BETTER else max
    means = [round(each.mean, 3) for each in rivals if each is not None]
    best = len(means) > 1 and measure not in NOT_JUDGED and round(one.mean, 3) == better(means)
    half = (
        f" ± {(one.high - one.low) / 2:.3f}" if with_interval and one.high is not None and one.low is not None else ""
    )
    return Cell(f"{one.mean:.3f}{half}", best)


def _points(one: Estimate | None) -> str:
    return NOTHING if one is None else points(one.mean)


def _costs(summary: Summary, task: str, method: str) -> tuple[Cell, Cell]:
    cost = summary.cost(task, method)
    if cost is None:
        return Cell(NOTHING), Cell(NOTHING)
    seconds = f"{cost.seconds:.1f}" if cost.seconds < 100 else f"{cost.seconds:.0f}"
    return Cell(seconds), Cell(f"{cost.peak_memory / GIGABYTE:.1f}" if cost.peak_memory else NOTHING)


def _title(summary: Summary, line: Line) -> str:
    return summary.titles.get(line.method, line.method) + (" †" if line.lacks else "")


def _note(summary: Summary, table: Table) -> str:
    lacking = [
        f"{summary.titles.get(line.method, line.method)} has no scores on {', '.join(map(set_title, line.lacks))}"
        for line in table.lines
        if line.lacks
    ]
    told = f"† Not comparable, mean over fewer data sets: {'; '.join(lacking)}." if lacking else ""
    if table.not_scored:
        cells = ", ".join(f"{set_title(name)} {number:,}" for name, number in table.not_scored.items())
        told += f" Not scored, because the reference lacks their type (cells of the first draw): {cells}."
    return told.strip()
