"""What a benchmark asks of a method, and what it gives back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

Kind = Literal["ours", "control", "baseline"]
"""ours: the method this package stands for. control: a part of it, or another checkpoint. baseline: what others would use."""


@dataclass(frozen=True)
class Surroundings:
    """What a method may read beside the cells that it is given."""

    model: str | None = None
    """Model folder or hub id; None is the bundled one."""
    data: Path | None = None
    """Folder of the data sets; what lies in its ``pretrain`` may be learned from, never what lies in ``evaluate``."""
    knowledge: Path | None = None
    """Folder of marker tables and other knowledge."""


@dataclass(frozen=True)
class Method:
    """One row of the report."""

    title: str
    """As it is written in the report, such as "logistic regression on PCA"."""
    answers: Mapping[str, str]
    """Task to what answers it, ``"module:name"``: a function with the signature of the task's protocol, or a class, which is
    made with `Surroundings` and is then called in the same way. Tasks: clustering, integration (`Embeds`), annotation
    (`NamesFromReference`), few_shot (`NamesFromExamples`), zero_shot (`NamesFromWords`; robustness, unknown and unseen_types
    ask it too), open_types (`NamesOpenly`), retrieval (`Matches`)."""
    kind: Kind = "baseline"
    packages: tuple[str, ...] = ()
    """Names to import of packages that okrcell itself does not need; without them the method is passed over."""
    extra: str = "baselines"
    """The extra that installs ``packages``."""
    slow: bool = False
    """Takes minutes a set; run only when asked for by name, or by ``--methods all``."""
    model: str | None = None
    """The checkpoint that `Surroundings` names, for methods that use one; None is the bundled one."""
    needs: tuple[Literal["data", "knowledge"], ...] = field(default=())
    """What `Surroundings` must hold; without it the method is passed over with a line that says so."""


@dataclass(frozen=True)
class Named:
    """Names for cells, in the order of the cells."""

    label: NDArray[np.str_]
    """One of ``names`` for each cell; "" where the method has no answer."""
    names: tuple[str, ...]
    """All names that could have been given."""
    scores: Float[np.ndarray, "cell name"] | None = None
    """How well each name fits, the higher the better; None if the method does not say. A cell without answer has NaN."""
    probabilities: bool = False
    """Whether ``scores`` are probabilities (rows sum to 1)."""
    confidence: Float[np.ndarray, "cell"] | None = None
    """Probability that ``label`` is right, in [0, 1], where the method tells it apart from ``scores``; NaN for a cell without
    answer. Calibration is judged by it, else by the highest of ``scores`` where they are probabilities, else not at all."""


class Embeds(Protocol):
    """Gives cells vectors: clustering (``batch_key`` None), integration."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return a vector for each cell; ``batch_key`` is a column of obs whose differences shall not matter."""
        ...


class NamesFromReference(Protocol):
    """Names cells by labelled cells of another study."""

    def __call__(self, reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
        """Name each cell of ``query``; ``labels`` name the cells of ``reference`` (Cell Ontology ids, or plain names)."""
        ...


class NamesFromExamples(Protocol):
    """Names the cells of a sample by a few labelled ones among them."""

    def __call__(self, cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
        """Yield names of all cells for each draw in turn: each has K cells of every label, "" for the others.

        What does not depend on the examples, such as components, is best made once, before the first is yielded.
        """
        ...


class NamesFromWords(Protocol):
    """Names cells from words alone."""

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Name each cell; ``candidates`` are Cell Ontology ids, and are the ``names`` of the answer in this order."""
        ...


class NamesOpenly(Protocol):
    """Names cells without being told which names there are."""

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Named:
        """Name each cell with an id of the Cell Ontology; ``tissue`` says where they are from, None where that is untold."""
        ...


class Matches(Protocol):
    """Compares cells with texts."""

    def __call__(self, cells: AnnData, texts: Sequence[str], seed: int) -> Float[np.ndarray, "cell text"]:
        """Return how well each cell fits each text, the higher the better; NaN for a cell without expression."""
        ...
