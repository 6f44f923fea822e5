"""Select the methods of a benchmark; report why a method is not available."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from okrcell.benchmarking.method import Method
from okrcell.benchmarking.methods import METHODS
from okrcell.benchmarking.questions import unseen_types
from okrcell.benchmarking.questions.asked import ANSWERED_BY
from okrcell.errors import SettingsError

ALL = "all"
"""Selects every method, including the slow ones."""
UNSEEN = "unseen_types"
"""Task for methods that were not trained on cells of the evaluated types."""
OURS = "okrcell"
"""Method that further checkpoints are evaluated with."""


@dataclass(frozen=True)
class Roster:
    """Selected methods by name, in the order of the report."""

    methods: Mapping[str, Method]
    absent: Mapping[str, str]
    """Method that was selected but is not available, to the reason and what to do."""


def chosen(
    names: Sequence[str],
    models: Mapping[str, str],
    data: Path | None,
    knowledge: Path | None,
    known: Mapping[str, Method] = METHODS,
) -> Roster:
    """Select methods by name. Without names, all that are not slow are selected, and all further models.

    Parameters
    ----------
    names
        Names of methods, or `ALL`.
    models
        Name to the folder of a further checkpoint, evaluated like that of `OURS`.
    data, knowledge
        Folders that some methods need; see `Method.needs`.
    known
        Registry of methods.

    Raises
    ------
    SettingsError
        If a name is unknown, or a model has the name of a method.
    """
    everyone = dict(known)
    for name, folder in models.items():
        if name in known:
            raise SettingsError(f"--models names a checkpoint {name}, which is the name of a method; use another name.")
        everyone[name] = replace(known[OURS], title=name, kind="control", model=str(folder))
    for name in names:
        if name not in everyone and name != ALL:
            raise SettingsError(f"There is no method '{name}'; {_near(name, everyone, 'methods are')}")
    wanted = [
        name
        for name, method in everyone.items()
        if name in names or ALL in names or (not names and not method.slow) or name in models
    ]
    absent = {name: why for name in wanted if (why := _missing(everyone[name], data, knowledge))}
    return Roster({name: everyone[name] for name in wanted if name not in absent}, absent)


def check_again(again: Sequence[str], roster: Roster) -> None:
    """Check that the methods of ``again`` are part of the run; otherwise their scores would be removed and not replaced.

    Raises
    ------
    SettingsError
        If a name is not among the selected, available methods.
    """
    for name in again:
        if name in roster.absent:
            raise SettingsError(f"--again names {name}, which is not available: {roster.absent[name]}.")
        if name not in roster.methods:
            raise SettingsError(
                f"--again names {name}, which is not part of the run; {_near(name, roster.methods, 'its methods are')} "
                "Select methods with --methods and --models."
            )


def answers(method: Method, task: str) -> str | None:
    """Return the method's implementation of a task, None if it has none."""
    return method.answers.get(ANSWERED_BY.get(task, task))


def _near(name: str, known: Mapping[str, Method], otherwise: str) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else f"{otherwise}: {', '.join(known) or 'none'}."


def kept_out(method: Method, task: str) -> str:
    """Reason why a method is excluded from a task that it implements, "" if it is not."""
    return unseen_types.kept_out(method) if task == UNSEEN else ""


def _missing(method: Method, data: Path | None, knowledge: Path | None) -> str:
    packages = [name for name in method.packages if find_spec(name) is None]
    if packages:
        return f"{', '.join(packages)} is not installed: pip install 'okrcell[{method.extra}]'"
    given = {"data": data, "knowledge": knowledge}
    folders = [name for name in method.needs if given[name] is None]
    return f"it needs a folder: give it with --{folders[0]}" if folders else ""
