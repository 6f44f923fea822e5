"""Label error detection for a corpus, study by study."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from okrcell.data.corpus import Corpus
from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.tasks.label_errors import AuditSettings
from okrcell.tasks.audit_study import audit_study
from okrcell.tasks.auditing.corpus_cells import corpus_expression
from okrcell.tasks.labels import read_study_labels

Progress = Callable[[int, int, str], None]
"""Callback with the number of finished cells, their total, and the study."""


@dataclass(frozen=True)
class CorpusAudit:
    """Result of label error detection for a corpus."""

    table: pd.DataFrame
    """Columns of `okrcell.tasks.audit_study.StudyAudit.table`, with ``row`` of the corpus first, ascending."""
    text_weights: dict[str, float]
    """Chosen text weight of each study; the classifier has weight 1."""
    skipped: dict[str, str]
    """Skipped studies, with the reason."""


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
            table = study_audit.table().drop(columns="cell")
            table.insert(0, "row", rows)
            tables.append(table)
        n_done += len(rows)
    if not tables:
        raise InputError(f"No study of {path} has two labels in '{label_key}', so no label error can be detected.")
    return CorpusAudit(pd.concat(tables).sort_values("row", ignore_index=True), text_weights, skipped)


def _offset_progress(progress: Progress, offset: int, total: int, study: str) -> Callable[[int, int], None]:
    return lambda done, _: progress(offset + done, total, study)
