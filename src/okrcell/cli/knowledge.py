"""Commands for knowledge files: list, fetch, info."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from okrcell.cli.app import app
from okrcell.cli._common import progress_bar
from okrcell.errors import InputError

if TYPE_CHECKING:
    from okrcell.knowledge.downloads import KnowledgeFiles

knowledge_app = App(name="knowledge", help="List, download and inspect the knowledge files.", help_format="plaintext")
app.command(knowledge_app)

KnowledgeLocation = Annotated[
    str | None,
    Parameter(
        name="--knowledge", help="Folder or URL of the knowledge files; default: OKRCELL_KNOWLEDGE, else the cache."
    ),
]


@knowledge_app.command(name="list")
def list_sources(*, location: KnowledgeLocation = None) -> None:
    """List the knowledge sources, their content, and whether their files are present."""
    from okrcell.knowledge.downloads import KnowledgeFiles
    from okrcell.knowledge.registry import SOURCES

    knowledge_files = KnowledgeFiles(location)
    for name, source in SOURCES.items():
        states = {_file_state(knowledge_files, file) for file in source.files} or {"bundled"}
        state = next(state for state in (*FILE_STATES, "bundled") if state in states)
        print(f"{name:<16}{state:<20}{source.description}")
    print(f"\nFolder of the files: {knowledge_files.folder}")


@knowledge_app.command
def fetch(
    *names: Annotated[str, Parameter(help="Sources or files; default: all that can be fetched.")],
    location: KnowledgeLocation = None,
) -> None:
    """Download knowledge files into the cache and verify their checksums; interrupted downloads resume."""
    from okrcell.knowledge.downloads import KnowledgeFiles, file_catalog

    knowledge_files = KnowledgeFiles(location)
    if not knowledge_files.is_cache:
        raise InputError(
            f"{knowledge_files.folder} is your own folder, which is only read. Leave --knowledge and OKRCELL_KNOWLEDGE out to fetch."
        )
    files = _resolve_files(names) if names else [file for file in file_catalog() if knowledge_files.remote_file(file)]
    if not files:
        print("Nothing to fetch: these sources are bundled with okrcell.")
        return
    with progress_bar("Fetching") as step:
        for file in files:
            knowledge_files.fetch(file, progress=step)
    for file in files:
        print(f"{knowledge_files.local_file(file).path.stat().st_size:>12,} bytes  {file}")
    print(f"Have {len(files)} {'file' if len(files) == 1 else 'files'} in {knowledge_files.folder}.")
    not_fetched = [file for file in file_catalog() if file not in files and not knowledge_files.has_file(file)]
    if not_fetched and not names:
        print(
            f"Not fetched, because these cleaned copies are not published: {', '.join(not_fetched)}. "
            "Pass --knowledge with a folder or URL that has them.",
            file=sys.stderr,
        )


@knowledge_app.command
def info(name: str, *, location: KnowledgeLocation = None) -> None:
    """Show version, licence, checksum, origin and location of a source or file.

    Parameters
    ----------
    name
        Name of a source or a file.
    """
    from okrcell.knowledge.downloads import KnowledgeFiles, file_catalog
    from okrcell.knowledge.sources.marker_tables import LEAKING_RESOURCES
    from okrcell.knowledge.registry import SOURCES

    knowledge_files = KnowledgeFiles(location)
    if name in SOURCES:
        print(f"{name}: {SOURCES[name].description}")
    if name == "ontologies":
        _print_ontologies()
    for file in _resolve_files([name]):
        snapshot, is_present = file_catalog()[file], knowledge_files.has_file(file)
        print(f"{file}: {snapshot.what}")
        print(f"  version      {knowledge_files.local_file(file).version if is_present else snapshot.version}")
        print(f"  licence      {snapshot.licence}")
        print(f"  origin       {snapshot.origin}")
        print(f"  download     {snapshot.published.url if snapshot.published else 'not published (cleaned copy)'}")
        print(f"  declared     {snapshot.bytes:,} bytes, sha256 {snapshot.sha256}")
        print(
            f"  local file   {knowledge_files.folder / file if is_present else knowledge_files.missing_message(file)}"
        )
    if name == "accordion":
        print(f"  excluded     {', '.join(sorted(LEAKING_RESOURCES))}: derived from atlases used in benchmarks; opt-in")


FILE_STATES = ("missing", "can be fetched", "present")
"""States of a file, worst first; the state of a source is the worst of its files."""


def _file_state(knowledge_files: "KnowledgeFiles", file: str) -> str:
    return (
        "present"
        if knowledge_files.has_file(file)
        else "can be fetched"
        if knowledge_files.remote_file(file)
        else "missing"
    )


def _resolve_files(names: "tuple[str, ...] | list[str]") -> list[str]:
    from okrcell.knowledge.downloads import file_catalog
    from okrcell.knowledge.registry import SOURCES

    files: list[str] = []
    for name in names:
        if name not in SOURCES and name not in file_catalog():
            available = ", ".join((*SOURCES, *file_catalog()))
            raise InputError(f"There is no knowledge source or file '{name}'. Available: {available}.")
        files += SOURCES[name].files if name in SOURCES else (name,)
    return list(dict.fromkeys(files))


def _print_ontologies() -> None:
    from okrcell.ontology.ontology import ONTOLOGIES, ontology

    for prefix, (name, licence) in ONTOLOGIES.items():
        print(f"  {prefix:<10} {name}, {ontology(prefix).snapshot}, {licence}")
