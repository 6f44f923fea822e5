"""Comparisons of our method with the best baseline, as sentences generated from the scores."""

from collections.abc import Mapping
from dataclasses import dataclass

from okrcell.benchmarking.intervals import Estimate
from okrcell.benchmarking.report.summary import Line, Summary, Table, difference
from okrcell.benchmarking.report.words import LESS_IS_BETTER, MEASURES, TASKS, points, set_title, written

OURS = "ours"


@dataclass(frozen=True)
class Verdict:
    """Comparison of our method with the best baseline on one metric."""

    task: str
    case: str
    measure: str
    ours: str
    best: str
    """Name of the best baseline."""
    difference: Estimate
    """Ours minus the best baseline, paired by seed; above 0 is better for us, unless lower values are better."""
    behind: Mapping[str, tuple[str, float]]
    """Data sets on which a baseline is ahead: data set to (baseline, difference)."""
    sentence: str

    @property
    def outcome(self) -> str:
        """One of ahead, behind, level (the interval contains 0), open (too few seeds for an interval)."""
        if self.difference.low is None:
            return "open"
        if not self.difference.excludes_zero:
            return "level"
        better = (self.difference.mean > 0) != (self.measure in LESS_IS_BETTER)
        return "ahead" if better else "behind"


def verdicts(summary: Summary) -> list[Verdict]:
    """Compare on the main metrics of every task, if our method and a baseline have scores on all data sets."""
    found: list[Verdict] = []
    for table in summary.tables:
        for measure in TASKS[table.task].goals:
            best = table.best(measure, summary.of_kind("baseline"))
            # One comparison per method: selecting the best of several would be biased.
            for name in summary.of_kind(TASKS[table.task].stood_for) if best is not None else ():
                ours = table.best(measure, [name])
                if ours is not None and best is not None and (one := _verdict(summary, table, measure, ours, best)):
                    found.append(one)
    return found


def _verdict(summary: Summary, table: Table, measure: str, ours: Line, best: Line) -> Verdict | None:
    gap = difference(ours, best, measure)
    mine, theirs = ours.mean[measure], best.mean[measure]
    if gap is None or mine is None or theirs is None:
        return None
    behind = _behind(summary, table, measure, ours)
    verdict = Verdict(table.task, table.case, measure, ours.method, best.method, gap, behind, "")
    outcome = verdict.outcome
    name, other = summary.titles[ours.method], summary.titles[best.method]
    where = "" if len(table.sets) == 1 else f", mean over {len(table.sets)} sets"
    of_case = written(table.case)
    told = f"{MEASURES[measure]}{of_case}{where}: {name} {mine.mean:.3f}, {other} {theirs.mean:.3f}"
    ends = "" if gap.low is None or gap.high is None else f", {points(gap.low)} to {points(gap.high)}"
    told += f" ({points(gap.mean)} points{ends}). "
    told += {
        "ahead": f"{name} is ahead of every baseline.",
        "behind": "The baseline wins.",
        "level": "The interval contains 0.",
        "open": f"With one seed there is no interval; {name if gap.mean > 0 else other} has the higher figure.",
    }[outcome]
    if behind and len(table.sets) > 1:
        # A baseline is named if it is not the one of the sentence before.
        each = [
            f"{set_title(one)} ({'' if who == best.method else f'{summary.titles[who]}, '}{points(-much)})"
            for one, (who, much) in behind.items()
        ]
        told += f" By data set, a baseline is ahead on {len(behind)} of {len(table.sets)}: {'; '.join(each)}."
    return Verdict(table.task, table.case, measure, ours.method, best.method, gap, behind, told)


def _behind(summary: Summary, table: Table, measure: str, ours: Line) -> dict[str, tuple[str, float]]:
    found: dict[str, tuple[str, float]] = {}
    sign = -1 if measure in LESS_IS_BETTER else 1
    for name in table.sets:
        mine = ours.by_set[name].get(measure) if name in ours.by_set else None
        rivals = [
            (sign * one.mean, line.method)
            for line in table.lines
            if summary.kinds.get(line.method) == "baseline" and (one := line.by_set.get(name, {}).get(measure))
        ]
        if mine is None or not rivals:
            continue
        most, who = max(rivals)
        if most > sign * mine.mean:
            found[name] = (who, most - sign * mine.mean)
    return found
