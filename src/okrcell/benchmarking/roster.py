"""Who takes part, and who cannot."""

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
"""Instead of names: every method, the slow ones too."""
UNSEEN = "unseen_types"
"""The task that only those are asked who have never seen the types in question."""
OURS = "okrcell"
"""The method of which further checkpoints are made."""


@dataclass(frozen=True)
class Roster:
    """Methods by name, in the order of the report."""

    methods: Mapping[str, Method]
    absent: Mapping[str, str]
    """Method that was asked for to the reason why it cannot take part, with what to do."""


def chosen(
    names: Sequence[str],
    models: Mapping[str, str],
    data: Path | None,
    knowledge: Path | None,
    known: Mapping[str, Method] = METHODS,
) -> Roster:
    """Choose methods by name; none chooses all that are not slow, and all further models.

    Parameters
    ----------
    models
        Name to the folder of a further checkpoint, used as `OURS` uses its own.

    Raises
    ------
    SettingsError
        If there is no such method.
    """
    everyone = dict(known)
    for name, folder in models.items():
        if name in known:
            raise SettingsError(f"--models gives a checkpoint the name {name}, which is a method's; name it otherwise.")
        everyone[name] = replace(known[OURS], title=name, kind="control", model=str(folder))
    for name in names:
        if name not in everyone and name != ALL:
            raise SettingsError(f"There is no method '{name}'; {_near(name, everyone, 'known are')}")
    wanted = [
        name
        for name, method in everyone.items()
        if name in names or ALL in names or (not names and not method.slow) or name in models
    ]
    absent = {name: why for name in wanted if (why := _missing(everyone[name], data, knowledge))}
    return Roster({name: everyone[name] for name in wanted if name not in absent}, absent)


def check_again(again: Sequence[str], roster: Roster) -> None:
    """Refuse to ask anyone again who takes no part: the former answers would go and no new ones come.

    Raises
    ------
    SettingsError
        If a name is not among the methods that take part.
    """
    for name in again:
        if name in roster.absent:
            raise SettingsError(f"--again names {name}, which cannot take part: {roster.absent[name]}.")
        if name not in roster.methods:
            raise SettingsError(
                f"--again names {name}, which takes no part; {_near(name, roster.methods, 'those that do are')} "
                "Who takes part is said by --methods and --models."
            )


def answers(method: Method, task: str) -> str | None:
    """Return what answers a task, None if the method does not."""
    return method.answers.get(ANSWERED_BY.get(task, task))


def _near(name: str, known: Mapping[str, Method], otherwise: str) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else f"{otherwise}: {', '.join(known) or 'none'}."


def kept_out(method: Method, task: str) -> str:
    """Say why a method that can answer a task is not asked all the same, "" if it is."""
    return unseen_types.kept_out(method) if task == UNSEEN else ""


def _missing(method: Method, data: Path | None, knowledge: Path | None) -> str:
    packages = [name for name in method.packages if find_spec(name) is None]
    if packages:
        return f"{', '.join(packages)} is not installed: pip install 'okrcell[{method.extra}]'"
    given = {"data": data, "knowledge": knowledge}
    folders = [name for name in method.needs if given[name] is None]
    return f"it needs a folder: name it with --{folders[0]}" if folders else ""
