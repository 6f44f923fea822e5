"""Names of Human Developmental Stages terms for ages."""

import re
from collections.abc import Iterator

_YEARS = re.compile(r"(\d{1,3})(?:\.\d+)? *-?(?:y|yr|yrs|yo|y o|years?)\b(?: *-?old)?", re.IGNORECASE)
_MONTHS = re.compile(r"(\d{1,2}) *-?(?:mo|mos|months?)\b", re.IGNORECASE)
_AFTER_FERTILISATION = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th)? *-?(?:pcw|weeks? (?:post|after)[ -]*(?:conception|fertili[sz]ation))", re.IGNORECASE
)
_GESTATION = re.compile(
    r"(?:\bgw *(\d{1,2})|(\d{1,2})(?:st|nd|rd|th)? *-?(?:gw\b|weeks?(?: of)?[ -]gestation|gestational weeks?))",
    re.IGNORECASE,
)
_CARNEGIE = re.compile(r"(?:\bcs|carnegie(?: stage)?) *(\d{1,2})", re.IGNORECASE)


def stages_named(label: str) -> Iterator[str]:
    """Yield the stage names of an age: "34 years" is the "34-year-old stage", "CS7" is "Carnegie stage 07".

    Gestational weeks start at the last menstrual period, two weeks before fertilisation.
    """
    if found := _YEARS.search(label):
        yield f"{int(found[1])}-year-old stage"
    if found := _MONTHS.search(label):
        yield f"{int(found[1])}-month-old stage"
    if found := _AFTER_FERTILISATION.search(label):
        yield f"{_th(int(found[1]))} week post-fertilization stage"
    elif found := _GESTATION.search(label):
        yield f"{_th(int(found[1] or found[2]) - 2)} week post-fertilization stage"
    if found := _CARNEGIE.search(label):
        yield f"Carnegie stage {int(found[1]):02d}"


def _th(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
