"""Screening of written texts: fact check of sentences, similarity to the original text (E1)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.descriptions.description import Description, Dropped, Sentence
from okrcell.descriptions.fact_check import FactChecker
from okrcell.descriptions.llm_prompt import shortened_texts
from okrcell.errors import InputError
from okrcell.evidence import TextEmbedder
from okrcell.settings import Settings

MAX_CALIBRATION_TEXTS = 2_000
"""Maximum number of texts for the pairwise cosines of mismatched texts; a random sample of this size is used."""
MIN_TYPES = 20
"""Minimum number of cell types for a calibrated threshold."""


@dataclass(frozen=True)
class Cosines:
    """Cosines between originals and written texts, in [-1, 1]."""

    matched: NDArray[np.float64] = field(repr=False)
    """Each written text with its own original (E1), in input order; NaN without a written text."""
    mismatched: NDArray[np.float64] = field(repr=False)
    """Originals with written texts of other cell types."""
    permuted: NDArray[np.float64] = field(repr=False)
    """Each original with one random written text of another cell type."""


@dataclass(frozen=True)
class Percentiles:
    """Number and percentiles of a set of cosines."""

    count: int
    percentiles: tuple[float, ...]
    """1st, 5th, 25th, 50th, 75th, 95th and 99th percentile; empty without cosines."""


def measure_cosines(
    descriptions: Sequence[Description], originals: Sequence[Description], embedder: TextEmbedder, seed: int
) -> Cosines:
    """Compute cosines between first phrasings; only descriptions with the outcome "written" take part."""
    indices = [index for index, text in enumerate(descriptions) if text.outcome == "written"]
    matched = np.full(len(descriptions), np.nan)
    if len(indices) == 0:
        return Cosines(matched, np.zeros(0), np.zeros(0))
    text_rows = {
        text: row for row, text in enumerate(dict.fromkeys(_first_phrasings(descriptions, originals, indices)))
    }
    vectors = embedder.embed_texts(tuple(text_rows))
    written_vectors = vectors[[text_rows[descriptions[index].phrasings[0]] for index in indices]].astype(np.float64)
    original_vectors = vectors[[text_rows[originals[index].phrasings[0]] for index in indices]].astype(np.float64)
    matched[indices] = np.einsum("td,td->t", original_vectors, written_vectors)
    rng = np.random.default_rng(seed)
    sampled_rows = np.sort(rng.permutation(len(indices))[:MAX_CALIBRATION_TEXTS])
    types = np.array([_cell_type(descriptions[indices[row]]) for row in sampled_rows], dtype=np.str_)
    is_mismatch = types[:, None] != types[None, :]
    cosines = original_vectors[sampled_rows] @ written_vectors[sampled_rows].T
    candidates_per_text = [np.flatnonzero(candidates) for candidates in is_mismatch]
    permuted = [
        cosines[row, rng.choice(candidates)] for row, candidates in enumerate(candidates_per_text) if len(candidates)
    ]
    return Cosines(matched, cosines[is_mismatch], np.array(permuted))


def _first_phrasings(
    descriptions: Sequence[Description], originals: Sequence[Description], indices: Sequence[int]
) -> list[str]:
    return [texts[index].phrasings[0] for texts in (descriptions, originals) for index in indices]


def calibrated_threshold(mismatched: NDArray[np.float64]) -> float:
    """Return the 95th percentile of the mismatched cosines; requires at least one."""
    return float(np.percentile(mismatched, 95))


def _cell_type(text: Description) -> str:
    return text.profile.cell_type_id or text.profile.cell_type


def summarize_cosines(cosines: NDArray[np.float64]) -> Percentiles:
    """Return the number and the percentiles of cosines."""
    percentiles = np.percentile(cosines, (1, 5, 25, 50, 75, 95, 99)).tolist() if len(cosines) else []
    return Percentiles(len(cosines), tuple(percentiles))


class ScreeningSettings(Settings):
    """Settings of the screening of written texts."""

    threshold: Annotated[float, Field(ge=-1, le=1)] | Literal["calibrated"] = "calibrated"
    """Minimum cosine of a written text to its original (E1), the paper's alpha. calibrated: the 95th percentile of the
    cosines between an original text and the written texts of other cell types; with fewer than `MIN_TYPES` cell
    types, no text is rejected."""
    on_reject: Literal["original", "drop"] = "original"
    """Replacement of a rejected text: original: the original text; drop: none."""
    sentences: bool = True
    """Whether to check each sentence against the evidence that it cites (`FactChecker`)."""
    seed: int = 0
    """Random seed of the sample of texts used for calibration and of the permuted texts in the report."""


@dataclass(frozen=True)
class ScreeningReport:
    """Results of the screening."""

    threshold: float | None
    """Threshold on the cosine; None with too few cell types for calibration (nothing is rejected then)."""
    own: Percentiles
    """Cosines of written texts to their own originals, before rejection."""
    strangers: Percentiles
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
class ScreeningResult:
    """Descriptions after the screening."""

    descriptions: tuple[Description | None, ...]
    """In input order; None for a rejected text with ``on_reject="drop"``."""
    report: ScreeningReport


def screen(
    descriptions: Sequence[Description],
    originals: Sequence[Description],
    embedder: TextEmbedder,
    settings: ScreeningSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScreeningResult:
    """Remove sentences that their evidence does not support, then reject texts that differ from their original.

    Parameters
    ----------
    descriptions
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
        If ``descriptions`` and ``originals`` differ in length.
    """
    settings = settings or ScreeningSettings()
    if len(descriptions) != len(originals):
        raise InputError(
            f"There are {len(descriptions)} written texts for {len(originals)} originals; pass one original per text."
        )
    checker = FactChecker()
    checked: list[Description] = []
    for index, (text, original) in enumerate(zip(descriptions, originals, strict=True)):
        checked.append(_check_sentences(text, original, checker) if settings.sentences else text)
        if progress is not None:
            progress(index + 1, len(descriptions))
    cosines = measure_cosines(checked, originals, embedder, settings.seed)
    threshold = settings.threshold
    if threshold == "calibrated":
        types = {text.profile.cell_type_id or text.profile.cell_type for text in checked if text.outcome == "written"}
        # With few types, all may be closely related; their high cosines would reject good texts.
        threshold = calibrated_threshold(cosines.mismatched) if len(types) >= MIN_TYPES else None
    min_cosine = -1.0 if threshold is None else threshold
    results = [
        _apply_threshold(text, original, None if np.isnan(cosine) else float(cosine), min_cosine, settings.on_reject)
        for text, original, cosine in zip(checked, originals, cosines.matched, strict=True)
    ]
    matched = cosines.matched[~np.isnan(cosines.matched)]
    report = ScreeningReport(
        threshold=threshold,
        own=summarize_cosines(matched),
        strangers=summarize_cosines(cosines.mismatched),
        rejected=_fraction(matched < min_cosine),
        swapped_rejected=_fraction(cosines.permuted < min_cosine),
        sentences=sum(len(text.sentences) for text in descriptions if text.outcome == "written"),
        dropped=sum(len(text.dropped) for text in checked) - sum(len(text.dropped) for text in descriptions),
        embedder=embedder.name,
    )
    return ScreeningResult(tuple(results), report)


def remove_unsupported(description: Description, checker: FactChecker) -> Description:
    """Move sentences that fail the fact check to ``dropped``, with the reason, and remove them from all phrasings.

    The phrasings of a language model are rebuilt from the remaining sentences; without any, they are empty.
    """
    supported, dropped = list[Sentence](), list(description.dropped)
    for sentence in description.sentences:
        reason = checker.reason_to_reject(sentence, description.profile)
        if reason is None:
            supported.append(sentence)
        else:
            dropped.append(Dropped(sentence.text, reason))
    if len(supported) == len(description.sentences):
        return description
    removed = [text.text for text in dropped[len(description.dropped) :]]
    if not supported:
        phrasings = ()
    elif description.writer == "endpoint":
        phrasings = shortened_texts(description.profile.cell_type, [sentence.text for sentence in supported])
    else:
        phrasings = tuple(_remove_sentences(text, removed) for text in description.phrasings)
    return replace(
        description,
        sentences=tuple(supported),
        phrasings=tuple(dict.fromkeys(filter(None, phrasings))),
        dropped=tuple(dropped),
    )


def _check_sentences(description: Description, original: Description, checker: FactChecker) -> Description:
    if description.outcome != "written":
        return description
    checked = remove_unsupported(description, checker)
    if checked.phrasings:
        return checked
    return _replace_with_original(original, checked, None, "no sentence is supported by its evidence")


def _apply_threshold(
    text: Description, original: Description, cosine: float | None, threshold: float, on_reject: str
) -> Description | None:
    if text.outcome == "original" or cosine is None or cosine >= threshold:
        result = text if cosine is None else replace(text, similarity=cosine)
        return None if on_reject == "drop" and text.outcome == "original" and text.dropped else result
    if on_reject == "drop":
        return None
    return _replace_with_original(
        original, text, cosine, f"cosine {cosine:.3f} to the original is under {threshold:.3f}"
    )


def _replace_with_original(
    original: Description, description: Description, cosine: float | None, remark: str
) -> Description:
    return replace(
        original,
        writer=description.writer,
        prompt=description.prompt,
        dropped=description.dropped,
        similarity=cosine,
        outcome="original",
        remark=remark,
    )


def _remove_sentences(text: str, removed: Sequence[str]) -> str:
    """Remove whole sentences, not parts of others; "" if only a heading remains."""
    for sentence in removed:
        text = re.sub(rf"(?:\A|(?<=[.!?:] )){re.escape(sentence)}(?:\s+|\Z)", "", text)
    remaining = " ".join(text.split())
    return "" if remaining.endswith(":") else remaining


def _fraction(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else 0.0
