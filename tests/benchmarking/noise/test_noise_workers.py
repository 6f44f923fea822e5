"""Runs are distributed to processes; one failure does not affect the others."""

import json

import pytest

from okrcell.benchmarking.worker_pool import run_trials
from okrcell.errors import IncompleteError, InputError

MISTAKE = {"mistake": "no cells"}


@pytest.fixture
def run_requests(tmp_path, monkeypatch):
    """Run four requests in processes that give these answers; return the records and the error."""

    def run(*answers, workers=1):
        (tmp_path / "answers").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
        fake_python = tmp_path / "python"
        fake_python.write_text(
            f'#!/bin/sh\nwhile read answer <&3; do read line || exit; echo "$answer"; done 3< {tmp_path}/answers\n'
        )
        fake_python.chmod(0o755)
        monkeypatch.setattr("okrcell.benchmarking.worker_pool.sys.executable", str(fake_python))
        records: list = []
        requests = [{"settings": {"title": f"run-{i}"}} for i in range(4)]
        try:
            run_trials(requests, workers, tmp_path, records.append)
        except (InputError, IncompleteError) as error:
            return records, error
        return records, None

    return run


def test_records_come_in_the_order_of_the_work(run_requests):
    records, error = run_requests(*({"record": i} for i in range(4)))
    assert (records, error) == ([0, 1, 2, 3], None)


def test_the_others_are_made_when_one_cannot_be(run_requests):
    records, error = run_requests({"record": 0}, MISTAKE, {"record": 2}, {"record": 3})
    assert records == [0, 2, 3]
    assert isinstance(error, InputError) and "run-1 cannot be trained: no cells" in str(error)


def test_several_failures_are_counted(run_requests):
    records, error = run_requests({"record": 0}, MISTAKE, {"failure": "ValueError: odd"}, {"record": 3})
    assert records == [0, 3]
    assert isinstance(error, IncompleteError) and str(error).startswith("2 runs failed")


def test_if_the_first_cannot_be_made_no_more_is_tried(run_requests):
    records, error = run_requests(MISTAKE, {"record": 1}, {"record": 2}, {"record": 3})
    assert records == [] and "run-0" in str(error)


def test_a_process_that_ends_stops_the_work(run_requests):
    records, error = run_requests({"record": 0})
    assert records == [0]
    assert isinstance(error, IncompleteError) and "run-1 ended with status 0" in str(error)
