"""Text prior of the classifier: logits from label texts, and their fitted weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax

from okrcell.errors import InputError
from okrcell.tasks.candidates import Candidate, parse_candidates

TEXT_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
"""Candidate weights of the text logits; 1 is the weight at the model's own temperature."""


@dataclass(frozen=True)
class ExampleLabels:
    """Labels of example cells."""

    names: tuple[str, ...]
    """Distinct labels, sorted."""
    label_idx: NDArray[np.intp] = field(repr=False)
    """Index of each cell's label, -1 for an unlabelled cell."""
    candidates: tuple[Candidate, ...]
    """The same labels with their texts and Cell Ontology ids."""


def read_labels(
    labels: Sequence[str] | NDArray[np.str_],
    texts: Mapping[str, Sequence[str]] | None = None,
    ids: Mapping[str, str] | None = None,
) -> ExampleLabels:
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
    raw_labels = np.asarray(labels, dtype=str)
    names = sorted({str(name) for name in raw_labels.tolist() if name.strip()})
    if not names:
        raise InputError("No cell has a label, so no classifier can be trained. Label a few cells of each type first.")
    index = {name: idx for idx, name in enumerate(names)}
    label_idx = np.array([index.get(str(name), -1) for name in raw_labels.tolist()], dtype=np.intp)
    label_texts, label_ids = texts or {}, ids or {}
    return ExampleLabels(
        tuple(names),
        label_idx,
        tuple(_label_candidate(name, label_texts.get(name), label_ids.get(name)) for name in names),
    )


def text_logits(
    cell_vectors: Float[np.ndarray, "cell dim"], label_vectors: Float[np.ndarray, "name dim"], temperature: float
) -> Float[np.ndarray, "cell name"]:
    """Logits from label texts alone: cosine similarity, centred over the sample, divided by the model's temperature.

    Centring removes the mean of each text, because a text that is similar to all cells does not discriminate.
    """
    norm = np.linalg.norm(cell_vectors, axis=1, keepdims=True)
    similarity = (cell_vectors / np.maximum(norm, 1e-6)) @ label_vectors.T
    similarity = similarity - similarity.mean(axis=0, keepdims=True)
    return ((similarity - similarity.mean(axis=1, keepdims=True)) / temperature).astype(np.float32)


def fit_text_weight(
    logits: Float[np.ndarray, "example name"], label_idx: NDArray[np.intp], max_weight: float = TEXT_WEIGHTS[-1]
) -> float:
    """Return the text weight, one of `TEXT_WEIGHTS` up to ``max_weight``, with the highest likelihood of the example labels."""

    def likelihood(weight: float) -> float:
        return float(log_softmax(weight * logits, axis=1)[np.arange(len(label_idx)), label_idx].sum())

    return max((weight for weight in TEXT_WEIGHTS if weight <= max_weight), key=likelihood)


def _label_candidate(name: str, texts: Sequence[str] | None, term_id: str | None) -> Candidate:
    if texts is not None and term_id is not None:
        return Candidate(name, term_id, tuple(texts))
    try:
        parsed = parse_candidates([name])[0]
    except InputError:
        # A label that has the form of an ontology id, but is not one.
        parsed = Candidate(name, "", (name,))
    return Candidate(name, parsed.term_id if term_id is None else term_id, tuple(texts) if texts else parsed.texts)
