"""Probabilities of the original and enriched texts of a description."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from okrcell.settings import Settings
from okrcell.texts.description import Description


class TextSettings(Settings):
    """Source of descriptions, and the mixture of original and enriched texts (method 2.2, step 7)."""

    descriptions: Path | None = None
    """File written by `okrcell enrich`. Without it the original text is used: metadata and ontologies, by template."""
    mix: Literal["sample", "enriched", "original", "concatenate"] = "sample"
    """sample: one of the two texts is sampled at each visit (our reconstruction: the paper does not specify it).
    concatenate: the original text followed by the enriched one."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """With ``sample``, the probability of the enriched text (our reconstruction)."""


def text_probabilities(description: Description, settings: TextSettings) -> dict[str, float]:
    """Texts of a description with their sampling probabilities, which sum to 1; empty if the description was dropped."""
    if description.outcome == "dropped":
        return {}
    enriched = description.phrasings
    original = description.original or enriched
    if settings.mix == "concatenate":
        combined = original[0] if original[0] == enriched[0] else f"{original[0]} {enriched[0]}"
        return {combined: 1.0}
    enriched_fraction = {"sample": settings.share, "enriched": 1.0, "original": 0.0}[settings.mix]
    probabilities: dict[str, float] = {}
    for texts, fraction in ((enriched, enriched_fraction), (original, 1 - enriched_fraction)):
        for text in texts:
            # A fraction so small that it underflows counts as 0.
            if fraction / len(texts) > 0:
                probabilities[text] = probabilities.get(text, 0.0) + fraction / len(texts)
    return probabilities
