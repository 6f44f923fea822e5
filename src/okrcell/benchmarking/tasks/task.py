"""Tasks of the benchmark by name, and the protocol of a task module."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from okrcell.benchmarking.questions.outcome import Item, ItemResult

TASKS = (
    "clustering",
    "integration",
    "annotation",
    "few_shot",
    "zero_shot",
    "unseen_types",
    "open_types",
    "unknown",
    "retrieval",
    "robustness",
)
"""Names of the task modules in this folder, in the order of the report."""
IMPLEMENTED_BY = {"robustness": "zero_shot", "unknown": "zero_shot", "unseen_types": "zero_shot"}
"""Tasks that use a method's implementation of another task."""


MAIN_METRICS = {
    "clustering": "avg_bio",
    "integration": "avg_bio",
    "annotation": "macro_f1",
    "few_shot": "macro_f1",
    "zero_shot": "macro_f1",
    "unseen_types": "macro_f1",
    "open_types": "ontology_within_one_step",
    "unknown": "auroc_unknown",
    "retrieval": "type_recall_1",
    "robustness": "accuracy",
}
"""Main metric of each task, shown where there is room for one."""


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
            `okrcell.benchmarking.method`).
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
        Names of cards; see `okrcell.benchmarking.sets.card.cards_of`.
        """
        ...


def get_task(task: str) -> Task:
    """Return the module of a task."""
    return cast(Task, import_module(f"okrcell.benchmarking.questions.{task}"))
