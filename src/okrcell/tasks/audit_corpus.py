"""Label error detection for a corpus, study by study."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.counts import MatrixRows
from okrcell.cells.expression import Expression
from okrcell.cells.genes import GeneResolution, GeneTable
from okrcell.data.corpus import Corpus
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.tasks.audit_study import audit_study
from okrcell.tasks.label_contradictions import sort_groups
from okrcell.tasks.label_errors import TRUST_THRESHOLD, AuditSettings
from okrcell.tasks.labels import limit_remarks, read_study_labels

RELIABILITY_FILE = "reliability.parquet"
BLOCK_SIZE = 4_096
"""Number of cells that are read at a time to see which genes were measured."""
Progress = Callable[[int, int, str], None]
"""Callback with the number of finished cells, their total, and the study."""


def corpus_expression(corpus: Corpus, rows: NDArray[np.integer], table: GeneTable | None = None) -> Expression:
    """Return the expression of the cells ``rows`` of a corpus; read from disk in blocks.

    A corpus does not store which genes a study measured: those that any of the cells expresses count as measured.
    """
    table = GeneTable.bundled() if table is None else table
    is_measured = np.zeros(len(table), dtype=bool)
    for start in range(0, len(rows), BLOCK_SIZE):
        is_measured |= corpus.rows(np.asarray(rows[start : start + BLOCK_SIZE], dtype=np.int64)).getnnz(axis=0) > 0
    resolution = GeneResolution(
        row=np.where(is_measured, np.arange(len(table)), -1).astype(np.int32),
        match_counts={},
        unknown=(),
        species="human",
        coverage=1.0,
        duplicated=0,
    )
    return Expression(
        n_cells=len(rows),
        kind="linear",
        source="corpus",
        findings=(),
        resolution=resolution,
        table=table,
        rows=MatrixRows(_CorpusMatrix(corpus, np.asarray(rows, dtype=np.int64)), "the corpus"),
    )


class _CorpusMatrix:
    """Matrix interface of on-disk rows of a corpus."""

    dtype = np.dtype(np.float32)

    def __init__(self, corpus: Corpus, rows: NDArray[np.int64]) -> None:
        self._corpus = corpus
        self._rows = rows
        self.shape = (len(rows), corpus.n_genes)

    def __getitem__(self, index: Any) -> sparse.csr_matrix:
        return self._corpus.rows(self._rows[index])


def read_reliability(run_dir: Path) -> pd.DataFrame:
    """Mean reliability of each pair over the epochs of a run (E9); index ``row``, columns ``study``, ``trust``.

    ``trust`` is in [0, 1], NaN for a pair that was never used.

    Raises
    ------
    InputError
        If the run has no table, or it is damaged.
    """
    path = run_dir / RELIABILITY_FILE
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: the run is not finished, or it was trained without reliability weights "
            "(objective: {reliability: {use: true}})."
        )
    try:
        table = pq.read_table(path).to_pandas()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}.") from None
    epochs = [name for name in table if str(name).startswith("epoch_")]
    if not {"row", "study"} <= set(table) or not epochs:
        raise InputError(f"{path} has no columns row, study, epoch_1, ...: it is not a reliability table. Train again.")
    values = table[epochs].to_numpy(dtype=np.float64)
    visited = ~np.isnan(values)
    mean = np.where(visited, values, 0).sum(axis=1) / np.where(visited.any(axis=1), visited.sum(axis=1), np.nan)
    return pd.DataFrame({"study": table["study"].astype(str).to_numpy(), "trust": mean}, index=table["row"].to_numpy())


def use_run_reliability(table: pd.DataFrame, reliability: pd.DataFrame, run_dir: Path) -> pd.DataFrame:
    """Replace the computed trust by that of a training run; NaN for cells outside its training data.

    Raises
    ------
    InputError
        If the run was trained on another corpus.
    """
    rows = table["row"].to_numpy()
    in_run = np.isin(rows, reliability.index.to_numpy())
    run_studies = reliability["study"].reindex(rows[in_run]).to_numpy()
    if not in_run.any() or bool(np.any(run_studies != table["study"].to_numpy()[in_run])):
        raise InputError(
            f"{run_dir} was trained on another corpus: its table has other rows. Pass the corpus of the run."
        )
    updated = table.copy()
    updated["trust"] = reliability["trust"].reindex(rows).to_numpy()
    updated["doubtful"] = (updated["trust"] < TRUST_THRESHOLD) & (updated["relation"] == "other")
    return updated


@dataclass(frozen=True)
class CorpusAudit:
    """Result of label error detection for a corpus."""

    table: pd.DataFrame
    """Columns of `okrcell.tasks.audit_study.StudyAudit.table`, with ``row`` of the corpus first, ascending."""
    text_weights: dict[str, float]
    """Chosen text weight of each study; the classifier has weight 1."""
    skipped: dict[str, str]
    """Skipped studies, with the reason."""
    groups: pd.DataFrame
    """Columns of `okrcell.tasks.label_contradictions.group_table`, with ``study`` first; the most contradicted groups first."""
    remarks: tuple[str, ...]
    """How labels were read that are no names of known cell types."""


def audit_corpus(
    path: str | Path,
    model: Embedder,
    *,
    label_key: str = "cell_type",
    batch_key: str | None = None,
    settings: AuditSettings | None = None,
    progress: Progress | None = None,
) -> CorpusAudit:
    """Detect label errors of a corpus; each study is audited by itself.

    Memory is bounded by the vectors and probabilities of one study.

    Parameters
    ----------
    path
        Folder of the corpus.
    model
        Model that embeds cells and label texts.
    label_key
        Column of the labels.
    batch_key
        Column of donors or batches (see `audit_study`).
    settings
        Settings of label error detection.
    progress
        Called with the number of finished cells, their total, and the study.

    Raises
    ------
    InputError
        If there is no corpus, or no study has two labels.
    """
    corpus = Corpus.open(path, GeneTable.bundled())
    studies = corpus.obs["study"].astype(str).to_numpy()
    tables, text_weights, skipped = list[pd.DataFrame](), dict[str, float](), dict[str, str]()
    group_tables, remarks = list[pd.DataFrame](), dict[str, None]()
    n_done = 0
    for study_name in dict.fromkeys(studies.tolist()):
        rows = np.flatnonzero(studies == study_name)
        obs = corpus.obs.iloc[rows].set_axis([str(row) for row in rows])
        labels = read_study_labels(obs, label_key)
        if len(labels.names) < 2:
            skipped[study_name] = (
                f"all are '{labels.author_names[0]}'" if labels.author_names else "no cell has a label"
            )
        else:
            study_audit = audit_study(
                obs,
                corpus_expression(corpus, rows),
                model,
                label_key=label_key,
                batch_key=batch_key,
                settings=settings,
                progress=None if progress is None else _offset_progress(progress, n_done, len(corpus), study_name),
            )
            text_weights[study_name] = study_audit.audit.text_weight
            remarks |= dict.fromkeys(study_audit.labels.remarks)
            groups = study_audit.group_table()
            groups.insert(0, "study", study_name)
            group_tables.append(groups)
            table = study_audit.table().drop(columns="cell")
            table.insert(0, "row", rows)
            tables.append(table)
        n_done += len(rows)
    if not tables:
        raise InputError(f"No study of {path} has two labels in '{label_key}', so no label error can be detected.")
    return CorpusAudit(
        pd.concat(tables).sort_values("row", ignore_index=True),
        text_weights,
        skipped,
        sort_groups(pd.concat(group_tables)),
        limit_remarks(list(remarks)),
    )


def _offset_progress(progress: Progress, offset: int, total: int, study: str) -> Callable[[int, int], None]:
    return lambda done, _: progress(offset + done, total, study)
