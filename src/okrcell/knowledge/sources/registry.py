"""Registry of all knowledge sources."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from okrcell.errors import InputError
from okrcell.knowledge.evidence import KnowledgeSource
from okrcell.knowledge.ontology import OntologySource
from okrcell.knowledge.snapshots import HeldFile, KnowledgeFiles, snapshots
from okrcell.knowledge.sources import marker_tables
from okrcell.knowledge.sources.descriptions import DescriptionSource
from okrcell.knowledge.sources.gene_ontology import GeneOntologySource
from okrcell.knowledge.sources.gene_summaries import GeneSummarySource
from okrcell.knowledge.sources.literature import LiteratureSource
from okrcell.knowledge.sources.markers import MarkerSource


@dataclass(frozen=True)
class SourceKind:
    """Registry entry of a knowledge source."""

    what: str
    """Content, in one line."""
    files: tuple[str, ...]
    """Names of the knowledge files that it reads; empty for a source that is part of the package."""
    opened: Callable[[tuple[HeldFile, ...], bool], KnowledgeSource]
    """Open the source from its files; the second argument tells whether leaking marker rows are read."""


def _accordion(files: tuple[HeldFile, ...], leaks: bool) -> MarkerSource:
    by_cell_type, by_tissue = files
    read = partial(marker_tables.accordion_rows, by_cell_type.path, by_tissue.path, leaks)
    elsewhere = f"; {' and '.join(sorted(marker_tables.ASKED_THEMSELVES))} are asked as tables of their own"
    left_out = "" if leaks else f"; without {', '.join(sorted(marker_tables.LEAKING))}"
    version = f"{by_cell_type.version} and {by_tissue.sha256[:12]}{elsewhere}{left_out}"
    return MarkerSource("accordion", "Cell Marker Accordion", version, by_cell_type.snapshot.licence, read)


def _cellmarker2(files: tuple[HeldFile, ...], leaks: bool) -> MarkerSource:
    (file,) = files
    read = partial(marker_tables.cellmarker_rows, file.path, leaks)
    version = file.version if leaks else f"{file.version}; without papers on cells of benchmarks"
    return MarkerSource("cellmarker2", "CellMarker 2.0", version, file.snapshot.licence, read)


def _panglaodb(files: tuple[HeldFile, ...], leaks: bool) -> MarkerSource:
    (file,) = files
    read = partial(marker_tables.panglaodb_rows, file.path)
    return MarkerSource("panglaodb", "PanglaoDB", file.version, file.snapshot.licence, read)


SOURCES: dict[str, SourceKind] = {
    "ontologies": SourceKind(
        "names, definitions and synonyms of cell types, tissues, diseases", (), lambda files, leaks: OntologySource()
    ),
    "descriptions": SourceKind(
        "long descriptions of cell types", ("cl_terms.json.gz",), lambda files, leaks: DescriptionSource(*files)
    ),
    "accordion": SourceKind(
        "marker genes of cell types, in general and by tissue, from many resources",
        ("cellmarker_accordion_by_cl.csv.gz", "cellmarker_accordion_healthy.csv.gz"),
        _accordion,
    ),
    "cellmarker2": SourceKind("marker genes of cell types, from papers", ("cellmarker2_raw.csv.gz",), _cellmarker2),
    "panglaodb": SourceKind(
        "marker genes of cell types, from single-cell studies", ("PanglaoDB_markers_27_Mar_2020.tsv",), _panglaodb
    ),
    "gene_summaries": SourceKind(
        "names and RefSeq summaries of genes", ("human_genes.csv.gz",), lambda files, leaks: GeneSummarySource(*files)
    ),
    "gene_ontology": SourceKind(
        "functions of genes",
        ("go_terms_2018.tsv.gz", "go_annotations_human_2018.csv.gz"),
        lambda files, leaks: GeneOntologySource(*files),
    ),
    "literature": SourceKind(
        "abstracts of papers",
        ("pubmedqa_labeled_1k.json.gz",),
        lambda files, leaks: LiteratureSource(files[0].path, files[0].version, files[0].snapshot.licence),
    ),
}
"""Knowledge sources by name, in the order of their evidence."""


def open_sources(
    names: Iterable[str] | None = None,
    place: str | Path | KnowledgeFiles | None = None,
    leaks: bool = False,
    literature: str | Path | None = None,
) -> tuple[KnowledgeSource, ...]:
    """Open sources, in the order of `SOURCES`.

    Parameters
    ----------
    names
        Keys of `SOURCES`; by default all sources whose files are available (see `absent_sources` for the others).
    place
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
    held = place if isinstance(place, KnowledgeFiles) else KnowledgeFiles(place)
    if names is None and literature is None and not held.is_cache and not any(map(held.holds, snapshots())):
        raise InputError(
            f"The folder {held.folder} contains none of the knowledge files, such as {next(iter(snapshots()))}. "
            "Check the path; to list the files, run: okrcell knowledge list"
        )
    asked = _known(names) if names is not None else [name for name in SOURCES if _at_hand(name, held)]
    if literature is not None:
        asked.append("literature")
    return tuple(
        LiteratureSource(Path(literature)) if name == "literature" and literature is not None
        else _opened(name, held, leaks)
        for name in SOURCES
        if name in asked
    )  # fmt: skip


def absent_sources(place: str | Path | KnowledgeFiles | None = None) -> dict[str, str]:
    """Return a one-line message about the missing file of each source that cannot be opened, by name."""
    held = place if isinstance(place, KnowledgeFiles) else KnowledgeFiles(place)
    lacking = {name: [file for file in kind.files if not held.holds(file)] for name, kind in SOURCES.items()}
    return {name: held.missing(files[0]) for name, files in lacking.items() if files and held.url is None}


def _at_hand(name: str, held: KnowledgeFiles) -> bool:
    return held.url is not None or all(held.holds(file) for file in SOURCES[name].files)


def _opened(name: str, held: KnowledgeFiles, leaks: bool) -> KnowledgeSource:
    files = tuple(held.file(file) for file in SOURCES[name].files)
    return _kept(name, files, tuple(file.path.stat().st_mtime_ns for file in files), leaks)


@cache
def _kept(name: str, files: tuple[HeldFile, ...], changed: Sequence[int], leaks: bool) -> KnowledgeSource:
    # Cached for the process, so that a table is read once; ``changed`` invalidates the entry after a change of the file.
    return SOURCES[name].opened(files, leaks)


def _known(names: Iterable[str]) -> list[str]:
    asked = list(names)
    for name in asked:
        if name not in SOURCES:
            raise InputError(f"There is no knowledge source '{name}'; choose from {', '.join(SOURCES)}.")
    return asked
