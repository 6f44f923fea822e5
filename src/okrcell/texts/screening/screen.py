"""Screening of written texts: fact check of sentences, similarity to the original text (E1)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.errors import InputError
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.settings import Settings
from okrcell.texts.description import Description, Dropped, Sentence
from okrcell.texts.endpoint.graded import graded
from okrcell.texts.screening.faithful import Gate
from okrcell.texts.screening.likeness import Spread, calibrated, measure, spread

FEWEST_TYPES = 20
"""Minimum number of cell types for a calibrated threshold."""


class ScreeningSettings(Settings):
    """Settings of the screening of written texts."""

    threshold: Annotated[float, Field(ge=-1, le=1)] | Literal["calibrated"] = "calibrated"
    """Minimum cosine of a written text to its original (E1), the paper's alpha. calibrated: the 95th percentile of the
    cosines between an original text and the written texts of other cell types; with fewer than `FEWEST_TYPES` cell
    types, no text is rejected."""
    on_reject: Literal["original", "drop"] = "original"
    """Replacement of a rejected text: original: the original text; drop: none."""
    sentences: bool = True
    """Whether to check each sentence against the evidence that it cites (`Gate`)."""
    seed: int = 0
    """Random seed of the sample of texts used for calibration and of the permuted texts in the report."""


@dataclass(frozen=True)
class ScreeningReport:
    """Results of the screening."""

    threshold: float | None
    """Threshold on the cosine; None with too few cell types for calibration (nothing is rejected then)."""
    own: Spread
    """Cosines of written texts to their own originals, before rejection."""
    strangers: Spread
    """Cosines of originals to written texts of other cell types."""
    rejected: float
    """Fraction of written texts rejected, in [0, 1]."""
    swapped_rejected: float
    """Fraction rejected if each original is paired with the text of another cell type (positive control)."""
    sentences: int
    """Number of written sentences."""
    dropped: int
    """Number of sentences rejected by the fact check."""
    embedder: str
    """Name of the text embedder."""


@dataclass(frozen=True)
class Screened:
    """Descriptions after the screening."""

    descriptions: tuple[Description | None, ...]
    """In input order; None for a rejected text with ``on_reject="drop"``."""
    report: ScreeningReport


def screen(
    written: Sequence[Description],
    originals: Sequence[Description],
    embedder: TextEmbedder,
    settings: ScreeningSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Screened:
    """Remove sentences that their evidence does not support, then reject texts that differ from their original.

    Parameters
    ----------
    written
        Descriptions to screen; those whose outcome is not "written" are returned unchanged.
    originals
        Original descriptions (metadata and ontology only) of the same profiles, in the same order. They replace rejected
        texts, with the reason in ``remark``.
    embedder
        Text embedder for the cosines. It reads only the beginning of a long text (256 word pieces for the bundled one).
    settings
        Settings of the screening; by default `ScreeningSettings`.
    progress
        Called with the number of checked texts and the total number.

    Raises
    ------
    InputError
        If ``written`` and ``originals`` differ in length.
    """
    settings = settings or ScreeningSettings()
    if len(written) != len(originals):
        raise InputError(
            f"There are {len(written)} written texts for {len(originals)} originals; pass one original per text."
        )
    gate = Gate()
    sifted: list[Description] = []
    for place, (text, original) in enumerate(zip(written, originals, strict=True)):
        sifted.append(_sifted(text, original, gate) if settings.sentences else text)
        if progress is not None:
            progress(place + 1, len(written))
    cosines = measure(sifted, originals, embedder, settings.seed)
    threshold = settings.threshold
    if threshold == "calibrated":
        types = {text.profile.cell_type_id or text.profile.cell_type for text in sifted if text.outcome == "written"}
        # With few types, all may be closely related; their high cosines would reject good texts.
        threshold = calibrated(cosines.strangers) if len(types) >= FEWEST_TYPES else None
    least = -1.0 if threshold is None else threshold
    judged = [
        _judged(text, original, None if np.isnan(cosine) else float(cosine), least, settings.on_reject)
        for text, original, cosine in zip(sifted, originals, cosines.own, strict=True)
    ]
    own = cosines.own[~np.isnan(cosines.own)]
    report = ScreeningReport(
        threshold=threshold,
        own=spread(own),
        strangers=spread(cosines.strangers),
        rejected=_share(own < least),
        swapped_rejected=_share(cosines.swapped < least),
        sentences=sum(len(text.sentences) for text in written if text.outcome == "written"),
        dropped=sum(len(text.dropped) for text in sifted) - sum(len(text.dropped) for text in written),
        embedder=embedder.name,
    )
    return Screened(tuple(judged), report)


def sift(description: Description, gate: Gate) -> Description:
    """Move sentences that fail the fact check to ``dropped``, with the reason, and remove them from all phrasings.

    The phrasings of a language model are rebuilt from the remaining sentences; without any, they are empty.
    """
    kept, dropped = list[Sentence](), list(description.dropped)
    for sentence in description.sentences:
        reason = gate.objection(sentence, description.profile)
        if reason is None:
            kept.append(sentence)
        else:
            dropped.append(Dropped(sentence.text, reason))
    if len(kept) == len(description.sentences):
        return description
    gone = [text.text for text in dropped[len(description.dropped) :]]
    if not kept:
        phrasings = ()
    elif description.writer == "endpoint":
        phrasings = graded(description.profile.cell_type, [sentence.text for sentence in kept])
    else:
        phrasings = tuple(_without(text, gone) for text in description.phrasings)
    return replace(
        description,
        sentences=tuple(kept),
        phrasings=tuple(dict.fromkeys(filter(None, phrasings))),
        dropped=tuple(dropped),
    )


def _sifted(written: Description, original: Description, gate: Gate) -> Description:
    if written.outcome != "written":
        return written
    sifted = sift(written, gate)
    if sifted.phrasings:
        return sifted
    return _in_its_place(original, sifted, None, "no sentence is supported by its evidence")


def _judged(
    text: Description, original: Description, cosine: float | None, threshold: float, on_reject: str
) -> Description | None:
    if text.outcome == "original" or cosine is None or cosine >= threshold:
        kept = text if cosine is None else replace(text, similarity=cosine)
        return None if on_reject == "drop" and text.outcome == "original" and text.dropped else kept
    if on_reject == "drop":
        return None
    return _in_its_place(original, text, cosine, f"cosine {cosine:.3f} to the original is under {threshold:.3f}")


def _in_its_place(original: Description, written: Description, cosine: float | None, remark: str) -> Description:
    return replace(
        original,
        writer=written.writer,
        prompt=written.prompt,
        dropped=written.dropped,
        similarity=cosine,
        outcome="original",
        remark=remark,
    )


def _without(text: str, gone: Sequence[str]) -> str:
    """Remove whole sentences, not parts of others; "" if only a heading remains."""
    for sentence in gone:
        text = re.sub(rf"(?:\A|(?<=[.!?:] )){re.escape(sentence)}(?:\s+|\Z)", "", text)
    left = " ".join(text.split())
    return "" if left.endswith(":") else left


def _share(truths: NDArray[np.bool_]) -> float:
    return float(truths.mean()) if len(truths) else 0.0
