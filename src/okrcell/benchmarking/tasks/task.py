"""Tasks of the benchmark by name, and the protocol of a task module."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from okrcell.benchmarking.resources import ResourceUsage

TASKS: Mapping[str, str] = {
    "clustering": "clustering",
    "integration": "integration",
    "annotation": "annotation",
    "few_shot": "few_shot",
    "zero_shot": "zero_shot",
    "free_text": "free_text",
    "unseen_types": "unseen_types",
    "open_types": "open_vocabulary",
    "unknown": "rejection",
    "retrieval": "retrieval",
    "robustness": "robustness",
    "annotation_dropout": "annotation_dropout",
}
"""Task to its module in this folder, in the order of the report."""
IMPLEMENTED_BY = {
    "robustness": "zero_shot",
    "unknown": "zero_shot",
    "unseen_types": "zero_shot",
    "annotation_dropout": "annotation",
}
"""Tasks that use a method's implementation of another task."""
MAIN_METRICS = {
    "clustering": "avg_bio",
    "integration": "avg_bio",
    "annotation": "macro_f1",
    "few_shot": "macro_f1",
    "zero_shot": "macro_f1",
    "free_text": "accuracy",
    "unseen_types": "macro_f1",
    "open_types": "ontology_within_one_step",
    "unknown": "auroc_unknown",
    "retrieval": "type_recall_1",
    "robustness": "accuracy",
    "annotation_dropout": "accuracy",
}
"""Main metric of each task, shown where there is room for one."""


@dataclass(frozen=True)
class Item:
    """One item of a task: one line of the records before it is scored."""

    case: str
    """Condition that varies within a data set, such as "K = 5" or "dropout 30 %"; "" if none does."""
    seed: int


@dataclass(frozen=True)
class ItemResult:
    """Scores of one item."""

    item: Item
    scores: Mapping[str, float]
    """Metric to its value; NaN if it is not defined."""
    usage: ResourceUsage
    cells: int
    """Number of scored cells."""
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further values for figures and tables, as JSON types."""


class Task(Protocol):
    """Protocol of a task: implemented by the modules of this folder."""

    SETS: tuple[str, ...]
    """Names of the data sets of the task; see `datasets_of`."""

    def items(self, name: str, seeds: Sequence[int]) -> list[Item]:
        """List the items of a data set.

        Parameters
        ----------
        name
            Entry of ``SETS``.
        seeds
            Seeds of the benchmark.

        Returns
        -------
        Items (case and seed) in the order in which they are evaluated; each becomes one line of the records.
        """
        ...

    def evaluate(self, method: Any, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
        """Run a method on a data set and score its predictions.

        Parameters
        ----------
        method
            Implementation of the method: a callable with the signature of the task's protocol (see
            `okrcell.benchmarking.methods`).
        name
            Entry of ``SETS``.
        data
            Folder of the data sets; None downloads files whose cards have a URL.
        pending
            Items of `items` that have no score yet.

        Yields
        ------
        One `ItemResult` for each item, as soon as it is scored.

        Raises
        ------
        InputError
            If a file of the data set is missing, damaged or does not match its card.

        Notes
        -----
        Only the call of ``method`` is timed. It sees cells without labels, apart from those that the task provides.
        """
        ...

    def datasets_of(self, name: str) -> tuple[str, ...]:
        """List the cards or joined cards that an entry of ``SETS`` consists of.

        Parameters
        ----------
        name
            Entry of ``SETS``.

        Returns
        -------
        Names of cards; see `okrcell.benchmarking.datasets.datasets.cards_of`.
        """
        ...


def get_task(task: str) -> Task:
    """Return the module of a task."""
    return cast(Task, import_module(f"okrcell.benchmarking.tasks.{TASKS[task]}"))
