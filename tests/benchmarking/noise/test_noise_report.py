"""The report says what the records hold, and no more."""

import json

import numpy as np
import pytest

from okrcell.benchmarking.noise.figures import ladder_noise
from okrcell.benchmarking.noise.run import publish
from okrcell.benchmarking.noise.summary import EDGES, STRATA, summarize
from okrcell.provenance import provenance_record

MADE = provenance_record(
    "benchmark", task="noise", inputs={"corpus": "c" * 64, "descriptions": "", "files": {"a.h5ad": "a" * 64}}
)


def record(objective, kind, rate, seed, f1, reliability=None, **changes):
    sets = [
        {"set": name, "cells": 50, "candidates": 3, "accuracy": f1 + 0.1, "macro_f1": f1 + shift}
        for name, shift in (("a", 0.05), ("b", -0.05))
    ]
    return {
        "objective": objective,
        "kind": kind,
        "rate": rate,
        "seed": seed,
        "macro_f1": f1,
        "accuracy": f1 + 0.1,
        "sets": sets,
        "reliability": reliability,
        "noise_note": f"{rate:g} {kind}" if rate else "",
        "steps": 5,
        "seconds": 1.0,
        "seconds_per_step": 0.2 if objective == "info_nce" else 0.25,
        "peak_memory": 10**9,
        "settings": {"stream": {"batch_size": 8}},
        **changes,
    }


def reliability_of(area):
    counts = [[0] * (len(EDGES) - 1), [3] * (len(EDGES) - 1)]
    return {
        "pairs": 100,
        "wrong": 40,
        "auroc": {
            "symmetry": [None, area],
            "mean_symmetry": [None, area],
            "trust": area,
            "strata": dict.fromkeys(STRATA, area),
        },
        "clean": counts,
        "wrong_pairs": counts,
    }


@pytest.fixture
def records():
    """Two objectives over three seeds; a third one was run without noise, by one seed."""
    records = [record("siglip", "none", 0.0, 0, 0.33)]
    for seed, offset in enumerate((0.0, 0.04, -0.02)):
        records.append(record("improved", "none", 0.0, seed, 0.50 + offset))
        records.append(record("info_nce", "none", 0.0, seed, 0.51 + offset))
        for kind, gain in (("sibling", 0.02), ("shuffled", 0.1)):
            records.append(record("info_nce", kind, 0.4, seed, 0.30 + offset))
            records.append(
                record(
                    "improved", kind, 0.4, seed, 0.30 + offset + gain + seed / 1000, reliability_of(0.9 + seed / 100)
                )
            )
    return records


def test_differences_are_taken_seed_by_seed(records):
    summary = summarize(records)
    gain = summary.score("improved", "shuffled", 0.4).over_control["macro_f1"]
    assert (gain.mean, gain.sd, gain.n) == (pytest.approx(0.101), pytest.approx(0.001), 3)
    assert gain.excludes_zero
    assert summary.score("info_nce", "shuffled", 0.4).over_control["macro_f1"] is None
    assert summary.score("siglip", "none", 0).over_control["macro_f1"].low is None


def test_without_noise_all_kinds_are_one(records):
    summary = summarize(records)
    assert summary.score("improved", "shuffled", 0.0) is summary.score("improved", "sibling", 0.0)
    assert summary.score("improved", "dropout", 0.4) is None
    assert (summary.kinds, summary.rates) == (["shuffled", "sibling"], [0.0, 0.4])


def test_what_low_reliability_finds_is_averaged_over_seeds(records):
    (entry, _) = summarize(records).findings
    assert (entry.kind, entry.rate, entry.wrong) == ("shuffled", 0.4, 0.4)
    assert entry.symmetry[0] is None
    assert entry.symmetry[1].mean == entry.trust.mean == pytest.approx(0.91)
    assert np.sum(entry.clean_counts) == 3 * 3 * (len(EDGES) - 1)


def test_costs_are_beside_the_control(records):
    costs = {entry.objective: entry for entry in summarize(records).costs}
    assert costs["improved"].over_control == pytest.approx(1.25)
    assert costs["siglip"].runs == 1


def test_the_page_has_every_table_and_picture(records, tmp_path):
    page = publish(records, MADE, tmp_path).read_text()
    assert "| `improved` | 0.507 ± 0.031 | 0.408 ± 0.030 |" in page
    assert "**+10.1 (+9.9 to +10.3)**" in page
    assert "−1.0 (−1.0 to −1.0)" in page
    assert "| `improved` | shuffled | 40 % | 40.0 % | 0.910 ± 0.010 |" in page
    assert "`a.h5ad`: sha256 `aaaaaaaaaaaaaaaa`" in page
    assert "0.4 sibling" in page
    pictures = {"noise.png", "ladder.png", "reliability-improved.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "summary.json", *pictures}
    assert all(f"]({name})" in page for name in pictures)
    figures = json.loads((tmp_path / "summary.json").read_text())
    assert figures["inputs"] == MADE["inputs"] and figures["runs"] == len(records)


@pytest.mark.parametrize("n_records", [1, 2, 4, 8])
def test_a_benchmark_that_has_only_begun_is_reported_too(records, tmp_path, n_records):
    page = publish(records[:n_records], MADE, tmp_path).read_text()
    assert f"{n_records} trainings" in page
    assert "nan" not in page.lower()


def test_many_objectives_are_told_apart(tmp_path):
    from okrcell.benchmarking.noise.figures import objective_styles
    from okrcell.losses.objective import ABLATIONS

    styles = objective_styles(list(ABLATIONS))
    assert len({tuple(style.values()) for style in styles.values()}) == len(ABLATIONS)
    records = [record(name, "dropout", rate, 0, 0.3) for name in ABLATIONS for rate in (0.2, 0.6)]
    assert (publish(records, MADE, tmp_path).parent / "noise.png").stat().st_size > 10_000


def test_a_curve_needs_three_rates_where_there_are_so_many():
    from okrcell.benchmarking.noise.figures import _curve_scores

    rates = {"info_nce": (0.0, 0.2, 0.4), "improved": (0.0, 0.2, 0.3, 0.4), "cca": (0.0, 0.4)}
    records = [
        record(name, "shuffled" if rate else "none", rate, 0, 0.3) for name, values in rates.items() for rate in values
    ]
    assert list(_curve_scores(summarize(records), "shuffled")) == ["info_nce", "improved"]
    two_rates = [entry for entry in records if entry["rate"] in {0, 0.4}]
    assert list(_curve_scores(summarize(two_rates), "shuffled")) == ["info_nce", "improved", "cca"]


def test_the_ladder_shows_the_noise_that_most_objectives_bore(records):
    assert ladder_noise(summarize(records)) == ("shuffled", 0.4)
    assert ladder_noise(summarize(records[:1])) == ("shuffled", 0.0)
    more = [
        record("cca", "sibling", 0.6, 0, 0.2),
        record("siglip", "sibling", 0.6, 0, 0.2),
        record("info_nce", "sibling", 0.6, 0, 0.2),
    ]
    assert ladder_noise(summarize([*records, *more])) == ("sibling", 0.6)
