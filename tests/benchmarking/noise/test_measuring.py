"""The verb reads its options, and a mistake in them is one line."""

import pytest

import okrcell.cli
import okrcell.cli.benchmark
from okrcell.benchmarking.records import BenchmarkResult


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Collect what the verb asks for, without doing it."""
    seen: dict = {}

    def pretended(output, **given):
        seen.update(given, output=output)
        return BenchmarkResult(output, output / "report.md", output / "runs.jsonl", 3, 2)

    monkeypatch.setattr("okrcell.benchmarking.run.benchmark", pretended)
    return seen


def test_options_become_a_plan(asked, capsys, tmp_path):
    words = ["benchmark", "--config", "noise.yaml", "-o", str(tmp_path), "--objectives", "info_nce,improved"]
    words += [
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
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(words)
    assert not ended.value.code
    plan = asked["plan"]
    assert (plan.objectives, plan.kinds) == (("info_nce", "improved"), ("sibling",))
    assert (plan.rates, plan.seeds, asked["workers"], asked["tasks"]) == ((0.0, 0.3), (1, 2), 2, ("noise",))
    assert [file.name for file in asked["files"]] == ["a.h5ad", "b.h5ad"]
    assert "report.md from 3 runs, 2 of them new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rates", "0,much"], "--rates expects numbers"),
        (["--seeds", "0.5"], "--seeds expects whole numbers"),
        (["--rates", "2"], "rates"),
        (["--objectives", ","], "objectives"),
        (["--objective", "info_nce"], "--objective"),
    ],
)
def test_a_slip_in_an_option_is_one_line(asked, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(["benchmark", "--config", "c.yaml", "-o", "out", *words])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in told and told.count("\n") == 1
