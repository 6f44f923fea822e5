"""Written texts that stray from what is known of their cell are not believed."""

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
"""So many cell types must be there before the strangers among them say how alike strangers are."""


class ScreeningSettings(Settings):
    """Which written texts are kept."""

    threshold: Annotated[float, Field(ge=-1, le=1)] | Literal["calibrated"] = "calibrated"
    """Least cosine of a written text to its original (E1), the paper's alpha. calibrated: the 95th percentile of the
    cosines between an original text and the written texts of other cell types; where fewer than `FEWEST_TYPES` are
    there to compare with, no text is rejected."""
    on_reject: Literal["original", "drop"] = "original"
    """What becomes of a profile whose text is rejected: the original text, or nothing."""
    sentences: bool = True
    """Whether each sentence is held against the evidence it cites (`okrcell.texts.screening.faithful`)."""
    seed: int = 0
    """Draws the texts of a large study that calibrate, and the swapped texts of the report."""


@dataclass(frozen=True)
class ScreeningReport:
    """What the screening did."""

    threshold: float | None
    """None where there were too few cell types to calibrate it; then nothing is rejected."""
    own: Spread
    """Cosines of written texts to their own originals, before any is rejected."""
    strangers: Spread
    """Cosines of originals to written texts of other cell types."""
    rejected: float
    """Share of written texts rejected, in [0, 1]."""
    swapped_rejected: float
    """Share rejected when each original is given the text of another cell type on purpose."""
    sentences: int
    """Sentences written."""
    dropped: int
    """Of these, those that the gate did not let pass."""
    embedder: str
    """Whose vectors were compared."""


@dataclass(frozen=True)
class Screened:
    """Descriptions after the screening."""

    descriptions: tuple[Description | None, ...]
    """In the order given; None where a rejected text leaves nothing (``on_reject="drop"``)."""
    report: ScreeningReport


def screen(
    written: Sequence[Description],
    originals: Sequence[Description],
    embedder: TextEmbedder,
    settings: ScreeningSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Screened:
    """Drop the sentences that their evidence does not bear, then the texts that are not like their original.

    ``originals`` says of the same profiles, in the same order, what metadata and ontology alone tell; it takes the place
    of what is rejected, with the reason in ``remark``. A description that is an original already is left as it is.
    The encoder reads the beginning of a long text only (256 word pieces for the embedded one).

    Raises
    ------
    InputError
        If the two differ in length.
    """
    settings = settings or ScreeningSettings()
    if len(written) != len(originals):
        raise InputError(f"There are {len(written)} written texts for {len(originals)} originals; give one each.")
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
        # Of a few types the strangers may all be kin, and their likeness would turn good texts away.
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
    """Leave out the sentences the gate objects to, from every phrasing too, and keep them with the reason.

    A language model's phrasings are made anew from the sentences that are left. Without one left there are none.
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
    return _in_its_place(original, sifted, None, "no sentence stood up to its evidence")


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
    """Cut sentences out where they stand as sentences, not inside others; "" if only a heading is left."""
    for sentence in gone:
        text = re.sub(rf"(?:\A|(?<=[.!?:] )){re.escape(sentence)}(?:\s+|\Z)", "", text)
    left = " ".join(text.split())
    return "" if left.endswith(":") else left


def _share(truths: NDArray[np.bool_]) -> float:
    return float(truths.mean()) if len(truths) else 0.0
