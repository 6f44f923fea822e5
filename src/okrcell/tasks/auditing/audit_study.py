"""Look over the labels of one study, from its cells to a table."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.cells.expression import Expression
from okrcell.errors import InputError
from okrcell.knowledge.ontology import ontology
from okrcell.model.embedder import Embedder, Progress
from okrcell.pairs.kinship import kinship
from okrcell.tasks.audit import Audit, AuditSettings, audit
from okrcell.tasks.auditing.directions import directions
from okrcell.tasks.auditing.study_labels import StudyLabels, as_written, study_labels

KEPT = ("study", "donor", "tissue")
"""What the table tells of a cell besides its labels, where it is known."""


@dataclass(frozen=True)
class StudyAudit:
    """What is thought of each label of a study."""

    labels: StudyLabels
    audit: Audit
    obs: pd.DataFrame = field(repr=False)
    label_key: str

    def table(self) -> pd.DataFrame:
        """Return a row for each cell, in their own order.

        Columns: ``cell`` (its name), ``study``, ``donor``, ``tissue`` where known; ``cell_type`` as it was written and
        ``cell_type_ontology_term_id``; ``trust`` in [0, 1]; ``doubtful``; ``likely_cell_type`` in the author's words and
        ``likely_cell_type_ontology_term_id``; ``likely_share``, its probability in [0, 1]; ``relation``, which the likely
        type is to the one written: same, broader, narrower or other ("" where nothing was written); ``agreement`` of the
        cell with the words of its label, in [0, 1].
        """
        found, given = self.audit, self.labels.given
        words, ids = (np.array([*some, ""], dtype=object) for some in (self.labels.words, self.labels.ids))
        table = pd.DataFrame({"cell": self.obs.index.astype(str)})
        for name in KEPT:
            table[name] = self.obs[name].astype(str).to_numpy() if name in self.obs else ""
        table["cell_type"] = as_written(self.obs, self.label_key)
        table["cell_type_ontology_term_id"] = ids[given]
        table["trust"] = found.trust
        table["doubtful"] = found.doubtful
        table["likely_cell_type"] = words[found.likely]
        table["likely_cell_type_ontology_term_id"] = ids[found.likely]
        table["likely_share"] = found.share
        table["relation"] = relations(self.labels.names)[given, found.likely]
        table["agreement"] = found.agreed
        return table


def audit_study(
    obs: pd.DataFrame,
    expression: Expression,
    model: Embedder,
    *,
    label_key: str = "cell_type",
    batch_key: str | None = None,
    settings: AuditSettings | None = None,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    progress: Progress | None = None,
) -> StudyAudit:
    """Look over the labels of cells that belong together.

    In memory are the cells' vectors and, three times, a probability for each cell and label; expression is read a
    block at a time.

    Parameters
    ----------
    batch_key
        Column of donors or batches: no cell is then judged by cells of its own.
    vectors
        The model's vectors of the cells, if they are there already.

    Raises
    ------
    InputError
        If there is no such column, or fewer than two labels.
    """
    labels = check_labels(obs, label_key, batch_key)
    groups = None if batch_key is None else obs[batch_key].astype(str).to_numpy(dtype=str)
    cells = model.embed_cells(expression, progress) if vectors is None else vectors
    own = directions(expression)
    found = audit(cells, own, labels.vectors(model), labels.given, kinship(labels.names), groups, settings)
    return StudyAudit(labels, found, obs, label_key)


def relations(names: tuple[str, ...]) -> NDArray[np.object_]:
    """Tell for each label (row) what another (column) is to it; the last row and column stand for no label.

    One that is a broader or narrower name in the Cell Ontology is no error: same, broader, narrower, other, "".
    """
    home = ontology("CL")
    above = [home.ancestors(name) if name.startswith("CL:") and home.current(name) else frozenset() for name in names]
    told = np.full((len(names) + 1, len(names) + 1), "", dtype=object)
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            word = "broader" if other in above[row] else "narrower" if name in above[column] else "other"
            told[row, column] = "same" if row == column else word
    return told


def check_labels(obs: pd.DataFrame, label_key: str, batch_key: str | None = None) -> StudyLabels:
    """Read the labels, and refuse what cannot be looked over, before any work is done.

    Raises
    ------
    InputError
        If there is no such column, or fewer than two labels.
    """
    if batch_key is not None and batch_key not in obs:
        raise InputError(f"obs has no column '{batch_key}'; it has {', '.join(map(str, obs)) or 'none'}.")
    labels = study_labels(obs, label_key)
    if not len(labels.names):
        raise InputError(
            f"No cell has a label: in '{label_key}' there are only placeholders such as 'unknown', or nothing. "
            "Name a column with labels: --label-key (label_key=...)."
        )
    if len(labels.names) == 1:
        raise InputError(
            f"All labelled cells are '{labels.words[0]}': with one label there is nothing that a cell could be instead. "
            "Name a column with several labels: --label-key (label_key=...)."
        )
    return labels
