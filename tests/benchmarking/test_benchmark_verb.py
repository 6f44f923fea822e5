"""The verb reads its options, and a slip in one is one line."""

import pytest

import okrcell.cli
from okrcell.benchmarking.records import BenchmarkResult


@pytest.fixture
def asked(monkeypatch):
    """Collect what the verb asks for, without doing it."""
    seen: dict = {}

    def pretended(output, **given):
        seen.update(given, output=output)
        return BenchmarkResult(output, output / "report.html", output / "runs.jsonl", 1300, 2)

    monkeypatch.setattr("okrcell.benchmarking.run.benchmark", pretended)
    return seen


def test_options_become_choices(asked, capsys, tmp_path):
    words = [
        "benchmark",
        "-o",
        str(tmp_path),
        "--tasks",
        "clustering,few_shot",
        "--methods",
        "okrcell,knn",
        "--data",
        "sets",
    ]
    words += ["--models", "info_nce=runs/a,cell_only=runs/b", "--seeds", "0,1", "--workers", "2", "--again", "okrcell"]
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(words)
    assert not ended.value.code
    assert (asked["tasks"], asked["methods"], asked["seeds"]) == (
        ("clustering", "few_shot"),
        ("okrcell", "knn"),
        (0, 1),
    )
    assert asked["models"] == {"info_nce": "runs/a", "cell_only": "runs/b"}
    assert (asked["data"].name, asked["workers"], asked["again"]) == ("sets", 2, ("okrcell",))
    assert {"config", "plan", "files"}.isdisjoint(asked)
    assert "report.html from 1,300 runs, 2 of them new" in capsys.readouterr().out


def test_everything_is_the_default(asked, tmp_path):
    with pytest.raises(SystemExit):
        okrcell.cli.main(["benchmark", "-o", str(tmp_path)])
    assert (asked["tasks"], asked["methods"]) == (None, ())
    assert "seeds" not in asked


def test_a_model_without_a_folder_is_one_line(asked, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(["benchmark", "-o", str(tmp_path), "--models", "info_nce"])
    assert ended.value.code == 2
    assert "--models expects name=folder, separated by commas; seen: info_nce." in capsys.readouterr().err
