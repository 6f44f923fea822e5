"""Which texts a cell is read with, and how often each."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from okrcell.settings import Settings
from okrcell.texts.description import Description


class TextSettings(Settings):
    """Where descriptions come from, and how original and enriched ones are mixed (method 2.2, step 7)."""

    descriptions: Path | None = None
    """File that `okrcell enrich` wrote. Without it the original text serves: metadata and ontologies, by template."""
    mix: Literal["sample", "enriched", "original", "concatenate"] = "sample"
    """sample: at each visit one of the two is drawn (our reconstruction: the paper does not say). concatenate: one text,
    the original followed by the enriched."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """With ``sample``, the chance of the enriched text (our reconstruction)."""


def drawable(description: Description, settings: TextSettings) -> dict[str, float]:
    """Give the texts that may be drawn for a description, each with its chance; the chances add up to 1, or there is none."""
    if description.outcome == "dropped":
        return {}
    enriched = description.phrasings
    original = description.original or enriched
    if settings.mix == "concatenate":
        both = original[0] if original[0] == enriched[0] else f"{original[0]} {enriched[0]}"
        return {both: 1.0}
    share = {"sample": settings.share, "enriched": 1.0, "original": 0.0}[settings.mix]
    chances: dict[str, float] = {}
    for texts, part in ((enriched, share), (original, 1 - share)):
        for text in texts:
            # A share so small that a part of it is no number any more counts as none.
            if part / len(texts) > 0:
                chances[text] = chances.get(text, 0.0) + part / len(texts)
    return chances
