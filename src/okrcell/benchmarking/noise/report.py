"""Report of the label-noise benchmark as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from okrcell.benchmarking.intervals import Estimate
from okrcell.benchmarking.noise.plan import CONTROL
from okrcell.benchmarking.noise.summary import Record, Summary

NOISE = {
    "shuffled": "shuffled: descriptions are permuted among cells",
    "sibling": "sibling: description of a type that shares a parent with the true type",
    "dropout": "dropout: entries of the expression are set to zero",
    "ambient": "ambient: expression is mixed with the mean profile of the study",
    "doublets": "doublets: another cell of the study is added",
    "permuted": "permuted: expression values are permuted among genes",
}
"""Titles of the kinds of noise."""
WORDS = {"macro_f1": "Macro-F1", "accuracy": "Accuracy"}


def report(summary: Summary, records: Sequence[Record], made: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    summary
        Aggregated scores.
    records
        Lines of the records.
    made
        Provenance of the benchmark.
    pictures
        Title of a figure to its file name, beside the report.
    """
    parts = [_opening(records), *(f"![{title}]({file})" for title, file in pictures.items())]
    for measure, words in WORDS.items():
        parts += [f"## {words}, mean over sets", *_by_kind(summary, "mean", measure, _mean)]
        if any(one.over_control[measure] for one in summary.scores):
            parts += [
                f"## {words} compared with {CONTROL}",
                f"Difference in points to the run of `{CONTROL}` with the same noise and seed: mean and 95 % interval. Bold if "
                "the interval excludes 0.",
                *_by_kind(summary, "over_control", measure, _difference),
            ]
    if summary.findings:
        parts += ["## Detection of wrong pairs by low reliability", _found_intro(), _found(summary)]
    parts += ["## Time and memory", _costs_intro(), _costs(summary)]
    parts += ["## Scores by data set", *_set_by_set(summary), "## Reproducibility", _made(records, made)]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table; all columns but the first are right-aligned."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def minus(words: str) -> str:
    """Replace hyphens before numbers by minus signs."""
    return words.replace("(-", "(−").replace(" -", " −")


def share(rate: float) -> str:
    """Format a fraction as percentage, such as "40 %"."""
    return f"{rate * 100:g} %"


def _opening(records: Sequence[Record]) -> str:
    sets = {one["set"]: one for one in records[0]["sets"]}
    seeds = sorted({record["seed"] for record in records})
    steps = sorted({record["steps"] for record in records})
    batches = sorted({record["settings"]["stream"]["batch_size"] for record in records})
    names = ", ".join(f"{one['set']} ({one['cells']:,} cells, {one['candidates']} types)" for one in sets.values())
    return (
        f"# Training on wrong pairs: {len(records)} trainings\n\n"
        f"Each run trains on the same cells for {_either(steps)} steps of {_either(batches)} pairs, with one objective, a "
        "fraction of wrong training pairs, and one seed for weights, order and noise. The model is evaluated by zero-shot "
        f"annotation among the types of each data set: {names}. Scores are means over these data sets; ± is the standard "
        f"deviation over seeds ({', '.join(map(str, seeds))}), intervals are of Student's t over seeds."
    )


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(f"{number:,}" for number in numbers)


def _by_kind(
    summary: Summary, part: Literal["mean", "over_control"], measure: str, write: Callable[[Estimate], str]
) -> list[str]:
    """One table per kind of noise: objectives in rows, rates in columns."""
    parts: list[str] = []
    for kind in summary.kinds or ["shuffled"]:
        rates = [rate for rate in summary.rates if any(summary.score(name, kind, rate) for name in summary.objectives)]
        rows: list[list[str]] = []
        for name in summary.objectives:
            scores = [summary.score(name, kind, rate) for rate in rates]
            figures: list[Estimate | None] = [getattr(one, part)[measure] if one else None for one in scores]
            # An objective that was never run with this noise is left out; its runs without noise are in the other tables.
            if any(one for rate, one in zip(rates, figures, strict=True) if rate > 0 or len(rates) == 1):
                rows.append([f"`{name}`", *(write(one) if one else "" for one in figures)])
        if rows:
            heading = NOISE.get(kind, kind) if summary.kinds else "no noise"
            parts += [f"**{heading}**", table(["objective", *map(share, rates)], rows)]
    return parts


def _mean(one: Estimate) -> str:
    return f"{one.mean:.3f}" + (f" ± {one.sd:.3f}" if one.sd is not None else "")


def _difference(one: Estimate) -> str:
    if one.low is None or one.high is None:
        return minus(f" {one.mean * 100:+.1f}").strip()
    told = minus(f" {one.mean * 100:+.1f} ({one.low * 100:+.1f} to {one.high * 100:+.1f})").strip()
    return f"**{told}**" if one.excludes_zero else told


def _set_by_set(summary: Summary) -> list[str]:
    sets = list(dict.fromkeys(name for one in summary.scores for name in one.by_set))
    parts: list[str] = []
    for rate in summary.rates:
        for kind in summary.kinds if rate > 0 else summary.kinds[:1] or ["shuffled"]:
            scores = [one for name in summary.objectives if (one := summary.score(name, kind, rate))]
            rows = [[f"`{one.objective}`", *(_both(one.by_set.get(name, {})) for name in sets)] for one in scores]
            if rows:
                heading = f"{share(rate)} {kind}" if rate > 0 else "no noise"
                parts += [f"**{heading}** (macro-F1 / accuracy)", table(["objective", *sets], rows)]
    return parts


def _both(of_set: Mapping[str, Estimate | None]) -> str:
    return " / ".join(f"{one.mean:.3f}" for name in WORDS if (one := of_set.get(name)))


def _found_intro() -> str:
    return (
        "AUROC: the probability that a wrong pair has a lower reliability than a right one; 0.5 is chance. *r*: symmetry "
        "in the last epoch (E9). *Mean r*: mean over all epochs, also within thirds of the pairs by abundance of their "
        "label. *W*: last reliability weight (E11). Pairs that were never visited are left out."
    )


def _found(summary: Summary) -> str:
    rows = [
        [
            f"`{one.objective}`",
            one.kind,
            share(one.rate),
            f"{one.wrong * 100:.1f} %",
            *(
                _mean(value) if value else ""
                for value in (one.symmetry[-1], one.mean_symmetry[-1], one.trust, *one.strata.values())
            ),
        ]
        for one in summary.findings
    ]
    strata = [f"mean r, {name}" for name in summary.findings[0].strata]
    return table(["objective", "noise", "rate", "wrong pairs", "r", "mean r", "W", *strata], rows)


def _costs_intro() -> str:
    return (
        "Parallel processes share the machine, so times are approximate; `benchmarks/objectives.py` measures in turn."
    )


def _costs(summary: Summary) -> str:
    rows = [
        [
            f"`{one.objective}`",
            str(one.runs),
            f"{one.seconds_per_step * 1000:.0f}" if one.seconds_per_step else "",
            f"{one.over_control:.2f}" if one.over_control else "",
            f"{one.peak_memory / 1e6:,.0f}" if one.peak_memory else "",
        ]
        for one in summary.costs
    ]
    return table(["objective", "runs", "step, ms", f"ratio to {CONTROL}", "peak memory, MB"], rows)


def _made(records: Sequence[Record], made: Mapping[str, Any]) -> str:
    notes = sorted({record["noise_note"] for record in records if record.get("noise_note")})
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    files = made["inputs"]["files"]
    lines = [
        f"- {made['time']}, Python {made['python']}; {versions}.",
        f"- Corpus: fingerprint `{made['inputs']['corpus'][:16]}`.",
        *(f"- `{name}`: sha256 `{digest[:16]}`." for name, digest in files.items()),
        "- Settings, scores by data set and losses of every run: `runs.jsonl`; all numbers of this page: `summary.json`.",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines)
