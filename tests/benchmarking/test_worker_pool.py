"""Jobs are shared out, and one that fails, hangs or dies does not cost the rest."""

import os
from pathlib import Path

import pytest

from okrcell.benchmarking import worker_pool as crew
from okrcell.benchmarking.worker_pool import run_jobs


@pytest.fixture
def shared_out(tmp_path, monkeypatch):
    """Have groups of jobs done by `worker_jobs.py`; return what was heard."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(crew, "WORKER", "answering")

    def done(*groups, workers=1, seconds=30.0):
        jobs = [
            [{"task": "t", "method": f"m{number}{place}", "steps": steps} for place, steps in enumerate(group)]
            for number, group in enumerate(groups)
        ]
        heard: list = []
        run_jobs(jobs, workers, seconds, tmp_path, lambda job, line: heard.append((job["method"], line)))
        return [(method, line) for method, line in heard if "begun" not in line]

    return done


def test_a_group_has_one_process_and_its_jobs_their_order(shared_out):
    heard = shared_out([["record", "record", "done"], ["record", "done"]], [["record", "done"]])
    assert [method for method, line in heard if "record" in line] == ["m00", "m00", "m01", "m10"]
    pids = {method: line["record"]["pid"] for method, line in heard if "record" in line}
    assert pids["m00"] == pids["m01"] != pids["m10"]


def test_a_job_that_hangs_is_ended_and_the_next_is_done(shared_out):
    heard = shared_out([["record", "sleep"], ["record", "done"]], seconds=6)
    assert [next(iter(line)) for _, line in heard] == ["record", "failure", "record", "done"]
    assert heard[1][1] == {"failure": "it exceeded the time limit of 0.1 minutes"}


@pytest.mark.parametrize("end", ["die", "half a line"])
def test_a_process_that_ends_is_told_and_replaced(shared_out, end):
    heard = shared_out([[end], ["record", "done"]])
    assert [next(iter(line)) for _, line in heard] == ["failure", "record", "done"]
    assert "ended with status 3; see t.m00.log" in heard[0][1]["failure"]


def test_a_failure_that_is_told_leaves_the_process(shared_out):
    heard = shared_out([["failure"], ["record", "done"]])
    assert heard[0][1]["failure"]["pid"] == heard[1][1]["record"]["pid"]


def test_two_processes_work_side_by_side(shared_out):
    heard = shared_out([["record", "done"]], [["record", "done"]], [["record", "done"]], workers=2)
    assert sorted(method for method, line in heard if "record" in line) == ["m00", "m10", "m20"]


def test_what_goes_wrong_with_the_one_who_listens_is_raised(tmp_path, monkeypatch, shared_out):
    def full(*_):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_jobs([[{"task": "t", "method": "m", "steps": ["record", "done"]}]], 1, 30, tmp_path, full)
