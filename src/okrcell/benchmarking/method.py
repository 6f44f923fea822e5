"""Methods of the benchmark: their description, their predictions, and one protocol per task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

MethodKind = Literal["ours", "control", "baseline"]
"""ours: okrcell as released. control: a part of it, or another checkpoint. baseline: a method from the literature."""


@dataclass(frozen=True)
class MethodContext:
    """Resources that a method may read besides the cells: model, training data, knowledge."""

    model: str | None = None
    """Model folder or hub id. None: the bundled model."""
    data: Path | None = None
    """Folder of the data sets. Methods may train on files in ``pretrain``, never on those in ``evaluate``."""
    knowledge: Path | None = None
    """Folder of marker tables and other knowledge files."""


@dataclass(frozen=True)
class Method:
    """A method of the benchmark: one row of the report.

    Notes
    -----
    A method implements a task with a callable that has the signature of the task's protocol:

    - clustering, integration: `EmbeddingMethod`
    - annotation: `ReferenceAnnotator`
    - few_shot: `FewShotAnnotator`
    - zero_shot, and through it robustness, unknown and unseen_types: `ZeroShotAnnotator`
    - open_types: `OpenAnnotator`
    - retrieval: `TextMatcher`
    """

    title: str
    """Title in the report, such as "logistic regression on PCA"."""
    implementations: Mapping[str, str]
    """Task to its implementation, ``"module:name"``: a function with the signature of the task's protocol, or a class that is
    constructed with a `MethodContext` and whose instances are called in the same way."""
    kind: MethodKind = "baseline"
    packages: tuple[str, ...] = ()
    """Import names of packages that okrcell itself does not need. If one is missing, the method is skipped."""
    extra: str = "baselines"
    """Extra of okrcell that installs ``packages``."""
    slow: bool = False
    """Takes minutes per data set; run only if selected by name or by ``--methods all``."""
    model: str | None = None
    """Checkpoint passed in `MethodContext`, for methods that use one. None: the bundled model."""
    requires: tuple[Literal["data", "knowledge"], ...] = field(default=())
    """Fields of `MethodContext` that must be set. If one is missing, the method is skipped with a message."""


@dataclass(frozen=True)
class Annotation:
    """Predicted labels of cells, in the order of the cells."""

    label: NDArray[np.str_]
    """Predicted label of each cell, one of ``names``; "" where the method makes no prediction."""
    names: tuple[str, ...]
    """All labels that the method could predict."""
    scores: Float[np.ndarray, "cell name"] | None = None
    """Score of each label, higher is better; None if the method has no scores. NaN for a cell without prediction."""
    probabilities: bool = False
    """Whether ``scores`` are probabilities (rows sum to 1)."""
    confidence: Float[np.ndarray, "cell"] | None = None
    """Probability that ``label`` is right, in [0, 1], if the method reports one besides ``scores``; NaN for a cell without
    prediction. Calibration is computed from it, else from the highest of ``scores`` if they are probabilities."""


class EmbeddingMethod(Protocol):
    """Protocol of the tasks clustering and integration: embed cells."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Embed cells.

        Parameters
        ----------
        cells
            Cells without labels, counts or linear values in X (float32, CSR); see `okrcell.benchmarking.cells.bare`.
        batch_key
            Column of obs with the batch to correct for; None in the task clustering.
        seed
            Seed of random steps.

        Returns
        -------
        Embedding (cell, dim). A cell without a vector, such as one without expression, has NaN.

        Raises
        ------
        OkrcellError
            If the cells cannot be embedded; reported as a failure of the method.

        Notes
        -----
        Clustering evaluates the vectors by Leiden on the graph of 15 neighbours (AvgBIO), integration by scib-metrics.
        """
        ...


class ReferenceAnnotator(Protocol):
    """Protocol of the task annotation: annotate cells from labelled cells of another study."""

    def __call__(self, reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
        """Annotate the query.

        Parameters
        ----------
        reference
            Cells of the reference, without obs columns; genes may differ from those of ``query``.
        labels
            Label of each cell of ``reference``: Cell Ontology ids, or plain names; "" is unlabelled.
        query
            Cells to annotate.
        seed
            Seed of random steps.

        Returns
        -------
        One label of the reference for each cell of ``query``.

        Raises
        ------
        InputError
            If reference and query share too few genes; reported as a failure of the method.

        Notes
        -----
        Query cells of types that the reference lacks are part of ``query`` but are not scored.
        """
        ...


class FewShotAnnotator(Protocol):
    """Protocol of the task few_shot: annotate the cells of a sample from a few labelled cells of it."""

    def __call__(self, cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Annotation]:
        """Annotate all cells once for each draw of examples.

        Parameters
        ----------
        cells
            All cells of the sample, examples included.
        draws
            For each draw the label of each cell: K cells per label have one, all others have "".
        seed
            Seed of random steps.

        Yields
        ------
        Labels of all cells, one `Annotation` for each draw, in the order of ``draws``.

        Raises
        ------
        OkrcellError
            If the cells cannot be annotated; reported as a failure of the method.

        Notes
        -----
        Compute what does not depend on the examples (such as components) once, before the first yield: the measured time
        is divided equally among the draws.
        """
        ...


class ZeroShotAnnotator(Protocol):
    """Protocol of the tasks zero_shot, robustness, unknown and unseen_types: annotate cells from candidate types alone."""

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Annotation:
        """Annotate the query without labelled cells.

        Parameters
        ----------
        query
            Cells to annotate.
        candidates
            Cell Ontology ids to choose from.
        seed
            Seed of random steps.

        Returns
        -------
        One candidate for each cell; ``names`` equals ``candidates``, in the same order.

        Raises
        ------
        OkrcellError
            If the cells cannot be annotated; reported as a failure of the method.

        Notes
        -----
        The task unknown leaves the true type of some cells out of ``candidates``.
        """
        ...


class OpenAnnotator(Protocol):
    """Protocol of the task open_types: annotate cells without candidates."""

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Annotation:
        """Annotate the query with any types of the Cell Ontology.

        Parameters
        ----------
        query
            Cells to annotate.
        tissue
            Name of the tissue of the cells; None if it is unknown.
        seed
            Seed of random steps.

        Returns
        -------
        One Cell Ontology id for each cell.

        Raises
        ------
        OkrcellError
            If the cells cannot be annotated; reported as a failure of the method.
        """
        ...


class TextMatcher(Protocol):
    """Protocol of the task retrieval: similarity of cells and texts."""

    def __call__(self, cells: AnnData, texts: Sequence[str], seed: int) -> Float[np.ndarray, "cell text"]:
        """Score each cell against each text.

        Parameters
        ----------
        cells
            Cells of one data set.
        texts
            Distinct descriptions of cells.
        seed
            Seed of random steps.

        Returns
        -------
        Similarity (cell, text), higher is better; NaN for a cell without expression.

        Raises
        ------
        OkrcellError
            If cells or texts cannot be embedded; reported as a failure of the method.
        """
        ...
