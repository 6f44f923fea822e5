"""The report says what the figures say, also where we lose."""

import json

import pytest

from okrcell.benchmarking.report.figures import draw_figures
from okrcell.benchmarking.report.over_sets import scores_over_sets
from okrcell.benchmarking.report.per_type import per_type_table
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
    assert "okrcell is ahead of every baseline. Over data sets:" in comparisons(summarize(ours, METHODS))[0].sentence
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
    assert [cell.best for cell in {row.title: row for row in by_set[2].rows}["SingleR †"].cells] == [True, False]


def test_intervals_in_brackets_are_over_data_sets_and_pairs_are_data_sets(summary):
    (table,) = [
        grid for grid in result_tables(summary, "zero_shot") if grid.title == "macro-F1, intervals over data sets"
    ]
    assert table.head == ("mean of all 2 sets", "okrcell minus method, points")
    rows = {row.title: [cell.text for cell in row.cells] for row in table.rows}
    # Means of 0.61 and 0.71 over seeds; t of 1 degree of freedom is 12.706.
    half_width = 12.7062 * 0.05
    assert rows["okrcell"] == [f"0.660 [{0.66 - half_width:.3f}, {0.66 + half_width:.3f}]", "–"]
    assert rows["kNN"][0] == f"0.760 [{0.76 - half_width:.3f}, {0.76 + half_width:.3f}]"
    assert rows["kNN"][1] == "−10.0 [−10.0, −10.0]"
    # On the one data set that SingleR has; a single one gives no interval.
    assert rows["SingleR †"] == ["0.910", "−30.0"]
    assert "over data sets" in table.note


def test_the_first_six_sets_have_a_mean_of_their_own():
    from okrcell.benchmarking.tasks.zero_shot import FIRST_SETS, HUMAN_SETS

    lines = [
        line(method, name, 0, value + 0.1 * (name in FIRST_SETS) + 0.01 * index)
        for method, value in (("okrcell", 0.6), ("knn", 0.5))
        for index, name in enumerate(HUMAN_SETS)
    ]
    made = summarize(lines, METHODS)
    table = result_tables(made, "zero_shot")[1]
    assert table.head[::2] == ("mean of first six sets", "mean of all 13 sets")
    means = [cell.text.split()[0] for cell in table.rows[0].cells[::2]]
    assert means == [f"{0.7 + 0.025:.3f}", f"{0.6 + 0.6 / 13 + 0.06:.3f}"]
    scores = list(scores_over_sets(made, made.tables[0], "macro_f1"))
    assert [len(one.sets) for one in scores] == [6, 13, 6, 13]
    assert [one.difference is None for one in scores] == [True, True, False, False]
    assert scores[3].difference.mean == pytest.approx(0.1)


def test_a_mouse_set_is_no_part_of_the_mean():
    lines = [*LINES, *(line(name, "tabula_muris_marrow", 0, 0.1, case="mouse") for name in ("okrcell", "knn"))]
    human, mouse = summarize(lines[::-1], METHODS).tables
    assert (human.case, mouse.case) == ("", "mouse")
    assert "tabula_muris_marrow" not in human.sets
    assert human.line("okrcell").mean["macro_f1"].mean == pytest.approx(0.66)


def test_wordings_are_columns_in_their_order():
    lines = [
        line("okrcell", name, seed, value, "free_text", wording)
        for value, wording in ((0.5, "sentence"), (0.9, "id"), (0.7, "definition"))
        for name in ("wang", "xin")
        for seed in (0, 1)
    ]
    accuracy, f1, *further = result_tables(summarize(lines, METHODS), "free_text")
    assert accuracy.head == ("id", "definition", "sentence", "seconds", "GB")
    assert [cell.text.split()[0] for cell in accuracy.rows[0].cells[:3]] == ["0.900", "0.700", "0.500"]
    assert (accuracy.title, f1.title) == ("accuracy, mean over 2 sets", "macro-F1, mean over 2 sets")
    assert further[0].title == "accuracy, id, intervals over data sets"


def test_dropout_of_annotated_cells_has_its_own_table_and_figure(tmp_path):
    lines = [
        line("okrcell", "xin to wang", seed, value, "annotation_dropout", case)
        for value, case in ((0.9, "as measured"), (0.8, "dropout 10%"), (0.6, "dropout 50%"))
        for seed in (0, 1)
    ]
    # Without downsampling the task robustness has other cells.
    lines += [line("okrcell", "xin to wang", seed, 0.1, "robustness", "as measured") for seed in (0, 1)]
    made = summarize(lines, METHODS)
    (grid,) = result_tables(made, "annotation_dropout")
    assert [cell.text for cell in grid.rows[0].cells] == ["0.900", "−10.0", "−30.0"]
    assert draw_figures(made, tmp_path)["annotation_dropout"][0][1] == "annotation_dropout.png"


def test_types_have_a_table_of_pooled_counts():
    b, nk = "CL:0000236", "CL:0000623"

    def counted(method, name, seed, **counts):
        return line(method, name, seed, 0.5, detail={"counts_by_type": counts})

    lines = [
        *(counted("okrcell", "wang", seed, **{b: (10, 10, 10), nk: (4, 2, 2)}) for seed in (0, 1)),
        *(counted("okrcell", "xin", seed, **{b: (10, 0, 0)}) for seed in (0, 1)),
        *(counted("knn", name, seed, **{b: (10, 20, 10)}) for name in ("wang", "xin") for seed in (0, 1)),
        counted("singler", "wang", 0, **{b: (10, 10, 10)}),
        {**counted("okrcell", "tabula_muris_marrow", 0, **{b: (1000, 0, 0)}), "case": "mouse"},
        FAILED,
    ]
    for one in lines:
        if one["method"] == "knn" and one["set"] == "wang":
            one["detail"]["counts_by_type"][nk] = (4, 0, 0)
    page = per_type_table(lines, METHODS)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in page.splitlines() if row.startswith("|")]
    assert rows[0] == ["type", "cells", "sets", "okrcell", "kNN"]
    assert rows[2:] == [
        ["B cell (CL:0000236)", "20", "2", "0.500 / 0.667", "1.000 / 0.667"],
        ["natural killer cell (CL:0000623)", "4", "1", "0.500 / 0.667", "0.000 / 0.000"],
    ]
    assert "Left out, no scores on some data sets: SingleR." in page
    assert per_type_table(LINES, METHODS) == ""


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
        "within one step, tissue told, intervals over data sets",
        "within one step, tissue untold, intervals over data sets",
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
    assert {one["method"] for one in figures["over_sets"]} == set(METHODS)
    # No record counts cells by type.
    assert not (tmp_path / "per_type.md").exists()
