"""The report says what the figures say, also where we lose."""

import json

import pytest

from okrcell.benchmarking.report.summary import format_points, paired_difference, summarize
from okrcell.benchmarking.report.tables import publish, result_tables
from okrcell.benchmarking.report.text import comparisons
from okrcell.provenance import provenance_record

METHODS = {
    "okrcell": {"title": "okrcell", "kind": "ours"},
    "knn": {"title": "kNN", "kind": "baseline"},
    "singler": {"title": "SingleR", "kind": "baseline"},
}


def line(method, name, seed, value, task="zero_shot", case="", **more):
    scores = {"macro_f1": value, "accuracy": value, **more.pop("scores", {})}
    return {
        "task": task,
        "set": name,
        "case": case,
        "method": method,
        "seed": seed,
        "scores": scores,
        "seconds": 2.0,
        "peak_memory": 1_500_000_000,
        "cells": 100,
        "detail": more.get("detail", {}),
    }


LINES = [
    line(method, name, seed, base + 0.1 * (name == "xin") + 0.01 * seed)
    for method, base in (("okrcell", 0.60), ("knn", 0.70), ("singler", 0.90))
    for name in ("wang", "xin")
    for seed in (0, 1, 2)
    if not (method == "singler" and name == "xin")
]
FAILED = {"task": "zero_shot", "set": "xin", "method": "singler", "failure": "it was not done after 20 minutes"}


@pytest.fixture
def summary():
    return summarize([*LINES, FAILED], METHODS)


def test_means_are_over_sets_and_intervals_over_seeds(summary):
    (table,) = summary.tables
    ours = table.line("okrcell")
    # Seeds give 0.65, 0.66, 0.67, means over two sets; t of 2 degrees of freedom is 4.303.
    assert ours.mean["macro_f1"].mean == pytest.approx(0.66)
    assert ours.mean["macro_f1"].high - 0.66 == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)
    assert ours.by_set["xin"]["macro_f1"].mean == pytest.approx(0.71)
    assert (summary.cost("zero_shot", "knn").seconds, summary.cost("zero_shot", "knn").peak_memory) == (
        2.0,
        1_500_000_000,
    )


def test_a_seed_that_is_not_done_on_every_set_is_no_mean():
    half = [one for one in LINES if not (one["method"] == "knn" and one["set"] == "xin" and one["seed"] == 2)]
    knn = summarize(half, METHODS).tables[0].line("knn")
    assert list(knn.by_seed["macro_f1"]) == [0, 1]


def test_differences_are_taken_seed_by_seed(summary):
    (table,) = summary.tables
    gap = paired_difference(table.line("okrcell"), table.line("knn"), "macro_f1")
    # The seeds vary together, so the difference does not vary at all.
    assert (gap.mean, gap.low, gap.high) == pytest.approx((-0.1, -0.1, -0.1))


def test_where_a_baseline_wins_the_sentence_says_so(summary):
    first = comparisons(summary)[0]
    assert first.outcome == "behind"
    # SingleR is higher, but has no answer to one set, so it is not what we are compared with.
    assert "okrcell 0.660, kNN 0.760 (−10.0 points, −10.0 to −10.0). The baseline wins." in first.sentence
    assert "a baseline is ahead on 2 of 2: islets (Wang) (SingleR, −30.0); islets (Xin) (−10.0)" in first.sentence


def test_where_we_are_ahead_and_where_it_is_open():
    ours = [
        {**one, "scores": {"macro_f1": 0.95 + one["seed"] / 100}} if one["method"] == "okrcell" else one
        for one in LINES
    ]
    assert comparisons(summarize(ours, METHODS))[0].sentence.endswith("okrcell is ahead of every baseline.")
    noisy = [
        {**one, "scores": {"macro_f1": 0.7 + (one["seed"] - 0.5) / 3}} if one["method"] == "okrcell" else one
        for one in LINES
    ]
    assert comparisons(summarize(noisy, METHODS))[0].outcome == "level"
    single = [one for one in LINES if one["seed"] == 0]
    assert comparisons(summarize(single, METHODS))[0].outcome == "open"


def test_the_best_is_bold_and_a_mean_over_fewer_sets_is_marked(summary):
    whole, *by_set = result_tables(summary, "zero_shot")
    rows = {row.title: row for row in whole.rows}
    assert set(rows) == {"okrcell", "kNN", "SingleR †"}
    assert rows["kNN"].cells[0].best
    assert not rows["SingleR †"].cells[0].best
    assert whole.note == "† Not comparable, mean over fewer data sets: SingleR has no scores on islets (Xin)."
    assert rows["kNN"].cells[0].text == "0.760 ± 0.025"
    assert [cell.text for cell in rows["okrcell"].cells[-2:]] == ["2.0", "1.5"]
    assert [cell.best for cell in {row.title: row for row in by_set[0].rows}["SingleR †"].cells] == [True, False]


def test_of_errors_the_lowest_is_best():
    lines = [{**one, "scores": {"macro_f1": 0.5, "ece": 0.1 if one["method"] == "knn" else 0.3}} for one in LINES]
    whole = result_tables(summarize(lines, METHODS), "zero_shot")[0]
    place = whole.head.index("ECE")
    assert [row.title for row in whole.rows if row.cells[place].best] == ["kNN"]


def test_losses_are_against_the_same_cells_as_measured():
    lines = [line("okrcell", "wang", seed, 0.8 + seed / 10, "robustness", "as measured") for seed in (0, 1)]
    lines += [line("okrcell", "wang", seed, 0.7 + seed / 10, "robustness", "dropout 50%") for seed in (0, 1)]
    (grid,) = result_tables(summarize(lines, METHODS), "robustness")
    assert grid.head == ("accuracy as measured", "dropout 50 %")
    assert [cell.text for cell in grid.rows[0].cells] == ["0.850", "−10.0"]


def test_where_we_must_not_have_seen_the_types_a_further_checkpoint_stands_for_us():
    methods = {**METHODS, "unseen": {"title": "unseen", "kind": "control"}}
    lines = [line(method, "wang", seed, 0.8, "unseen_types") for method in ("unseen", "knn") for seed in (0, 1)]
    judged = comparisons(summarize(lines, methods))
    assert [(one.ours, one.best, one.outcome) for one in judged] == [("unseen", "knn", "level")] * 2
    assert comparisons(summarize([{**one, "task": "zero_shot"} for one in lines], methods)) == []


def test_every_case_of_a_task_has_its_table_and_its_verdict():
    lines = [
        line(method, name, seed, 0, "open_types", case, scores={"ontology_within_one_step": value})
        for method, value in (("okrcell", 0.7), ("knn", 0.6))
        for name in ("wang", "xin")
        for case in ("tissue told", "tissue untold")
        for seed in (0, 1)
    ]
    made = summarize(lines, METHODS)
    assert [grid.title for grid in result_tables(made, "open_types")] == [
        "Annotation without candidates, tissue told, mean over 2 sets",
        "Annotation without candidates, tissue untold, mean over 2 sets",
        "within one step, tissue told, by data set",
        "within one step, tissue untold, by data set",
    ]
    assert [one.sentence.split(":")[0] for one in comparisons(made)] == [
        "within one step, tissue told, mean over 2 sets",
        "within one step, tissue untold, mean over 2 sets",
    ]


def test_minus_is_a_minus():
    assert (format_points(-0.0123), format_points(0.05)) == ("−1.2", "+5.0")


def test_everything_that_can_be_drawn_is_drawn_and_the_page_stands_alone(tmp_path):
    lines = [*LINES, FAILED]
    coverage = {"accuracy_by_coverage": {"0.5": 0.9, "1": 0.8}}
    lines += [
        line("okrcell", name, 0, 0.8, "annotation", detail={**coverage, "not_scored": 12})
        for name in ("xin to wang", "segerstolpe to xin")
    ]
    lines += [
        line(method, "wang", draw, 0.8, "few_shot", f"K = {k}")
        for method in METHODS
        for draw in (0, 1)
        for k in (1, 5, 9)
    ]
    cases = ("as measured", "dropout 10%", "dropout 50%", "500 genes", "200 genes", "depth 1/2", "depth 1/10")
    lines += [line(method, "pbmc3k", 0, 0.8, "robustness", case) for method in METHODS for case in cases]
    plane = {"avg_bio": 0.6, "avg_batch": 0.7}
    lines += [
        line(method, name, 0, 0, "integration", scores=plane) for method in METHODS for name in ("islets", "cellmix")
    ]
    chance = {"chance": {"type_recall_1": 0.03}}
    lines += [line("okrcell", "pool", 0, 0, "retrieval", scores={"type_recall_1": 0.5}, detail=chance)]
    lines += [
        line(method, name, 0, 0.7, task, case, scores={goal: 0.7})
        for method in METHODS
        for name in ("wang", "xin")
        for task, case, goal in (
            ("unknown", "", "auroc_unknown"),
            ("open_types", "tissue told", "ontology_within_one_step"),
            ("unseen_types", "", "accuracy_of_seen"),
        )
    ]
    made = provenance_record("benchmark", sets={"wang": "ab"}, models={"okrcell": "cd" * 32}, methods=METHODS)
    assert publish(lines, made, {"scvi": "scvi is not installed"}, tmp_path) == tmp_path / "report.html"
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {
        f"{name}.png"
        for name in (
            *("overview", "zero_shot", "annotation", "few_shot", "robustness", "integration", "confidence"),
            *("unknown", "open_types", "unseen_types"),
        )
    }
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(pictures)
    assert 'src="http' not in page and "{{" not in page
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for expected in (
        "The baseline wins",
        "scvi was not run: scvi is not installed",
        "SingleR, Zero-shot annotation, islets (Xin): it was not done",
        "| chance | 0.030 |",
        "islets: Xin → Wang 12",
    ):
        assert expected in text, expected
    figures = json.loads((tmp_path / "summary.json").read_text())
    assert {one["outcome"] for one in figures["verdicts"]} == {"behind", "level", "open"}
    assert all((tmp_path / name).exists() for name in pictures)
