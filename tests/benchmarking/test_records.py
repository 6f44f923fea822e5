"""What is recorded is not lost, and what was cut short is not read."""

import pytest

from okrcell.benchmarking.records import append_record, differing_keys, read_records, repair_records
from okrcell.errors import InputError


def test_a_line_cut_short_is_taken_back_and_the_next_one_is_whole(tmp_path):
    path = tmp_path / "runs.jsonl"
    append_record(path, {"seed": 0})
    with path.open("a") as file:
        file.write('{"seed": 1, "accu')
    assert read_records(path) == [{"seed": 0}]
    assert repair_records(path) == [{"seed": 0}]
    append_record(path, {"seed": 2})
    assert read_records(path) == [{"seed": 0}, {"seed": 2}]


def test_a_whole_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"seed": 0}')
    assert repair_records(path) == [{"seed": 0}]
    append_record(path, {"seed": 1})
    assert read_records(path) == [{"seed": 0}, {"seed": 1}]


def test_a_damaged_line_in_the_middle_is_said(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"seed": 0}\n{"see\n{"seed": 2}\n')
    with pytest.raises(InputError, match="line 2"):
        read_records(path)


def test_nothing_yet_is_no_records(tmp_path):
    assert repair_records(tmp_path / "runs.jsonl") == []


def test_what_differs_is_named():
    now = {"seed": 1, "objective": {"bank": {"size": 4}, "omega": 0.5}}
    before = {"seed": 1, "objective": {"bank": {"size": 8}, "omega": 0.5}, "half": True}
    assert differing_keys(now, before) == ["half", "objective.bank.size"]
    assert differing_keys(now, now) == []
