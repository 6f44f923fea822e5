"""A benchmark is killed, goes on, is extended, and tells what it did."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from okrcell.benchmarking.noise import run as running
from okrcell.benchmarking.noise.plan import RUNNING_DIR, NoisePlan, run_of
from okrcell.benchmarking.records import RECORDS_FILE, read_records
from okrcell.benchmarking.run import benchmark
from okrcell.errors import IncompleteError, InputError, SettingsError

PLAN = {"objectives": ["info_nce", "improved"], "kinds": ["shuffled"], "rates": [0, 0.5], "seeds": [0]}
STEPS = 24
START = """
import json, sys
from okrcell.benchmarking.noise.plan import NoisePlan
from okrcell.benchmarking.run import benchmark
config, output, plan = sys.argv[1:]
benchmark(output, config=config, plan=NoisePlan(**json.loads(plan)), workers=2)
"""


def configured(run_settings, path, changes=None) -> Path:
    changes = {
        "schedule": {"steps": [6, 0]},
        "split": {"studies": ["second"]},
        "calibrate": False,
        **(changes or {}),
    }
    values = run_settings(changes).model_dump(mode="json", exclude={"objective": True, "noise": True})
    path.write_text(yaml.safe_dump(values))
    return path


def children(process) -> list[Path]:
    # The kernel lists the children of each thread apart; workers are started by the threads of the pool.
    children_files = Path(f"/proc/{process.pid}/task").glob("*/children")
    try:
        return [Path("/proc") / pid for file in children_files for pid in file.read_text().split()]
    except OSError:
        return []  # the process or a thread has ended meanwhile


def gone(process: Path) -> bool:
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def config(run_settings, tmp_path) -> Path:
    return configured(run_settings, tmp_path / "noise.yaml")


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory, corpus_folder, tiny_model):
    """A benchmark of four runs by two processes, killed after the first record, and brought to its end."""
    folder = tmp_path_factory.mktemp("benchmark")
    values = {
        "corpus": str(corpus_folder),
        "output": "unused",
        "model": tiny_model,
        "stream": {"batch_size": 32},
        "schedule": {"steps": [STEPS, 0], "learning_rate": 1e-3},
        "split": {"studies": ["second"]},
        "genes_in_cells": 10,
        "compute": {"accelerator": "cpu"},
        "calibrate": False,
        "objective": {"reliability": {"visits_per_epoch": 0.5}},
    }
    config, output = folder / "noise.yaml", folder / "out"
    config.write_text(yaml.safe_dump(values))
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(config), str(output), json.dumps(PLAN)], stderr=subprocess.PIPE, text=True
    )
    workers: list[Path] = []
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline and not read_records(output / RECORDS_FILE):
        workers = children(process) or workers
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    before = read_records(output / RECORDS_FILE)
    while not all(map(gone, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(gone, workers)), "a worker went on alone"
    with (output / RECORDS_FILE).open("a") as file:
        file.write('{"objective": "impro')  # as if it had been killed in the middle of a line
    messages: list[str] = []
    result = benchmark(output, config=config, plan=NoisePlan(**PLAN), say=messages.append)
    return config, output, before, result, messages


def test_a_killed_benchmark_goes_on_and_makes_each_run_once(killed_once):
    _, output, before, result, messages = killed_once
    records = read_records(output / RECORDS_FILE)
    assert 1 <= len(before) < 4
    assert records[: len(before)] == before
    assert len({run_of(record) for record in records}) == len(records) == 4
    assert (result.runs, result.made) == (4, 4 - len(before))
    assert messages[0].startswith(f"{4 - len(before)} runs") and "minutes left" in messages[1]
    assert not (output / RUNNING_DIR).exists()


def test_each_record_carries_what_the_report_needs(killed_once):
    _, output, *_ = killed_once
    for record in read_records(output / RECORDS_FILE):
        assert record["steps"] == STEPS and record["seconds_per_step"] > 0
        assert record["sets"][0]["set"] == "second"
        assert 0 <= record["macro_f1"] <= 1
        assert record["settings"]["noise"]["rate"] == record["rate"]
        judged = record["objective"] == "improved" and record["rate"] > 0
        assert (record["reliability"] is not None) == judged
        assert bool(record["noise_note"]) == (record["rate"] > 0)
    assert "corpus" not in record["settings"]


def test_nothing_left_to_do_writes_the_report_again(killed_once, monkeypatch):
    config, output, *_ = killed_once
    (output / "report.md").unlink()
    monkeypatch.setattr(running, "run_trials", None)  # no process is started
    result = benchmark(output, config=config, plan=NoisePlan(**PLAN))
    page = result.report.read_text()
    assert (result.runs, result.made) == (4, 0)
    assert "| `improved` |" in page and "| `info_nce` |" in page and "(second" not in page
    for picture in ("noise.png", "ladder.png", "reliability-improved.png"):
        assert (output / picture).stat().st_size > 10_000 and f"]({picture})" in page
    figures = json.loads((output / "summary.json").read_text())
    assert figures["verb"] == "benchmark" and figures["runs"] == 4 and len(figures["scores"]) == 4


def test_runs_with_other_settings_or_data_are_refused_by_name(killed_once, tmp_path, blood, monkeypatch):
    from okrcell.data.prepare import prepare

    config, output, *_ = killed_once
    monkeypatch.setattr(running, "run_trials", None)
    values = yaml.safe_load(config.read_text())
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump({**values, "genes_in_cells": 11}))
    with pytest.raises(SettingsError, match=r"other settings \(genes_in_cells\)"):
        benchmark(output, config=changed, plan=NoisePlan(**PLAN))
    blood[:60].copy().write_h5ad(tmp_path / "second.h5ad")
    prepare([tmp_path / "second.h5ad"], tmp_path / "corpus")
    with pytest.raises(SettingsError, match=r"other data \(corpus\)"):
        benchmark(output, config=config, corpus=tmp_path / "corpus", plan=NoisePlan(**PLAN))


def test_a_second_process_is_kept_out(killed_once):
    from okrcell.data.corpus import writer_lock

    config, output, *_ = killed_once
    with writer_lock(output), pytest.raises(InputError, match="Another process"):
        benchmark(output, config=config, plan=NoisePlan(**PLAN))


MISTAKES = {
    "a folder of something else": ({"output": "full"}, "is not a benchmark folder"),
    "a corpus that is not there": ({"corpus": "nowhere"}, "nowhere"),
    "a file that is not there": ({"files": ["nothing.h5ad"]}, "nothing.h5ad"),
    "no process": ({"workers": 0}, "at least one worker"),
    "an unknown task": ({"tasks": ("clusters",)}, "any of these tasks: .*; seen: clusters"),
    "another task beside it": ({"tasks": ("noise", "clustering")}, "or noise alone"),
    "a baseline": ({"methods": ("hvg_pca",)}, "trains its own models"),
    "no task": ({"tasks": ()}, "any of these tasks"),
}


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_before_any_process_is_started(config, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.setattr(running, "run_trials", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("do not lose me")
    with pytest.raises(InputError, match=expected):
        benchmark(**{"output": "out", "config": config, **arguments})


ANSWERS = {
    "nothing": ("", IncompleteError, r"ended with status 0; .*worker-1\.log"),
    "a mistake": ({"mistake": "no cells"}, InputError, "clean.seed-0 cannot be trained: no cells"),
    "a failure": (
        {"failure": "Traceback:\n  in it\nValueError: odd"},
        IncompleteError,
        "failed: ValueError: odd; .*is kept",
    ),
}


@pytest.mark.parametrize(("answer", "error", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_what_a_process_answers_instead_of_a_record_is_told(config, tmp_path, monkeypatch, answer, error, expected):
    (tmp_path / "answer").write_text(json.dumps(answer) + "\n" if answer else "")
    fake_python = tmp_path / "python"
    fake_python.write_text(f"#!/bin/sh\nread line\ncat {tmp_path / 'answer'}\n")
    fake_python.chmod(0o755)
    monkeypatch.setattr("okrcell.benchmarking.worker_pool.sys.executable", str(fake_python))
    with pytest.raises(error, match=expected):
        benchmark(tmp_path / "out", config=config, plan=NoisePlan(objectives=("info_nce",), rates=(0,), seeds=(0,)))
    assert read_records(tmp_path / "out" / RECORDS_FILE) == []


def test_nothing_to_score_on_says_what_to_do(run_settings, tmp_path):
    config = configured(run_settings, tmp_path / "noise.yaml", {"split": {"validation": 0.2}})
    with pytest.raises(InputError, match=r"--files, or in .*noise.yaml studies"):
        benchmark(tmp_path / "out", config=config)
