"""The log tells one story, also of a run that was killed."""

from okrcell.training.log import Log, read_log


def filled(path, steps):
    log = Log(path, from_step=0)
    for step in range(steps):
        log.write(step, total=step / 7)
    log.close()


def test_lines_are_on_disk_at_once_and_come_back_in_order(tmp_path):
    log = Log(tmp_path / "log.jsonl", from_step=0)
    for step in range(3):
        log.write(step, total=step / 7, stage=1)
        assert read_log(tmp_path / "log.jsonl")[-1] == {"step": step, "total": step / 7, "stage": 1}
    log.close()
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [0, 1, 2]


def test_lines_after_the_step_that_is_gone_back_to_are_taken_back(tmp_path):
    filled(tmp_path / "log.jsonl", 9)
    log = Log(tmp_path / "log.jsonl", from_step=6)
    log.write(6, total=0.5)
    log.close()
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in lines] == list(range(7))
    assert lines[-1] == {"step": 6, "total": 0.5}
    assert lines[5]["total"] == 5 / 7


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    filled(path, 4)
    path.write_text(path.read_text()[:-9])
    assert [line["step"] for line in read_log(path)] == [0, 1, 2]
    Log(path, from_step=3).close()
    assert len(path.read_text().splitlines()) == 3


def test_a_new_run_starts_a_new_log(tmp_path):
    filled(tmp_path / "log.jsonl", 4)
    Log(tmp_path / "log.jsonl", from_step=0).close()
    assert read_log(tmp_path / "log.jsonl") == []
    assert read_log(tmp_path / "absent.jsonl") == []
