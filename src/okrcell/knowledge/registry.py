"""Registry of all knowledge sources."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from okrcell.errors import InputError
from okrcell.evidence import KnowledgeSource
from okrcell.knowledge import markers as marker_tables
from okrcell.knowledge.curated_texts import DescriptionSource, GeneOntologySource, GeneSummarySource
from okrcell.knowledge.downloads import KnowledgeFiles, LocalFile, file_catalog
from okrcell.knowledge.literature import LiteratureSource
from okrcell.knowledge.markers import MarkerSource
from okrcell.ontology.ontology import OntologySource


@dataclass(frozen=True)
class SourceEntry:
    """Registry entry of a knowledge source."""

    description: str
    """Content, in one line."""
    files: tuple[str, ...]
    """Names of the knowledge files that it reads; empty for a source that is part of the package."""
    open_source: Callable[[tuple[LocalFile, ...], bool], KnowledgeSource]
    """Open the source from its files; the second argument tells whether leaking marker rows are read."""


def _open_accordion(files: tuple[LocalFile, ...], leaks: bool) -> MarkerSource:
    by_cell_type, by_tissue = files
    read_rows = partial(marker_tables.read_accordion, by_cell_type.path, by_tissue.path, leaks)
    separate = f"; {' and '.join(sorted(marker_tables.SEPARATE_RESOURCES))} are asked as tables of their own"
    excluded = "" if leaks else f"; without {', '.join(sorted(marker_tables.LEAKING_RESOURCES))}"
    version = f"{by_cell_type.version} and {by_tissue.sha256[:12]}{separate}{excluded}"
    return MarkerSource("accordion", "Cell Marker Accordion", version, by_cell_type.entry.licence, read_rows)


def _open_cellmarker2(files: tuple[LocalFile, ...], leaks: bool) -> MarkerSource:
    (file,) = files
    read_rows = partial(marker_tables.read_cellmarker, file.path, leaks)
    version = file.version if leaks else f"{file.version}; without papers on cells of benchmarks"
    return MarkerSource("cellmarker2", "CellMarker 2.0", version, file.entry.licence, read_rows)


def _open_panglaodb(files: tuple[LocalFile, ...], leaks: bool) -> MarkerSource:
    (file,) = files
    read_rows = partial(marker_tables.read_panglaodb, file.path)
    return MarkerSource("panglaodb", "PanglaoDB", file.version, file.entry.licence, read_rows)


SOURCES: dict[str, SourceEntry] = {
    "ontologies": SourceEntry(
        "names, definitions and synonyms of cell types, tissues, diseases", (), lambda files, leaks: OntologySource()
    ),
    "descriptions": SourceEntry(
        "long descriptions of cell types", ("cl_terms.json.gz",), lambda files, leaks: DescriptionSource(*files)
    ),
    "accordion": SourceEntry(
        "marker genes of cell types, in general and by tissue, from many resources",
        ("cellmarker_accordion_by_cl.csv.gz", "cellmarker_accordion_healthy.csv.gz"),
        _open_accordion,
    ),
    "cellmarker2": SourceEntry(
        "marker genes of cell types, from papers", ("cellmarker2_raw.csv.gz",), _open_cellmarker2
    ),
    "panglaodb": SourceEntry(
        "marker genes of cell types, from single-cell studies", ("PanglaoDB_markers_27_Mar_2020.tsv",), _open_panglaodb
    ),
    "gene_summaries": SourceEntry(
        "names and RefSeq summaries of genes", ("human_genes.csv.gz",), lambda files, leaks: GeneSummarySource(*files)
    ),
    "gene_ontology": SourceEntry(
        "functions of genes",
        ("go_terms_2018.tsv.gz", "go_annotations_human_2018.csv.gz"),
        lambda files, leaks: GeneOntologySource(*files),
    ),
    "literature": SourceEntry(
        "abstracts of papers",
        ("pubmedqa_labeled_1k.json.gz",),
        lambda files, leaks: LiteratureSource(files[0].path, files[0].version, files[0].entry.licence),
    ),
}
"""Knowledge sources by name, in the order of their evidence."""


def open_sources(
    names: Iterable[str] | None = None,
    knowledge: str | Path | KnowledgeFiles | None = None,
    leaks: bool = False,
    literature: str | Path | None = None,
) -> tuple[KnowledgeSource, ...]:
    """Open sources, in the order of `SOURCES`.

    Parameters
    ----------
    names
        Keys of `SOURCES`; by default all sources whose files are available (see `unavailable_sources` for the others).
    knowledge
        Folder or URL of the knowledge files (see `KnowledgeFiles`).
    leaks
        Whether marker rows derived from atlases that benchmarks also use are read.
    literature
        The user's file or folder of abstracts. The source "literature" is then always included, and reads it instead of
        the default corpus.

    Raises
    ------
    InputError
        If a name is unknown or a file of a named source is missing; or, by default, if the user's folder contains no
        knowledge file.
    """
    knowledge_files = knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge)
    if (
        names is None
        and literature is None
        and not knowledge_files.is_cache
        and not any(map(knowledge_files.has_file, file_catalog()))
    ):
        raise InputError(
            f"The folder {knowledge_files.folder} contains none of the knowledge files, such as {next(iter(file_catalog()))}. "
            "Check the path; to list the files, run: okrcell knowledge list"
        )
    selected = (
        _check_names(names) if names is not None else [name for name in SOURCES if _is_available(name, knowledge_files)]
    )
    if literature is not None:
        selected.append("literature")
    return tuple(
        LiteratureSource(Path(literature)) if name == "literature" and literature is not None
        else _open_source(name, knowledge_files, leaks)
        for name in SOURCES
        if name in selected
    )  # fmt: skip


def unavailable_sources(knowledge: str | Path | KnowledgeFiles | None = None) -> dict[str, str]:
    """Return a one-line message about the missing file of each source that cannot be opened, by name."""
    knowledge_files = knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge)
    missing_files = {
        name: [file for file in entry.files if not knowledge_files.has_file(file)] for name, entry in SOURCES.items()
    }
    return {
        name: knowledge_files.missing_message(files[0])
        for name, files in missing_files.items()
        if files and knowledge_files.url is None
    }


def _is_available(name: str, knowledge_files: KnowledgeFiles) -> bool:
    return knowledge_files.url is not None or all(knowledge_files.has_file(file) for file in SOURCES[name].files)


def _open_source(name: str, knowledge_files: KnowledgeFiles, leaks: bool) -> KnowledgeSource:
    files = tuple(knowledge_files.local_file(file) for file in SOURCES[name].files)
    return _cached_source(name, files, tuple(file.path.stat().st_mtime_ns for file in files), leaks)


@cache
def _cached_source(name: str, files: tuple[LocalFile, ...], mtimes_ns: Sequence[int], leaks: bool) -> KnowledgeSource:
    # Cached for the process, so that a table is read once; ``mtimes_ns`` invalidates the entry after a change of the file.
    return SOURCES[name].open_source(files, leaks)


def _check_names(names: Iterable[str]) -> list[str]:
    checked = list(names)
    for name in checked:
        if name not in SOURCES:
            raise InputError(f"There is no knowledge source '{name}'; choose from {', '.join(SOURCES)}.")
    return checked
