"""The page that tells what the demo did, how well, and what it does not show."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from okrcell.demo.measures import Agreement, Search
    from okrcell.demo.pictures import Picture

WELL_CALIBRATED = 0.05
"""Confidence and agreement that differ by less than this are called the same."""


def report(
    figures: "Agreement",
    searches: "Sequence[Search]",
    pictures: "Mapping[str, Picture]",
    receipt: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> str:
    """Return the report: one HTML page that needs nothing else, on light or dark paper as the reader likes.

    Parameters
    ----------
    receipt
        Of this run; the page shows it, and takes its times and settings from it.
    facts
        Of the model: what it has seen, and whether its confidence was calibrated.
    """
    import json

    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    source = files("okrcell.demo").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        figures=figures,
        searches=searches,
        pictures=pictures,
        receipt=receipt,
        receipt_text=json.dumps(receipt, indent=2, ensure_ascii=False),
        seen=seen_before(facts),
        reliability=reliability(figures, calibrated="calibration" in facts),
        slips=slips(figures),
    )


def percent(share: float, digits: int = 0) -> str:
    """Write a share for reading; what is nearly all is not rounded to all."""
    if 0.995 <= share < 1 and digits == 0:
        return "> 99%"
    if 0 < share < 0.005 and digits == 0:
        return "< 1%"
    return f"{share * 100:.{digits}f}%"


def reliability(figures: "Agreement", *, calibrated: bool) -> str:
    """Say in words whether confidence can be believed here."""
    gap = figures.mean_confidence - figures.accuracy
    sure, right = percent(figures.mean_confidence), percent(figures.accuracy)
    points = f"{abs(gap) * 100:.0f} points"
    if abs(gap) < WELL_CALIBRATED:
        told = f"On average the model was {sure} sure, and {right} of its answers agree: about as sure as it should be."
    elif gap > 0:
        told = f"The model was {sure} sure on average, but {right} of its answers agree: it is too sure of itself, "
        told += f"by {points}."
    else:
        told = f"The model was {sure} sure on average, and {right} of its answers agree: it is less sure "
        told += f"than it could be, by {points}."
    if not calibrated:
        told += " This model's confidence was never calibrated on held-out cells, so take it as a ranking only."
    return told


def slips(figures: "Agreement") -> list[str]:
    """Tell the commonest confusion of each label, the largest first, at most three."""
    wrong = sorted((group for group in figures.by_label if group.mistakes), key=lambda group: -group.mistakes)
    return [
        f"{group.mistakes} of {group.cells} “{group.name}” were called “{group.mistaken_for}”" for group in wrong[:3]
    ]


def seen_before(facts: Mapping[str, Any]) -> str:
    """Say what the model may know of these cells from its learning."""
    studies: Sequence[str] = facts.get("seen", {}).get("studies", ())
    if not studies:
        return "The model does not tell which studies it learned from: whether these cells are new to it is not known."
    same = [name for name in studies if "zheng" in name.lower()]
    if any("68k" in name.lower() for name in studies):
        return "The model has learned from cells of this very sample: the figures here say little about other data."
    if not same:
        return f"No cells of this study are among the {len(studies)} sets that the model learned from."
    return (
        f"The 700 cells are in none of the {len(studies)} sets that the model learned from, but the Zheng study is: "
        f"sorted blood cells of it ({', '.join(same)}). With such cells the authors computed the labels that it is "
        "compared with here. So neither laboratory nor chemistry nor types are new to the model, and data from "
        "elsewhere are harder."
    )
