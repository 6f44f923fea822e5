"""Look over the labels of a corpus, study by study."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from okrcell.cells.corpus import Corpus
from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.tasks.audit import AuditSettings
from okrcell.tasks.auditing.audit_study import audit_study
from okrcell.tasks.auditing.corpus_cells import cells_of
from okrcell.tasks.auditing.study_labels import study_labels

Progress = Callable[[int, int, str], None]
"""Told how many cells of how many are done, and of which study."""


@dataclass(frozen=True)
class CorpusAudit:
    """What is thought of each label of a corpus."""

    table: pd.DataFrame
    """As `okrcell.tasks.auditing.audit_study.StudyAudit.table` has it, with ``row`` of the corpus, ascending."""
    weight_of_words: dict[str, float]
    """For each study, what the words counted for beside 1 for the other cells."""
    left_out: dict[str, str]
    """Studies of which nothing can be said, with the reason."""


def audit_corpus(
    path: str | Path,
    model: Embedder,
    *,
    label_key: str = "cell_type",
    batch_key: str | None = None,
    settings: AuditSettings | None = None,
    progress: Progress | None = None,
) -> CorpusAudit:
    """Look over all labels of a corpus; a study's labels are compared with each other only.

    One study after the other is in memory: its vectors and its probabilities.

    Raises
    ------
    InputError
        If there is no corpus, or no study has two labels.
    """
    corpus = Corpus.open(path, GeneTable.bundled())
    study = corpus.obs["study"].astype(str).to_numpy()
    tables, weights, left_out = list[pd.DataFrame](), dict[str, float](), dict[str, str]()
    done = 0
    for name in dict.fromkeys(study.tolist()):
        rows = np.flatnonzero(study == name)
        obs = corpus.obs.iloc[rows].set_axis([str(row) for row in rows])
        labels = study_labels(obs, label_key)
        if len(labels.names) < 2:
            left_out[name] = f"all are '{labels.words[0]}'" if labels.words else "no cell has a label"
        else:
            found = audit_study(
                obs,
                cells_of(corpus, rows),
                model,
                label_key=label_key,
                batch_key=batch_key,
                settings=settings,
                progress=None if progress is None else _told(progress, done, len(corpus), name),
            )
            weights[name] = found.audit.weight_of_words
            table = found.table().drop(columns="cell")
            table.insert(0, "row", rows)
            tables.append(table)
        done += len(rows)
    if not tables:
        raise InputError(f"No study of {path} has two labels in '{label_key}', so there is nothing to compare.")
    return CorpusAudit(pd.concat(tables).sort_values("row", ignore_index=True), weights, left_out)


def _told(progress: Progress, before: int, of: int, study: str) -> Callable[[int, int], None]:
    return lambda done, _: progress(before + done, of, study)
