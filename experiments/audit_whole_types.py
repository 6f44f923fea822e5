"""Detection of names that are wrong for a whole group of cells (`python experiments/audit.py --whole-types`).

Two groups of a study exchange their names, or a group gets the name of a type that another study has. The groups with a wrong
name are compared with all groups of the untouched studies by their contradiction (`okrcell.tasks.label_contradictions`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from okrcell.cells.expression import Expression, read_expression
from okrcell.cells.io import open_cells
from okrcell.errors import OkrcellError
from okrcell.model.embedder import Embedder
from okrcell.ontology.ontology import ontology
from okrcell.ontology.relations import related
from okrcell.tasks.label_contradictions import (
    MAX_CELLS_PER_GROUP,
    MIN_CELLS,
    OTHER_LINEAGE,
    SAME_LINEAGE,
    LabelGroups,
    audit_groups,
    same_lineage,
)
from okrcell.tasks.labels import read_study_labels

CHANGES = ("exchanged names", "name of an absent type")
Row = dict[str, Any]


def read_label_groups(file: Path) -> tuple[Expression, LabelGroups] | None:
    """Read at most `MAX_CELLS_PER_GROUP` cells of each Cell Ontology type of a file; None if it has no two of them."""
    try:
        adata = open_cells(file)
        labels = read_study_labels(pd.DataFrame(adata.obs))
    except OkrcellError:
        return None
    indices = [np.flatnonzero(labels.label_idx == i) for i, term_id in enumerate(labels.ids) if term_id]
    rows = [
        index[np.linspace(0, len(index) - 1, MAX_CELLS_PER_GROUP).astype(int)]
        for index in indices
        if len(index) >= MIN_CELLS
    ]
    if len(rows) < 2:
        return None
    selected = np.unique(np.concatenate(rows))
    groups = LabelGroups(labels.label_idx[selected], labels.names, labels.ids)
    return read_expression(adata[selected].to_memory()), groups


def present_types(groups: LabelGroups) -> list[str]:
    """Types of the groups that are large enough to be judged."""
    counts = np.bincount(groups.group_idx[groups.group_idx >= 0], minlength=len(groups.labels))
    return [term_id for term_id, count in zip(groups.term_ids, counts, strict=True) if term_id and count >= MIN_CELLS]


def wrong_names(types: Sequence[str], absent: Sequence[str], seed: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Draw one change of each kind and relation: the kind, and the new name of each changed type."""
    rng = np.random.default_rng(seed)
    cell_ontology = ontology("CL")
    pairs = [(first, second) for first in types for second in types if first < second]
    foreign = [name for name in absent if not any(name in cell_ontology.overlapping(term_id) for term_id in types)]
    for relation in (SAME_LINEAGE, OTHER_LINEAGE):
        for kind, options in (
            (CHANGES[0], [pair for pair in pairs if pair[1] not in cell_ontology.overlapping(pair[0])]),
            (CHANGES[1], [(term_id, name) for term_id in types for name in foreign]),
        ):
            fitting = [pair for pair in options if same_lineage(*pair) == (relation == SAME_LINEAGE)]
            if fitting:
                first, second = fitting[rng.integers(len(fitting))]
                yield kind, {first: second} | ({second: first} if kind == CHANGES[0] else {})


def measure_study(
    expression: Expression, groups: LabelGroups, absent: Sequence[str], model: Embedder, seeds: int
) -> Iterator[Row]:
    """Audit the groups of a study with their own names and with wrong names; one row per group of interest."""
    yield from _group_rows(expression, groups, {}, model, {"change": "none", "seed": 0})
    for seed in range(seeds):
        for kind, names in wrong_names(present_types(groups), absent, seed):
            yield from _group_rows(expression, groups, names, model, {"change": kind, "seed": seed})


def _group_rows(
    expression: Expression, groups: LabelGroups, names: dict[str, str], model: Embedder, facts: Row
) -> Iterator[Row]:
    changed = replace(groups, term_ids=tuple(names.get(term_id, term_id) for term_id in groups.term_ids))
    for true_id, audit in zip(groups.term_ids, audit_groups(expression, changed, model), strict=True):
        if audit.remark:
            continue
        is_wrong = true_id in names
        yield facts | {
            "type": true_id,
            "name": audit.term_id,
            "wrong": is_wrong,
            "relation": (SAME_LINEAGE if same_lineage(true_id, audit.term_id) else OTHER_LINEAGE) if is_wrong else "",
            "contradiction": round(audit.contradiction, 4),
            "contradicted": audit.is_contradicted,
            "rival": audit.rival_id,
            "rival_is_related": bool(related([audit.rival_id], [true_id])[0, 0]),
        }


def measure(files: Sequence[Path], held_out: Sequence[str], model: Embedder, seeds: int) -> list[Row]:
    """Measure all files; the names of absent types are those of the other files."""
    studies = {file: read for file in files if (read := read_label_groups(file)) is not None}
    pool = sorted({term_id for _, groups in studies.values() for term_id in present_types(groups)})
    rows = list[Row]()
    for file, (expression, groups) in studies.items():
        part = "held out" if file.stem in held_out else "evaluate" if file.parent.name == "evaluate" else "learned from"
        study_rows = [
            {"study": file.stem, "part": part, **row} for row in measure_study(expression, groups, pool, model, seeds)
        ]
        print(f"{file.stem}: {sum(row['change'] == 'none' for row in study_rows)} labels judged", flush=True)
        rows += study_rows
    return rows


def print_whole_types(rows: Sequence[Row]) -> None:
    """Print AUROC and recall of wrong names, and false alarms of right names in untouched and in changed studies."""
    table = pd.DataFrame(rows)
    for part, of_part in table.groupby("part"):
        right = of_part[of_part["change"] == "none"]
        others = of_part[(of_part["change"] != "none") & ~of_part["wrong"]]
        print(f"\n**{part}**: {len(right)} right labels of {right['study'].nunique()} studies; contradicted "
              f"{right['contradicted'].mean():.3f}, in changed studies {others['contradicted'].mean():.3f}\n")  # fmt: skip
        print("| wrong name | relation | studies | labels | AUROC | contradicted | rival is the type or related |")
        print("|---|---|---:|---:|---:|---:|---:|")
        for (kind, relation), wrong in of_part[of_part["wrong"]].groupby(["change", "relation"]):
            scores = [*right["contradiction"], *wrong["contradiction"]]
            auroc = roc_auc_score([0] * len(right) + [1] * len(wrong), scores)
            named = wrong.loc[wrong["contradicted"], "rival_is_related"].mean()
            print(f"| {kind} | {relation} | {wrong['study'].nunique()} | {len(wrong)} | {auroc:.3f} | "
                  f"{wrong['contradicted'].mean():.3f} | {named:.3f} |")  # fmt: skip
