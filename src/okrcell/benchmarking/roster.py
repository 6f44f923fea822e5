"""Select the methods of a benchmark; report why a method is not available."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from okrcell.benchmarking.method import Method
from okrcell.benchmarking.methods import METHODS
from okrcell.benchmarking.tasks import unseen_types
from okrcell.benchmarking.tasks.task import IMPLEMENTED_BY
from okrcell.errors import SettingsError

ALL_METHODS = "all"
"""Selects every method, including the slow ones."""
UNSEEN_TYPES = "unseen_types"
"""Task for methods that were not trained on cells of the evaluated types."""
OKRCELL = "okrcell"
"""Method that further checkpoints are evaluated with."""


@dataclass(frozen=True)
class MethodSelection:
    """Selected methods by name, in the order of the report."""

    methods: Mapping[str, Method]
    unavailable: Mapping[str, str]
    """Method that was selected but is not available, to the reason and what to do."""


def select_methods(
    names: Sequence[str],
    models: Mapping[str, str],
    data: Path | None,
    knowledge: Path | None,
    registry: Mapping[str, Method] = METHODS,
) -> MethodSelection:
    """Select methods by name. Without names, all that are not slow are selected, and all further models.

    Parameters
    ----------
    names
        Names of methods, or `ALL_METHODS`.
    models
        Name to the folder of a further checkpoint, evaluated like that of `OKRCELL`.
    data, knowledge
        Folders that some methods need; see `TuningMethod.requires`.
    registry
        Registry of methods.

    Raises
    ------
    SettingsError
        If a name is unknown, or a model has the name of a method.
    """
    all_methods = dict(registry)
    for name, folder in models.items():
        if name in registry:
            raise SettingsError(f"--models names a checkpoint {name}, which is the name of a method; use another name.")
        all_methods[name] = replace(registry[OKRCELL], title=name, kind="control", model=str(folder))
    for name in names:
        if name not in all_methods and name != ALL_METHODS:
            raise SettingsError(f"There is no method '{name}'; {_suggest(name, all_methods, 'methods are')}")
    selected = [
        name
        for name, method in all_methods.items()
        if name in names or ALL_METHODS in names or (not names and not method.slow) or name in models
    ]
    unavailable = {
        name: reason for name in selected if (reason := _unavailable_reason(all_methods[name], data, knowledge))
    }
    return MethodSelection({name: all_methods[name] for name in selected if name not in unavailable}, unavailable)


def check_again(again: Sequence[str], selection: MethodSelection) -> None:
    """Check that the methods of ``again`` are part of the run; otherwise their scores would be removed and not replaced.

    Raises
    ------
    SettingsError
        If a name is not among the selected, available methods.
    """
    for name in again:
        if name in selection.unavailable:
            raise SettingsError(f"--again names {name}, which is not available: {selection.unavailable[name]}.")
        if name not in selection.methods:
            raise SettingsError(
                f"--again names {name}, which is not part of the run; {_suggest(name, selection.methods, 'its methods are')} "
                "Select methods with --methods and --models."
            )


def implementation_of(method: Method, task: str) -> str | None:
    """Return the method's implementation of a task, None if it has none."""
    return method.implementations.get(IMPLEMENTED_BY.get(task, task))


def _suggest(name: str, choices: Mapping[str, Method], prefix: str) -> str:
    matches = get_close_matches(name, list(choices), n=1)
    return f"did you mean '{matches[0]}'?" if matches else f"{prefix}: {', '.join(choices) or 'none'}."


def exclusion_reason(method: Method, task: str) -> str:
    """Reason why a method is excluded from a task that it implements, "" if it is not."""
    return unseen_types.exclusion_reason(method) if task == UNSEEN_TYPES else ""


def _unavailable_reason(method: Method, data: Path | None, knowledge: Path | None) -> str:
    packages = [name for name in method.packages if find_spec(name) is None]
    if packages:
        return f"{', '.join(packages)} is not installed: pip install 'okrcell[{method.extra}]'"
    available = {"data": data, "knowledge": knowledge}
    folders = [name for name in method.requires if available[name] is None]
    return f"it needs a folder: give it with --{folders[0]}" if folders else ""
