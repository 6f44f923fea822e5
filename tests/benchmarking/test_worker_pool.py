"""Jobs are distributed to processes; one that fails, hangs or dies does not affect the others."""

import os
from pathlib import Path

import pytest

from okrcell.benchmarking import worker_pool
from okrcell.benchmarking.worker_pool import run_jobs


@pytest.fixture
def run_groups(tmp_path, monkeypatch):
    """Run groups of jobs in processes of `worker_jobs.py`; return the result lines."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(worker_pool, "WORKER_MODULE", "worker_jobs")

    def run(*groups, workers=1, seconds=30.0):
        jobs = [
            [{"task": "t", "method": f"m{i}{j}", "steps": steps} for j, steps in enumerate(group)]
            for i, group in enumerate(groups)
        ]
        lines: list = []
        run_jobs(jobs, workers, seconds, tmp_path, lambda job, line: lines.append((job["method"], line)))
        return [(method, line) for method, line in lines if "begun" not in line]

    return run


def test_a_group_has_one_process_and_its_jobs_their_order(run_groups):
    lines = run_groups([["record", "record", "done"], ["record", "done"]], [["record", "done"]])
    assert [method for method, line in lines if "record" in line] == ["m00", "m00", "m01", "m10"]
    pids = {method: line["record"]["pid"] for method, line in lines if "record" in line}
    assert pids["m00"] == pids["m01"] != pids["m10"]


def test_a_job_that_hangs_is_ended_and_the_next_is_done(run_groups):
    lines = run_groups([["record", "sleep"], ["record", "done"]], seconds=6)
    assert [next(iter(line)) for _, line in lines] == ["record", "failure", "record", "done"]
    assert lines[1][1] == {"failure": "it exceeded the time limit of 0.1 minutes"}


@pytest.mark.parametrize("end", ["die", "half a line"])
def test_a_process_that_ends_is_told_and_replaced(run_groups, end):
    lines = run_groups([[end], ["record", "done"]])
    assert [next(iter(line)) for _, line in lines] == ["failure", "record", "done"]
    assert "ended with status 3; see t.m00.log" in lines[0][1]["failure"]


def test_a_failure_that_is_told_leaves_the_process(run_groups):
    lines = run_groups([["failure"], ["record", "done"]])
    assert lines[0][1]["failure"]["pid"] == lines[1][1]["record"]["pid"]


def test_two_processes_work_side_by_side(run_groups):
    lines = run_groups([["record", "done"]], [["record", "done"]], [["record", "done"]], workers=2)
    assert sorted(method for method, line in lines if "record" in line) == ["m00", "m10", "m20"]


def test_what_goes_wrong_with_the_one_who_listens_is_raised(tmp_path, monkeypatch, run_groups):
    def full(*_):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_jobs([[{"task": "t", "method": "m", "steps": ["record", "done"]}]], 1, 30, tmp_path, full)
