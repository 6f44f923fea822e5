"""A benchmark is made once, goes on where it stopped, and does not mix what cannot be compared."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import okrcell as okr
from okrcell.benchmarking import run as measure
from okrcell.benchmarking import worker
from okrcell.benchmarking.methods import Annotation, Method
from okrcell.benchmarking.records import RECORDS_FILE
from okrcell.benchmarking.run import METHODS, select_methods
from okrcell.benchmarking.tasks import clustering, unseen_types, zero_shot
from okrcell.errors import InputError, SettingsError
from okrcell.metrics.embedding import leiden_clusterings


@pytest.fixture
def run_inline(monkeypatch):
    """Do the jobs in this process, on one small set."""
    jobs: list = []

    def run_in_process(groups, _workers, _seconds, _logs, on_result):
        for job in (job for group in groups for job in group):
            jobs.append(job)
            on_result(job, {"begun": True})
            for result in worker.run_job(job):
                on_result(job, {"record": worker.to_record(job, result)})
            on_result(job, {"done": True})

    monkeypatch.setattr(measure, "run_jobs", run_in_process)
    monkeypatch.setattr(clustering, "SETS", ("wang",))
    monkeypatch.setattr(clustering, "leiden_clusterings", partial(leiden_clusterings, resolutions=(0.5, 1.0)))
    return jobs


def run_benchmark(folder, shared, **arguments):
    messages: list = []
    defaults = {
        "tasks": ["clustering"],
        "methods": ["hvg_pca"],
        "data": shared,
        "seeds": (0, 1),
        "say": messages.append,
    }
    return okr.benchmark(folder, **{**defaults, **arguments}), messages


def test_it_goes_on_where_it_stopped(shared_data: Path, run_inline, tmp_path):
    result, messages = run_benchmark(tmp_path / "out", shared_data, seeds=(0,))
    assert (result.runs, result.made) == (1, 1)
    assert messages[0] == "1 scores to compute on 1 files, 1 worker processes."
    assert messages[1].startswith("1/1 hvg_pca, clustering wang seed 0: avg_bio 0.")
    first = (tmp_path / "out" / RECORDS_FILE).read_text()
    with (tmp_path / "out" / RECORDS_FILE).open("a") as file:
        file.write('{"task": "clustering", "set": "wa')  # the power was cut here
    result, _ = run_benchmark(tmp_path / "out", shared_data)
    assert (result.runs, result.made, len(run_inline[-1]["items"])) == (2, 1, 1)
    assert (tmp_path / "out" / RECORDS_FILE).read_text().startswith(first)
    assert run_benchmark(tmp_path / "out", shared_data)[0].made == 0
    assert run_benchmark(tmp_path / "out", shared_data, again=["hvg_pca"])[0].made == 2
    figures = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert figures["tables"][0]["lines"][0]["mean"]["avg_bio"]["n"] == 2
    for name in ("report.md", "report.html", "overview.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_one_seed_gives_the_same_numbers(shared_data: Path, run_inline, tmp_path):
    scores = [
        json.loads((run_benchmark(tmp_path / name, shared_data, seeds=(0,))[0].records).read_text())["scores"]
        for name in ("one", "other")
    ]
    assert scores[0] == scores[1]


def test_asking_again_for_one_task_leaves_the_answers_to_others(shared_data: Path, run_inline, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "publish", lambda *_: tmp_path / "report.html")
    run_benchmark(tmp_path / "out", shared_data, seeds=(0,))
    records = tmp_path / "out" / RECORDS_FILE
    other = json.loads(records.read_text()) | {"task": "few_shot"}
    with records.open("a") as file:
        file.write(json.dumps(other) + "\n")
    result, _ = run_benchmark(tmp_path / "out", shared_data, seeds=(0,), again=["hvg_pca"])
    assert (result.runs, result.made) == (2, 1)
    assert [json.loads(line)["task"] for line in records.read_text().splitlines()] == ["few_shot", "clustering"]


@pytest.mark.parametrize(
    ("again", "messages"),
    [
        ("hvg_pka", "did you mean 'hvg_pca'?"),
        ("okrcell", "its methods are: hvg_pca. Select methods with --methods"),
        ("scvi", "which is not available: scvi is not installed: pip install"),
    ],
)
def test_nobody_is_asked_again_who_takes_no_part(shared_data: Path, run_inline, tmp_path, monkeypatch, again, messages):
    monkeypatch.setattr("okrcell.benchmarking.run.find_spec", lambda name: None if name == "scvi" else name)
    run_benchmark(tmp_path / "out", shared_data, seeds=(0,))
    # Answers and the receipt of methods that took part before.
    records, receipt = tmp_path / "out" / RECORDS_FILE, tmp_path / "out" / "benchmark.json"
    other = json.loads(records.read_text())
    with records.open("a") as file:
        file.writelines(json.dumps(other | {"method": name}) + "\n" for name in ("okrcell", "scvi"))
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"models": {"okrcell": "0" * 64}}))
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    methods = ["hvg_pca", "scvi"] if again == "scvi" else ["hvg_pca"]
    with pytest.raises(SettingsError, match=re.escape(messages)):
        run_benchmark(tmp_path / "out", shared_data, methods=methods, again=[again])
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()} == before


def test_a_damaged_line_leaves_the_receipt_of_the_former_model(shared_data: Path, run_inline, tmp_path, monkeypatch):
    run_benchmark(tmp_path / "out", shared_data, seeds=(0,))
    records, receipt = tmp_path / "out" / RECORDS_FILE, tmp_path / "out" / "benchmark.json"
    records.write_text("{\n" + records.read_text())
    before = receipt.read_bytes()
    with pytest.raises(InputError, match="damaged in line 1"):
        run_benchmark(tmp_path / "out", shared_data, again=["hvg_pca"])
    assert receipt.read_bytes() == before


def test_a_failure_is_told_kept_and_tried_again(shared_data: Path, run_inline, tmp_path, monkeypatch):
    monkeypatch.setattr(
        measure, "run_jobs", lambda groups, *_: _[-1](groups[0][0], {"failure": "it was not done after 20 minutes"})
    )
    result, messages = run_benchmark(tmp_path / "out", shared_data)
    assert result.runs == 0
    assert messages[-1] == "hvg_pca failed on clustering, wang (2 scores missing): it was not done after 20 minutes"
    assert "HVG + PCA, Clustering, islets (Wang): it was not done after 20 minutes" in (
        tmp_path / "out" / "report.md"
    ).read_text(encoding="utf-8")


def test_figures_of_other_files_are_not_mixed_in(shared_data: Path, run_inline, tmp_path):
    run_benchmark(tmp_path / "out", shared_data, seeds=(0,))
    receipt = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    receipt["sets"]["wang"] = "0" * 64
    (tmp_path / "out" / "benchmark.json").write_text(json.dumps(receipt))
    with pytest.raises(SettingsError, match=r"holds results of other files or models \(wang\)"):
        run_benchmark(tmp_path / "out", shared_data)


def test_a_missing_package_is_told_and_the_others_go_on(shared_data: Path, run_inline, tmp_path, monkeypatch):
    monkeypatch.setattr("okrcell.benchmarking.run.find_spec", lambda name: None if name == "scvi" else name)
    _, messages = run_benchmark(tmp_path / "out", shared_data, methods=["hvg_pca", "scvi"], seeds=(0,))
    assert messages[0] == "scvi is skipped: scvi is not installed: pip install 'okrcell[baselines]'."
    assert "scvi was not run" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_who_has_seen_the_types_in_question_is_not_asked_and_the_others_go_on(
    shared_data: Path, run_inline, tmp_path, monkeypatch
):
    monkeypatch.setattr(unseen_types, "SETS", ("wang",))
    monkeypatch.setattr(measure, "publish", lambda *_: tmp_path / "report.html")
    arguments = {"tasks": ["unseen_types"], "methods": ["okrcell", "markers"], "knowledge": tmp_path, "seeds": (0,)}
    monkeypatch.setattr(unseen_types, "trained_types", lambda _: ["CL:0000115"])
    monkeypatch.setattr(
        worker, "load_implementation", lambda *_: lambda query, candidates, seed: Annotation(query.obs_names, ())
    )
    result, messages = run_benchmark(tmp_path / "out", shared_data, **arguments)
    assert messages[0].startswith("okrcell is excluded from unseen_types: its model.json does not list")
    assert [job["method"] for job in run_inline] == ["markers"]
    assert json.loads(result.records.read_text())["scores"]["accuracy"] == 0


def test_a_part_of_okrcell_has_the_weights_of_the_model_and_a_table_by_type(
    shared_data: Path, run_inline, tmp_path, monkeypatch
):
    from okrcell.benchmarking.resources import weights_sha256

    def implementation(*_):
        return lambda query, candidates, seed: Annotation(np.repeat(candidates[0], query.n_obs), tuple(candidates))

    monkeypatch.setattr(zero_shot, "SETS", ("wang", "tabula_muris_marrow"))
    monkeypatch.setattr(worker, "load_implementation", implementation)
    result, _ = run_benchmark(
        tmp_path / "out", shared_data, tasks=["zero_shot"], methods=["okrcell_cosine"], seeds=(0,)
    )
    assert [json.loads(line)["case"] for line in result.records.read_text().splitlines()] == ["", "mouse"]
    provenance = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert provenance["models"] == {"okrcell_cosine": weights_sha256(None)}
    assert provenance["methods"]["okrcell_cosine"]["kind"] == "control"
    page = (tmp_path / "out" / "per_type.md").read_text(encoding="utf-8")
    assert "| type | cells | sets | okrcell, cosine of cell and text alone |" in page
    assert "pancreatic A cell" in page
    assert "T cell" not in page  # of the mouse


MISTAKES = {
    "a task": ({"tasks": ["clusters"]}, InputError, "any of these tasks"),
    "a method": ({"methods": ["hvg"]}, SettingsError, "no method 'hvg'; did you mean 'hvg_pca'"),
    "no process": ({"workers": 0}, InputError, "at least one worker"),
    "no seed": ({"seeds": ()}, InputError, "at least one seed"),
    "a choice of noise": ({"files": ["a.h5ad"]}, InputError, "files is for the task noise only"),
    "a model's name": ({"models": {"okrcell": "folder"}}, SettingsError, "names a checkpoint okrcell"),
    "no data": ({"data": None}, InputError, "Name the folder that holds"),
    "noise without settings": ({"tasks": ["noise"], "methods": (), "data": None}, InputError, "with --config"),
}


@pytest.mark.parametrize(("arguments", "error", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_done(run_inline, tmp_path, arguments, error, expected):
    with pytest.raises(error, match=expected):
        run_benchmark(tmp_path / "out", tmp_path, **arguments)
    assert run_inline == []


def test_slow_methods_take_part_when_they_are_named():
    registry = {"quick": Method("quick", {}), "slow": Method("slow", {}, slow=True), "okrcell": METHODS["okrcell"]}
    assert list(select_methods((), {}, None, None, registry).methods) == ["quick", "okrcell"]
    assert list(select_methods(("slow",), {}, None, None, registry).methods) == ["slow"]
    assert list(select_methods(("all",), {}, None, None, registry).methods) == ["quick", "slow", "okrcell"]
    selected = select_methods(("quick",), {"mine": "folder"}, None, None, registry).methods
    assert (list(selected), selected["mine"].model, selected["mine"].kind) == (["quick", "mine"], "folder", "control")
    markers = {"markers": Method("markers", {}, requires=("knowledge",))}
    assert select_methods((), {}, None, None, markers).unavailable == {
        "markers": "it needs a folder: give it with --knowledge"
    }


def test_a_worker_writes_what_json_can_hold():
    from okrcell.benchmarking.resources import ResourceUsage
    from okrcell.benchmarking.tasks.task import Item, ItemResult

    result = ItemResult(Item("K = 1", 3), {"accuracy": float("nan"), "macro_f1": 0.5}, ResourceUsage(1.0, None), 7)
    record = worker.to_record({"task": "few_shot", "set": "wang", "method": "knn"}, result)
    assert json.loads(json.dumps(record, allow_nan=False))["scores"] == {"accuracy": None, "macro_f1": 0.5}
