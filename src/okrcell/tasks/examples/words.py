"""What words alone say of each cell, and how far examples bear them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax

from okrcell.errors import InputError
from okrcell.tasks.candidates import Candidate, candidates

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
"""What words may count for; 1 is what the model's own temperature gives them."""


@dataclass(frozen=True)
class Labels:
    """The names that examples bear."""

    names: tuple[str, ...]
    """As they are written, sorted."""
    given: NDArray[np.intp] = field(repr=False)
    """For each cell the place of its name, -1 where it has none."""
    candidates: tuple[Candidate, ...]
    """The same names with the texts that stand for them, and their Cell Ontology ids."""


def read_labels(
    labels: Sequence[str] | NDArray[np.str_],
    texts: Mapping[str, Sequence[str]] | None = None,
    ids: Mapping[str, str] | None = None,
) -> Labels:
    """Read the labels of some cells, "" for a cell that has none.

    Parameters
    ----------
    texts
        Texts that stand for a name; by default what `okrcell.tasks.candidates.candidates` finds for it.
    ids
        Cell Ontology id of a name, "" for none; by default what its words name.

    Raises
    ------
    InputError
        If no cell has a label.
    """
    written = np.asarray(labels, dtype=str)
    names = sorted({str(name) for name in written.tolist() if name.strip()})
    if not names:
        raise InputError(
            "No cell has a label, so there is nothing to learn from. Label a few cells of each type first."
        )
    place = {name: number for number, name in enumerate(names)}
    given = np.array([place.get(str(name), -1) for name in written.tolist()], dtype=np.intp)
    some, known = texts or {}, ids or {}
    return Labels(tuple(names), given, tuple(_candidate(name, some.get(name), known.get(name)) for name in names))


def word_logits(
    cells: Float[np.ndarray, "cell dim"], names: Float[np.ndarray, "name dim"], temperature: float
) -> Float[np.ndarray, "cell name"]:
    """Return what words alone say: cosine similarity, relative to the sample, over the model's temperature.

    A text to which all cells of the sample lie near says nothing of any one of them: its mean is taken off.
    """
    length = np.linalg.norm(cells, axis=1, keepdims=True)
    likeness = (cells / np.maximum(length, 1e-6)) @ names.T
    likeness = likeness - likeness.mean(axis=0, keepdims=True)
    return ((likeness - likeness.mean(axis=1, keepdims=True)) / temperature).astype(np.float32)


def weight_of_words(
    said: Float[np.ndarray, "example name"], given: NDArray[np.intp], most: float = WEIGHTS[-1]
) -> float:
    """Return the weight of words, one of `WEIGHTS` up to ``most``, with which the labels of the examples are likeliest."""

    def likelihood(weight: float) -> float:
        return float(log_softmax(weight * said, axis=1)[np.arange(len(given)), given].sum())

    return max((weight for weight in WEIGHTS if weight <= most), key=likelihood)


def _candidate(name: str, texts: Sequence[str] | None, term_id: str | None) -> Candidate:
    if texts is not None and term_id is not None:
        return Candidate(name, term_id, tuple(texts))
    try:
        read = candidates([name])[0]
    except InputError:
        # A label that has the form of an id, but is none.
        read = Candidate(name, "", (name,))
    return Candidate(name, read.term_id if term_id is None else term_id, tuple(texts) if texts else read.texts)
