"""The verb reads its options, and a slip in one is one line."""

import pytest

import okrcell.cli
from okrcell.benchmarking.records import BenchmarkResult


@pytest.fixture
def arguments(monkeypatch):
    """Collect the arguments of the verb, without running a benchmark."""
    arguments: dict = {}

    def fake_benchmark(output, **options):
        arguments.update(options, output=output)
        return BenchmarkResult(output, output / "report.html", output / "runs.jsonl", 1300, 2)

    monkeypatch.setattr("okrcell.benchmarking.run.benchmark", fake_benchmark)
    return arguments


def test_options_become_choices(arguments, capsys, tmp_path):
    argv = [
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
    argv += ["--models", "info_nce=runs/a,cell_only=runs/b", "--seeds", "0,1", "--workers", "2", "--again", "okrcell"]
    with pytest.raises(SystemExit) as exit_info:
        okrcell.cli.main(argv)
    assert not exit_info.value.code
    assert (arguments["tasks"], arguments["methods"], arguments["seeds"]) == (
        ("clustering", "few_shot"),
        ("okrcell", "knn"),
        (0, 1),
    )
    assert arguments["models"] == {"info_nce": "runs/a", "cell_only": "runs/b"}
    assert (arguments["data"].name, arguments["workers"], arguments["again"]) == ("sets", 2, ("okrcell",))
    assert {"config", "plan", "files"}.isdisjoint(arguments)
    assert "report.html from 1,300 runs, 2 of them new" in capsys.readouterr().out


def test_everything_is_the_default(arguments, tmp_path):
    with pytest.raises(SystemExit):
        okrcell.cli.main(["benchmark", "-o", str(tmp_path)])
    assert (arguments["tasks"], arguments["methods"]) == (None, ())
    assert "seeds" not in arguments


def test_a_model_without_a_folder_is_one_line(arguments, capsys, tmp_path):
    with pytest.raises(SystemExit) as exit_info:
        okrcell.cli.main(["benchmark", "-o", str(tmp_path), "--models", "info_nce"])
    assert exit_info.value.code == 2
    assert "--models expects name=folder, separated by commas; seen: info_nce." in capsys.readouterr().err
