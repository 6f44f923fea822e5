"""Registry of the benchmark's methods: okrcell, its controls and the baselines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.counts import find_counts

MethodKind = Literal["ours", "control", "baseline"]
"""ours: okrcell as released. control: a part of it, or another checkpoint. baseline: a method from the literature."""
VALUE_KIND_KEY = "kind"
"""Key of ``uns``: "counts" if X holds whole counts, "linear" if the file holds normalised or log-normalised values."""
_BASELINES = "okrcell.benchmarking.baselines"


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
    - annotation, and through it annotation_dropout: `ReferenceAnnotator`
    - few_shot: `FewShotAnnotator`
    - zero_shot, and through it robustness, unknown and unseen_types: `ZeroShotAnnotator`
    - free_text: `FreeTextAnnotator`
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
            Cells without labels, counts or linear values in X (float32, CSR); see `unlabeled_cells`.
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
    """Protocol of the tasks annotation and annotation_dropout: annotate cells from labelled cells of another study."""

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


class FreeTextAnnotator(Protocol):
    """Protocol of the task free_text: annotate cells from a text of each candidate type."""

    def __call__(self, query: AnnData, texts: Sequence[str], seed: int) -> Annotation:
        """Annotate the query by texts that are not resolved to terms of the ontology.

        Parameters
        ----------
        query
            Cells to annotate.
        texts
            Distinct texts to choose from, such as names, definitions or sentences; or Cell Ontology ids, which are terms.
        seed
            Seed of random steps.

        Returns
        -------
        One text for each cell; ``names`` equals ``texts``, in the same order.

        Raises
        ------
        OkrcellError
            If the cells cannot be annotated; reported as a failure of the method.
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


def unlabeled_cells(adata: AnnData) -> AnnData:
    """Return the cells without labels: X alone, float32 (cell, gene), CSR, linear and not negative.

    X holds the counts of the file; if the file has log-normalised values only, the logarithm is undone. ``var_names`` (made
    unique) and ``obs_names`` are those of the file; ``uns["kind"]`` is "counts" or "linear".

    Raises
    ------
    InputError
        If the file holds no expression.
    """
    counts = find_counts(adata)
    values = sparse.csr_matrix(sparse.vstack(list(counts.rows.blocks(4096))), dtype=np.float32)
    if counts.inspection.kind == "log1p":
        values.data = np.expm1(values.data * np.float32(np.log(counts.inspection.base)))
    values.eliminate_zeros()
    id_columns = [name for name in ("ensembl_id", "gene_symbol") if name in counts.var]
    # Object columns: not all versions of AnnData write string arrays of pandas.
    genes = pd.DataFrame(
        {name: counts.var[name].astype(str).to_numpy(dtype=object) for name in id_columns}, index=counts.var.index
    )
    cells = AnnData(values, obs=pd.DataFrame(index=adata.obs_names.astype(str)), var=genes)
    cells.var_names_make_unique()
    cells.uns[VALUE_KIND_KEY] = "linear" if counts.inspection.kind in ("log1p", "linear") else "counts"
    return cells


def select_cells(cells: AnnData, rows: NDArray[np.intp], **columns: Sequence[str] | NDArray[np.str_]) -> AnnData:
    """Select cells, in the order of ``rows``; obs holds only ``columns``, as categoricals."""
    subset = cells[rows].copy()
    subset.obs = pd.DataFrame(
        {name: pd.Categorical(np.asarray(values).astype(str)) for name, values in columns.items()},
        index=subset.obs_names,
    )
    return subset


def log_normalize(cells: AnnData) -> AnnData:
    """Return a copy with log1p of counts per 10,000 in X; a cell without counts stays zero."""
    import scanpy as sc

    normalized = cells.copy()
    sc.pp.normalize_total(normalized, target_sum=1e4)
    sc.pp.log1p(normalized)
    return normalized


def get_matrix(cells: AnnData) -> sparse.csr_matrix:
    """Return X with its type."""
    return cast(sparse.csr_matrix, cells.X)


METHODS: Mapping[str, Method] = {
    "okrcell": Method(
        "okrcell",
        {
            "clustering": f"{_BASELINES}.okrcell:ClusterEmbedding",
            "integration": f"{_BASELINES}.okrcell:IntegratedEmbedding",
            "annotation": f"{_BASELINES}.okrcell:OkrcellReferenceAnnotator",
            "few_shot": f"{_BASELINES}.okrcell:OkrcellFewShotAnnotator",
            "zero_shot": f"{_BASELINES}.okrcell:OkrcellZeroShotAnnotator",
            "free_text": f"{_BASELINES}.okrcell:OkrcellZeroShotAnnotator",
            "open_types": f"{_BASELINES}.okrcell:OkrcellOpenAnnotator",
            "retrieval": f"{_BASELINES}.okrcell:OkrcellTextMatcher",
        },
        kind="ours",
    ),
    "okrcell_raw": Method(
        "okrcell, vectors alone (with labelled cells: a linear probe)",
        {
            "clustering": f"{_BASELINES}.okrcell:RawEmbedding",
            "integration": f"{_BASELINES}.okrcell:RawEmbedding",
            "annotation": f"{_BASELINES}.okrcell:LinearProbeAnnotator",
            "few_shot": f"{_BASELINES}.okrcell:FewShotLinearProbeAnnotator",
        },
        kind="control",
    ),
    "okrcell_cosine": Method(
        "okrcell, cosine of cell and text alone",
        {
            "zero_shot": f"{_BASELINES}.okrcell:CosineAnnotator",
            "free_text": f"{_BASELINES}.okrcell:CosineAnnotator",
        },
        kind="control",
    ),
    "okrcell_signatures": Method(
        "okrcell, signature scores alone",
        {
            "zero_shot": f"{_BASELINES}.okrcell:SignatureAnnotator",
            "free_text": f"{_BASELINES}.okrcell:SignatureAnnotator",
            "open_types": f"{_BASELINES}.okrcell:OpenSignatureAnnotator",
        },
        kind="control",
    ),
    "okrcell_unsmoothed": Method(
        "okrcell, without neighbours",
        {
            "zero_shot": f"{_BASELINES}.okrcell:UnsmoothedAnnotator",
            "free_text": f"{_BASELINES}.okrcell:UnsmoothedAnnotator",
            "open_types": f"{_BASELINES}.okrcell:OpenUnsmoothedAnnotator",
        },
        kind="control",
    ),
    "okrcell_encoder": Method(
        "okrcell, cell encoder fine-tuned",
        {"annotation": f"{_BASELINES}.okrcell:FineTunedEncoderAnnotator"},
        kind="control",
        slow=True,
    ),
    "okrcell_lora": Method(
        "okrcell, low-rank adapters fine-tuned (LoRA)",
        {"annotation": f"{_BASELINES}.okrcell:LoraAnnotator"},
        kind="control",
        packages=("peft",),
        extra="fine-tuning",
        slow=True,
    ),
    "hvg_pca": Method(
        "HVG + PCA",
        {"clustering": f"{_BASELINES}.classical:embed_hvg_pca", "integration": f"{_BASELINES}.classical:embed_hvg_pca"},
    ),
    "harmony": Method(
        "Harmony", {"integration": f"{_BASELINES}.batch_correction:embed_harmony"}, packages=("harmonypy",)
    ),
    "scanorama": Method(
        "Scanorama", {"integration": f"{_BASELINES}.batch_correction:embed_scanorama"}, packages=("scanorama",)
    ),
    "scvi": Method(
        "scVI",
        {"clustering": f"{_BASELINES}.scvi:embed_scvi", "integration": f"{_BASELINES}.scvi:embed_scvi"},
        packages=("scvi",),
        slow=True,
    ),
    "scanvi": Method(
        "scANVI",
        {"annotation": f"{_BASELINES}.scvi:annotate_scanvi", "few_shot": f"{_BASELINES}.scvi:few_shot_scanvi"},
        packages=("scvi",),
        slow=True,
    ),
    "logistic_regression": Method(
        "logistic regression on genes",
        {
            "annotation": f"{_BASELINES}.classical:annotate_logistic_regression",
            "few_shot": f"{_BASELINES}.classical:few_shot_logistic_regression",
        },
    ),
    "logistic_regression_pca": Method(
        "logistic regression on PCA",
        {
            "annotation": f"{_BASELINES}.classical:annotate_logistic_regression_pca",
            "few_shot": f"{_BASELINES}.classical:few_shot_logistic_regression_pca",
        },
    ),
    "knn": Method(
        "nearest neighbours on PCA",
        {"annotation": f"{_BASELINES}.classical:annotate_knn", "few_shot": f"{_BASELINES}.classical:few_shot_knn"},
    ),
    "celltypist": Method("CellTypist", {"annotation": f"{_BASELINES}.celltypist:annotate"}, packages=("celltypist",)),
    "celltypist_voting": Method(
        "CellTypist, majority voting",
        {"annotation": f"{_BASELINES}.celltypist:annotate_by_majority"},
        packages=("celltypist",),
    ),
    "singler": Method(
        "SingleR",
        {"annotation": f"{_BASELINES}.singler:annotate", "few_shot": f"{_BASELINES}.singler:few_shot"},
        packages=("singler", "scranpy"),
    ),
    "markers": Method(
        "marker genes",
        {
            "zero_shot": f"{_BASELINES}.marker_genes:MarkerAnnotator",
            "open_types": f"{_BASELINES}.marker_genes:OpenMarkerAnnotator",
        },
        requires=("knowledge",),
    ),
    "markers_smoothed": Method(
        "marker genes, smoothed over neighbours",
        {
            "zero_shot": f"{_BASELINES}.marker_genes:SmoothedMarkerAnnotator",
            "open_types": f"{_BASELINES}.marker_genes:SmoothedOpenMarkerAnnotator",
        },
        requires=("knowledge",),
    ),
    "label_transfer": Method(
        "label transfer from the pretraining sets",
        {"zero_shot": f"{_BASELINES}.label_transfer:PretrainingLabelTransfer"},
        requires=("data",),
    ),
}
"""Method by its name on the command line, in the order of the report."""
