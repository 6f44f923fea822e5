"""HTML report of the demo and its generated sentences."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from okrcell.demo.metrics import AgreementMetrics, SearchMetrics
    from okrcell.demo.pictures import Picture

WELL_CALIBRATED = 0.05
"""Maximum difference of mean confidence and accuracy that is reported as calibrated."""


def report(
    metrics: "AgreementMetrics",
    searches: "Sequence[SearchMetrics]",
    pictures: "Mapping[str, Picture]",
    provenance: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> str:
    """Render the report as one self-contained HTML page, with light and dark theme.

    Parameters
    ----------
    provenance
        Provenance record of the run; the page shows it and takes times and settings from it.
    facts
        Facts about the model: training studies and calibration.
    """
    import json

    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    source = files("okrcell.demo").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        figures=metrics,
        searches=searches,
        pictures=pictures,
        receipt=provenance,
        receipt_text=json.dumps(provenance, indent=2, ensure_ascii=False),
        overlap=training_overlap(facts),
        reliability=calibration_sentence(metrics, calibrated="calibration" in facts),
        errors=frequent_errors(metrics),
    )


def percent(fraction: float, digits: int = 0) -> str:
    """Format a fraction as a percentage; values just below 1 or above 0 become "> 99%" and "< 1%"."""
    if 0.995 <= fraction < 1 and digits == 0:
        return "> 99%"
    if 0 < fraction < 0.005 and digits == 0:
        return "< 1%"
    return f"{fraction * 100:.{digits}f}%"


def calibration_sentence(metrics: "AgreementMetrics", *, calibrated: bool) -> str:
    """Compare mean confidence and accuracy in a sentence."""
    gap = metrics.mean_confidence - metrics.accuracy
    confidence, accuracy = percent(metrics.mean_confidence), percent(metrics.accuracy)
    points = f"{abs(gap) * 100:.0f} points"
    if abs(gap) < WELL_CALIBRATED:
        sentence = (
            f"Mean confidence is {confidence} and accuracy is {accuracy}: on average, confidence matches accuracy."
        )
    elif gap > 0:
        sentence = (
            f"Mean confidence is {confidence}, but accuracy is {accuracy}: the model is overconfident by {points}."
        )
    else:
        sentence = (
            f"Mean confidence is {confidence}, but accuracy is {accuracy}: the model is underconfident by {points}."
        )
    if not calibrated:
        sentence += " The confidence of this model was not calibrated on held-out cells; use it for ranking only."
    return sentence


def frequent_errors(metrics: "AgreementMetrics") -> list[str]:
    """Describe the most frequent wrong prediction of each label, at most three, in descending order."""
    mistaken = sorted((group for group in metrics.by_label if group.mistakes), key=lambda group: -group.mistakes)
    return [
        f"{group.mistakes} of {group.cells} “{group.name}” predicted as “{group.mistaken_for}”"
        for group in mistaken[:3]
    ]


def training_overlap(facts: Mapping[str, Any]) -> str:
    """Describe the overlap of these cells with the training data of the model."""
    studies: Sequence[str] = facts.get("seen", {}).get("studies", ())
    if not studies:
        return "The model does not list its training studies, so it is unknown whether it was trained on these cells."
    related = [name for name in studies if "zheng" in name.lower()]
    if any("68k" in name.lower() for name in studies):
        return "The model was trained on cells of this sample, so these results do not show how it generalises."
    if not related:
        return f"None of the {len(studies)} training datasets of the model is from this study."
    return (
        f"The 700 cells are in none of the {len(studies)} training datasets of the model, but sorted blood cells of the "
        f"same study are ({', '.join(related)}), and the author labels were computed by comparison with such sorted cells. "
        "Laboratory, chemistry and cell types are therefore not new to the model; expect lower accuracy on data from "
        "elsewhere."
    )
