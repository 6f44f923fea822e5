"""Names of Human Developmental Stages terms for ages."""

import re
from collections.abc import Iterator

_YEARS = re.compile(r"(\d{1,3})(?:\.\d+)? *-?(?:y|yr|yrs|yo|y o|years?)\b(?: *-?old)?", re.IGNORECASE)
_MONTHS = re.compile(r"(\d{1,2}) *-?(?:mo|mos|months?)\b", re.IGNORECASE)
_POST_FERTILIZATION = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th)? *-?(?:pcw|weeks? (?:post|after)[ -]*(?:conception|fertili[sz]ation))", re.IGNORECASE
)
_GESTATION = re.compile(
    r"(?:\bgw *(\d{1,2})|(\d{1,2})(?:st|nd|rd|th)? *-?(?:gw\b|weeks?(?: of)?[ -]gestation|gestational weeks?))",
    re.IGNORECASE,
)
_CARNEGIE = re.compile(r"(?:\bcs|carnegie(?: stage)?) *(\d{1,2})", re.IGNORECASE)


def stage_names(label: str) -> Iterator[str]:
    """Yield the stage names of an age: "34 years" is the "34-year-old stage", "CS7" is "Carnegie stage 07".

    Gestational weeks start at the last menstrual period, two weeks before fertilisation.
    """
    if match := _YEARS.search(label):
        yield f"{int(match[1])}-year-old stage"
    if match := _MONTHS.search(label):
        yield f"{int(match[1])}-month-old stage"
    if match := _POST_FERTILIZATION.search(label):
        yield f"{_ordinal(int(match[1]))} week post-fertilization stage"
    elif match := _GESTATION.search(label):
        yield f"{_ordinal(int(match[1] or match[2]) - 2)} week post-fertilization stage"
    if match := _CARNEGIE.search(label):
        yield f"Carnegie stage {int(match[1]):02d}"


def _ordinal(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
