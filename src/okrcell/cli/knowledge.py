"""Commands for knowledge files: list, fetch, info."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import bar
from okrcell.errors import InputError

if TYPE_CHECKING:
    from okrcell.knowledge.snapshots import KnowledgeFiles

knowledge = App(name="knowledge", help="List, download and inspect the knowledge files.", help_format="plaintext")
app.command(knowledge)

Place = Annotated[
    str | None,
    Parameter(
        name="--knowledge", help="Folder or URL of the knowledge files; default: OKRCELL_KNOWLEDGE, else the cache."
    ),
]


@knowledge.command(name="list")
def list_sources(*, place: Place = None) -> None:
    """List the knowledge sources, their content, and whether their files are present."""
    from okrcell.knowledge.snapshots import KnowledgeFiles
    from okrcell.knowledge.sources.registry import SOURCES

    held = KnowledgeFiles(place)
    for name, kind in SOURCES.items():
        states = {_state(held, file) for file in kind.files} or {"bundled"}
        state = next(state for state in (*_STATES, "bundled") if state in states)
        print(f"{name:<16}{state:<20}{kind.what}")
    print(f"\nFolder of the files: {held.folder}")


@knowledge.command
def fetch(
    *names: Annotated[str, Parameter(help="Sources or files; default: all that can be fetched.")],
    place: Place = None,
) -> None:
    """Download knowledge files into the cache and verify their checksums; interrupted downloads resume."""
    from okrcell.knowledge.snapshots import KnowledgeFiles, snapshots

    held = KnowledgeFiles(place)
    if not held.is_cache:
        raise InputError(
            f"{held.folder} is your own folder, which is only read. Leave --knowledge and OKRCELL_KNOWLEDGE out to fetch."
        )
    files = _files(names) if names else [file for file in snapshots() if held.address(file)]
    if not files:
        print("Nothing to fetch: these sources are bundled with okrcell.")
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
            f"Not fetched, because these cleaned copies are not published: {', '.join(left)}. "
            "Pass --knowledge with a folder or URL that has them.",
            file=sys.stderr,
        )


@knowledge.command
def info(name: str, *, place: Place = None) -> None:
    """Show version, licence, checksum, origin and location of a source or file.

    Parameters
    ----------
    name
        Name of a source or a file.
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
        print(f"  download     {told.published.url if told.published else 'not published (cleaned copy)'}")
        print(f"  declared     {told.bytes:,} bytes, sha256 {told.sha256}")
        print(f"  local file   {held.folder / file if here else held.missing(file)}")
    if name == "accordion":
        print(f"  excluded     {', '.join(sorted(LEAKING))}: derived from atlases used in benchmarks; opt-in")


_STATES = ("missing", "can be fetched", "present")
"""States of a file, worst first; the state of a source is the worst of its files."""


def _state(held: "KnowledgeFiles", file: str) -> str:
    return "present" if held.holds(file) else "can be fetched" if held.address(file) else "missing"


def _files(names: "tuple[str, ...] | list[str]") -> list[str]:
    from okrcell.knowledge.snapshots import snapshots
    from okrcell.knowledge.sources.registry import SOURCES

    files: list[str] = []
    for name in names:
        if name not in SOURCES and name not in snapshots():
            known = ", ".join((*SOURCES, *snapshots()))
            raise InputError(f"There is no knowledge source or file '{name}'. Available: {known}.")
        files += SOURCES[name].files if name in SOURCES else (name,)
    return list(dict.fromkeys(files))


def _tell_ontologies() -> None:
    from okrcell.knowledge.ontology import ONTOLOGIES, ontology

    for prefix, (name, licence) in ONTOLOGIES.items():
        print(f"  {prefix:<10} {name}, {ontology(prefix).snapshot}, {licence}")
