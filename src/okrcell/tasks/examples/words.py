"""Text prior of the classifier: logits from label texts, and their fitted weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax

from okrcell.errors import InputError
from okrcell.tasks.candidates import Candidate, candidates

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
"""Candidate weights of the text logits; 1 is the weight at the model's own temperature."""


@dataclass(frozen=True)
class Labels:
    """Labels of example cells."""

    names: tuple[str, ...]
    """Distinct labels, sorted."""
    given: NDArray[np.intp] = field(repr=False)
    """Index of each cell's label, -1 for an unlabelled cell."""
    candidates: tuple[Candidate, ...]
    """The same labels with their texts and Cell Ontology ids."""


def read_labels(
    labels: Sequence[str] | NDArray[np.str_],
    texts: Mapping[str, Sequence[str]] | None = None,
    ids: Mapping[str, str] | None = None,
) -> Labels:
    """Index the labels of cells.

    Parameters
    ----------
    labels
        Label of each cell, "" for an unlabelled cell.
    texts
        Texts of each label; by default those of `okrcell.tasks.candidates.parse_candidates`.
    ids
        Cell Ontology id of each label, "" for none; by default that of the term it names.

    Raises
    ------
    InputError
        If no cell has a label.
    """
    written = np.asarray(labels, dtype=str)
    names = sorted({str(name) for name in written.tolist() if name.strip()})
    if not names:
        raise InputError("No cell has a label, so no classifier can be trained. Label a few cells of each type first.")
    place = {name: number for number, name in enumerate(names)}
    given = np.array([place.get(str(name), -1) for name in written.tolist()], dtype=np.intp)
    some, known = texts or {}, ids or {}
    return Labels(tuple(names), given, tuple(_candidate(name, some.get(name), known.get(name)) for name in names))


def word_logits(
    cells: Float[np.ndarray, "cell dim"], names: Float[np.ndarray, "name dim"], temperature: float
) -> Float[np.ndarray, "cell name"]:
    """Logits from label texts alone: cosine similarity, centred over the sample, divided by the model's temperature.

    Centring removes the mean of each text, because a text that is similar to all cells does not discriminate.
    """
    length = np.linalg.norm(cells, axis=1, keepdims=True)
    likeness = (cells / np.maximum(length, 1e-6)) @ names.T
    likeness = likeness - likeness.mean(axis=0, keepdims=True)
    return ((likeness - likeness.mean(axis=1, keepdims=True)) / temperature).astype(np.float32)


def weight_of_words(
    said: Float[np.ndarray, "example name"], given: NDArray[np.intp], most: float = WEIGHTS[-1]
) -> float:
    """Return the text weight, one of `WEIGHTS` up to ``most``, with the highest likelihood of the example labels."""

    def likelihood(weight: float) -> float:
        return float(log_softmax(weight * said, axis=1)[np.arange(len(given)), given].sum())

    return max((weight for weight in WEIGHTS if weight <= most), key=likelihood)


def _candidate(name: str, texts: Sequence[str] | None, term_id: str | None) -> Candidate:
    if texts is not None and term_id is not None:
        return Candidate(name, term_id, tuple(texts))
    try:
        read = candidates([name])[0]
    except InputError:
        # A label that has the form of an ontology id, but is not one.
        read = Candidate(name, "", (name,))
    return Candidate(name, read.term_id if term_id is None else term_id, tuple(texts) if texts else read.texts)
