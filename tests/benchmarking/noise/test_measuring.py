"""The verb reads its options, and a mistake in them is one line."""

import pytest

import okrcell.cli
import okrcell.cli.benchmark
from okrcell.benchmarking.records import BenchmarkResult


@pytest.fixture
def arguments(monkeypatch, tmp_path):
    """Collect the arguments of the verb, without running a benchmark."""
    arguments: dict = {}

    def fake_benchmark(output, **options):
        arguments.update(options, output=output)
        return BenchmarkResult(output, output / "report.md", output / "runs.jsonl", 3, 2)

    monkeypatch.setattr("okrcell.benchmarking.run.benchmark", fake_benchmark)
    return arguments


def test_options_become_a_plan(arguments, capsys, tmp_path):
    argv = ["benchmark", "--config", "noise.yaml", "-o", str(tmp_path), "--objectives", "info_nce,improved"]
    argv += [
        "--kinds",
        "sibling",
        "--rates",
        "0,0.3",
        "--seeds",
        "1,2",
        "--workers",
        "2",
        "--files",
        "a.h5ad",
        "b.h5ad",
    ]
    with pytest.raises(SystemExit) as exit_info:
        okrcell.cli.main(argv)
    assert not exit_info.value.code
    plan = arguments["plan"]
    assert (plan.objectives, plan.kinds) == (("info_nce", "improved"), ("sibling",))
    assert (plan.rates, plan.seeds, arguments["workers"], arguments["tasks"]) == ((0.0, 0.3), (1, 2), 2, ("noise",))
    assert [file.name for file in arguments["files"]] == ["a.h5ad", "b.h5ad"]
    assert "report.md from 3 runs, 2 of them new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--rates", "0,much"], "--rates expects numbers"),
        (["--seeds", "0.5"], "--seeds expects whole numbers"),
        (["--rates", "2"], "rates"),
        (["--objectives", ","], "objectives"),
        (["--objective", "info_nce"], "--objective"),
    ],
)
def test_a_slip_in_an_option_is_one_line(arguments, capsys, argv, expected):
    with pytest.raises(SystemExit) as exit_info:
        okrcell.cli.main(["benchmark", "--config", "c.yaml", "-o", "out", *argv])
    message = capsys.readouterr().err
    assert exit_info.value.code == 2
    assert expected in message and message.count("\n") == 1
