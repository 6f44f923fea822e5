"""Verbs about knowledge files: what there is, fetch it, and where it comes from."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import bar
from okrcell.errors import InputError

if TYPE_CHECKING:
    from okrcell.knowledge.snapshots import KnowledgeFiles

knowledge = App(
    name="knowledge", help="Knowledge files: what there is, fetch it, where it comes from.", help_format="plaintext"
)
app.command(knowledge)

Place = Annotated[
    str | None,
    Parameter(name="--knowledge", help="Folder or URL of the knowledge files; also OKRCELL_KNOWLEDGE."),
]


@knowledge.command(name="list")
def list_sources(*, place: Place = None) -> None:
    """List the sources, what they tell of, and whether their files are here."""
    from okrcell.knowledge.snapshots import KnowledgeFiles
    from okrcell.knowledge.sources.registry import SOURCES

    held = KnowledgeFiles(place)
    for name, kind in SOURCES.items():
        states = {_state(held, file) for file in kind.files} or {"comes with okrcell"}
        state = next(state for state in (*_STATES, "comes with okrcell") if state in states)
        print(f"{name:<16}{state:<20}{kind.what}")
    print(f"\nFiles are looked for in {held.folder}.")


@knowledge.command
def fetch(
    *names: Annotated[str, Parameter(help="Sources or files; by default all that can be fetched.")],
    place: Place = None,
) -> None:
    """Fetch knowledge files into the cache; what came before a cut connection is kept, and each file is checked."""
    from okrcell.knowledge.snapshots import KnowledgeFiles, snapshots

    held = KnowledgeFiles(place)
    if not held.is_cache:
        raise InputError(f"{held.folder} is a folder of yours: it is read as it is, and nothing is fetched into it.")
    files = _files(names) if names else [file for file in snapshots() if held.address(file)]
    if not files:
        print("Nothing to fetch: that comes with okrcell.")
        return
    with bar("Fetching") as step:
        for file in files:
            held.fetch(file, progress=step)
    for file in files:
        print(f"{held.file(file).path.stat().st_size:>12,} bytes  {file}")
    print(f"Have {len(files)} {'file' if len(files) == 1 else 'files'} in {held.folder}.")
    left = [file for file in snapshots() if file not in files and not held.holds(file)]
    if left and not names:
        print(
            f"Not fetched, for they are cleaned copies published nowhere: {', '.join(left)}. "
            "A folder or URL that has them can be named by --knowledge.",
            file=sys.stderr,
        )


@knowledge.command
def info(name: str, *, place: Place = None) -> None:
    """Tell of a source or a file: version, licence, fingerprint, where it comes from and where it is.

    Parameters
    ----------
    name
        A source or a file, as ``okrcell knowledge list`` and ``fetch`` name them.
    """
    from okrcell.knowledge.snapshots import KnowledgeFiles, snapshots
    from okrcell.knowledge.sources.marker_tables import LEAKING
    from okrcell.knowledge.sources.registry import SOURCES

    held = KnowledgeFiles(place)
    if name in SOURCES:
        print(f"{name}: {SOURCES[name].what}")
    if name == "ontologies":
        _tell_ontologies()
    for file in _files([name]):
        told, here = snapshots()[file], held.holds(file)
        print(f"{file}: {told.what}")
        print(f"  version      {held.file(file).version if here else told.version}")
        print(f"  licence      {told.licence}")
        print(f"  origin       {told.origin}")
        print(
            f"  published at {told.published.url if told.published else 'nowhere as this very file (a cleaned copy)'}"
        )
        print(f"  declared     {told.bytes:,} bytes, sha256 {told.sha256}")
        print(f"  here         {held.folder / file if here else held.missing(file)}")
    if name == "accordion":
        print(f"  left out     {', '.join(sorted(LEAKING))}: made from atlases that benchmarks use, unless asked for")


_STATES = ("missing", "can be fetched", "here")
"""The first that holds of any file of a source tells of the source."""


def _state(held: "KnowledgeFiles", file: str) -> str:
    return "here" if held.holds(file) else "can be fetched" if held.address(file) else "missing"


def _files(names: "tuple[str, ...] | list[str]") -> list[str]:
    from okrcell.knowledge.snapshots import snapshots
    from okrcell.knowledge.sources.registry import SOURCES

    files: list[str] = []
    for name in names:
        if name not in SOURCES and name not in snapshots():
            known = ", ".join((*SOURCES, *snapshots()))
            raise InputError(f"There is no knowledge source or file '{name}'; known are: {known}.")
        files += SOURCES[name].files if name in SOURCES else (name,)
    return list(dict.fromkeys(files))


def _tell_ontologies() -> None:
    from okrcell.knowledge.ontology import ONTOLOGIES, ontology

    for prefix, (name, licence) in ONTOLOGIES.items():
        print(f"  {prefix:<10} {name}, {ontology(prefix).snapshot}, {licence}")
