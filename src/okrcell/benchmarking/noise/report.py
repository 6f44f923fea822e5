"""Report of the label-noise benchmark as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from okrcell.benchmarking.noise.plan import CONTROL
from okrcell.benchmarking.noise.summary import NoiseSummary, Record
from okrcell.metrics.intervals import Estimate

NOISE_TITLES = {
    "shuffled": "shuffled: descriptions are permuted among cells",
    "sibling": "sibling: description of a type that shares a parent with the true type",
    "dropout": "dropout: entries of the expression are set to zero",
    "ambient": "ambient: expression is mixed with the mean profile of the study",
    "doublets": "doublets: another cell of the study is added",
    "permuted": "permuted: expression values are permuted among genes",
}
"""Titles of the kinds of noise."""
METRIC_TITLES = {"macro_f1": "Macro-F1", "accuracy": "Accuracy"}


def report(
    summary: NoiseSummary, records: Sequence[Record], provenance: Mapping[str, Any], pictures: Mapping[str, str]
) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    summary
        Aggregated scores.
    records
        Lines of the records.
    provenance
        Provenance of the benchmark.
    pictures
        Title of a figure to its file name, beside the report.
    """
    sections = [_opening(records), *(f"![{figure_title}]({file})" for figure_title, file in pictures.items())]
    for measure, title in METRIC_TITLES.items():
        sections += [f"## {title}, mean over sets", *_by_kind(summary, "mean", measure, _format_mean)]
        if any(score.over_control[measure] for score in summary.scores):
            sections += [
                f"## {title} compared with {CONTROL}",
                f"Difference in points to the run of `{CONTROL}` with the same noise and seed: mean and 95 % interval. Bold if "
                "the interval excludes 0.",
                *_by_kind(summary, "over_control", measure, _format_difference),
            ]
    if summary.findings:
        sections += ["## Detection of wrong pairs by low reliability", _detection_intro(), _detection_table(summary)]
    sections += ["## Time and memory", _cost_intro(), _cost_table(summary)]
    sections += [
        "## Scores by data set",
        *_scores_by_set(summary),
        "## Reproducibility",
        _provenance_section(records, provenance),
    ]
    return "\n\n".join(sections) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table; all columns but the first are right-aligned."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_minus_signs(text: str) -> str:
    """Replace hyphens before numbers by minus signs."""
    return text.replace("(-", "(−").replace(" -", " −")


def percent(rate: float) -> str:
    """Format a fraction as percentage, such as "40 %"."""
    return f"{rate * 100:g} %"


def _opening(records: Sequence[Record]) -> str:
    sets = {dataset["set"]: dataset for dataset in records[0]["sets"]}
    seeds = sorted({record["seed"] for record in records})
    steps = sorted({record["steps"] for record in records})
    batches = sorted({record["settings"]["stream"]["batch_size"] for record in records})
    names = ", ".join(
        f"{dataset['set']} ({dataset['cells']:,} cells, {dataset['candidates']} types)" for dataset in sets.values()
    )
    return (
        f"# Training on wrong pairs: {len(records)} trainings\n\n"
        f"Each run trains on the same cells for {_join_numbers(steps)} steps of {_join_numbers(batches)} pairs, with one "
        "objective, a fraction of wrong training pairs, and one seed for weights, order and noise. The model is evaluated "
        f"by zero-shot annotation among the types of each data set: {names}. Scores are means over these data sets; ± is the "
        f"standard deviation over seeds ({', '.join(map(str, seeds))}), intervals are of Student's t over seeds."
    )


def _join_numbers(numbers: Sequence[int]) -> str:
    return " or ".join(f"{n:,}" for n in numbers)


def _by_kind(
    summary: NoiseSummary, field: Literal["mean", "over_control"], measure: str, format_value: Callable[[Estimate], str]
) -> list[str]:
    """One table per kind of noise: objectives in rows, rates in columns."""
    sections: list[str] = []
    for kind in summary.kinds or ["shuffled"]:
        rates = [rate for rate in summary.rates if any(summary.score(name, kind, rate) for name in summary.objectives)]
        rows: list[list[str]] = []
        for name in summary.objectives:
            scores = [summary.score(name, kind, rate) for rate in rates]
            figures: list[Estimate | None] = [getattr(value, field)[measure] if value else None for value in scores]
            # An objective that was never run with this noise is left out; its runs without noise are in the other tables.
            if any(value for rate, value in zip(rates, figures, strict=True) if rate > 0 or len(rates) == 1):
                rows.append([f"`{name}`", *(format_value(value) if value else "" for value in figures)])
        if rows:
            title = NOISE_TITLES.get(kind, kind) if summary.kinds else "no noise"
            sections += [f"**{title}**", table(["objective", *map(percent, rates)], rows)]
    return sections


def _format_mean(value: Estimate) -> str:
    return f"{value.mean:.3f}" + (f" ± {value.sd:.3f}" if value.sd is not None else "")


def _format_difference(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return with_minus_signs(f" {value.mean * 100:+.1f}").strip()
    text = with_minus_signs(f" {value.mean * 100:+.1f} ({value.low * 100:+.1f} to {value.high * 100:+.1f})").strip()
    return f"**{text}**" if value.excludes_zero else text


def _scores_by_set(summary: NoiseSummary) -> list[str]:
    sets = list(dict.fromkeys(name for score in summary.scores for name in score.by_set))
    sections: list[str] = []
    for rate in summary.rates:
        for kind in summary.kinds if rate > 0 else summary.kinds[:1] or ["shuffled"]:
            scores = [score for name in summary.objectives if (score := summary.score(name, kind, rate))]
            rows = [
                [f"`{score.objective}`", *(_format_metrics(score.by_set.get(name, {})) for name in sets)]
                for score in scores
            ]
            if rows:
                title = f"{percent(rate)} {kind}" if rate > 0 else "no noise"
                sections += [f"**{title}** (macro-F1 / accuracy)", table(["objective", *sets], rows)]
    return sections


def _format_metrics(values: Mapping[str, Estimate | None]) -> str:
    return " / ".join(f"{value.mean:.3f}" for name in METRIC_TITLES if (value := values.get(name)))


def _detection_intro() -> str:
    return (
        "AUROC: the probability that a wrong pair has a lower reliability than a right one; 0.5 is chance. *r*: symmetry "
        "in the last epoch (E9). *Mean r*: mean over all epochs, also within thirds of the pairs by abundance of their "
        "label. *W*: last reliability weight (E11). Pairs that were never visited are left out."
    )


def _detection_table(summary: NoiseSummary) -> str:
    rows = [
        [
            f"`{detection.objective}`",
            detection.kind,
            percent(detection.rate),
            f"{detection.wrong * 100:.1f} %",
            *(
                _format_mean(value) if value else ""
                for value in (
                    detection.symmetry[-1],
                    detection.mean_symmetry[-1],
                    detection.trust,
                    *detection.strata.values(),
                )
            ),
        ]
        for detection in summary.findings
    ]
    strata = [f"mean r, {name}" for name in summary.findings[0].strata]
    return table(["objective", "noise", "rate", "wrong pairs", "r", "mean r", "W", *strata], rows)


def _cost_intro() -> str:
    return (
        "Parallel processes share the machine, so times are approximate; `experiments/objectives.py` measures in turn."
    )


def _cost_table(summary: NoiseSummary) -> str:
    rows = [
        [
            f"`{cost.objective}`",
            str(cost.runs),
            f"{cost.seconds_per_step * 1000:.0f}" if cost.seconds_per_step else "",
            f"{cost.over_control:.2f}" if cost.over_control else "",
            f"{cost.peak_memory / 1e6:,.0f}" if cost.peak_memory else "",
        ]
        for cost in summary.costs
    ]
    return table(["objective", "runs", "step, ms", f"ratio to {CONTROL}", "peak memory, MB"], rows)


def _provenance_section(records: Sequence[Record], provenance: Mapping[str, Any]) -> str:
    notes = sorted({record["noise_note"] for record in records if record.get("noise_note")})
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    files = provenance["inputs"]["files"]
    lines = [
        f"- {provenance['time']}, Python {provenance['python']}; {versions}.",
        f"- Corpus: fingerprint `{provenance['inputs']['corpus'][:16]}`.",
        *(f"- `{name}`: sha256 `{digest[:16]}`." for name, digest in files.items()),
        "- Settings, scores by data set and losses of every run: `runs.jsonl`; all numbers of this page: `summary.json`.",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines)
