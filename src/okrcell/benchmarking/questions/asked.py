"""The tasks by name."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from okrcell.benchmarking.questions.outcome import Asking, Outcome

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
"""A module of this folder each, in the order of the report."""
ANSWERED_BY = {"robustness": "zero_shot", "unknown": "zero_shot", "unseen_types": "zero_shot"}
"""Tasks that ask a method for another task's answer."""


HEADLINE = {
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
"""The measure that stands for a task where there is room for one."""


class Question(Protocol):
    """What a module of this folder holds."""

    SETS: tuple[str, ...]
    """Names of the sets that are asked about, see `sets_of`."""

    def askings(self, name: str, seeds: Sequence[int]) -> list[Asking]:
        """List what is asked on a set, in this order."""
        ...

    def ask(self, answer: Any, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
        """Ask a method, and score its answers one after another."""
        ...

    def sets_of(self, name: str) -> tuple[str, ...]:
        """Name the cards or joined cards that an entry of ``SETS`` is made of."""
        ...


def question(task: str) -> Question:
    """Return the module of a task."""
    return cast(Question, import_module(f"okrcell.benchmarking.questions.{task}"))
