"""Files of many makers become one corpus."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import pandas as pd
from pydantic import Field

from okrcell.cells.corpus_folder import Source
from okrcell.cells.corpus_writer import CorpusWriter
from okrcell.cells.expression import read_expression
from okrcell.cells.genes import GeneTable
from okrcell.cells.open import open_cells
from okrcell.errors import InputError
from okrcell.provenance import fingerprint, receipt
from okrcell.settings import Settings

Progress = Callable[[Path, int, int], None]
"""Told after each block: the file, how many of its cells are written, how many it has."""

ENDINGS = (".gz", ".h5ad", ".h5", ".zarr", ".loom", ".csv", ".tsv", ".txt", ".mtx")


class PrepareSettings(Settings):
    """How files are read into a corpus."""

    layer: str | None = None
    """Which matrix of every file to read: a layer, "X" or "raw". By default the one nearest to counts."""
    orthologs: bool = False
    """Accept mouse genes, each led to its one-to-one human ortholog."""
    minimum_coverage: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of a file's gene names that must be known."""
    block_cells: Annotated[int, Field(ge=1, le=65_536)] = 2048
    """Cells in memory at a time."""


@dataclass(frozen=True)
class PreparedFile:
    """What one file gave."""

    file: Path
    study: str
    cells: int
    kind: str
    """What its matrix held: counts, log1p or linear."""
    source: str
    """Where in the file it was: "X", "raw" or a layer."""
    coverage: float
    """Share of its gene names that are known, in [0, 1]."""
    findings: tuple[str, ...]
    already: bool
    """True if the corpus had this file's content before; then it was not added again."""


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did; ``cells`` counts what was added, ``corpus_cells`` what the corpus now holds."""

    output: Path
    cells: int
    corpus_cells: int
    files: tuple[PreparedFile, ...]


def prepare(
    files: Sequence[str | Path],
    output: str | Path,
    settings: PrepareSettings | None = None,
    progress: Progress | None = None,
    *,
    table: GeneTable | None = None,
) -> PrepareReport:
    """Append the cells of ``files`` to the corpus ``output``, all files or none.

    A file becomes a study of its own, named after it, unless its ``obs`` has a column ``study``. A file whose content
    is in the corpus already is passed over and said to be so. Empty cells are kept: no row is dropped or moved.

    Raises
    ------
    InputError
        If a file cannot be used; the message has its name, and the corpus is as it was.
    """
    settings = PrepareSettings() if settings is None else settings
    table = GeneTable.bundled() if table is None else table
    if not files:
        raise InputError("No files to prepare: name at least one file of cells, such as cells.h5ad.")
    prepared: list[PreparedFile] = []
    with CorpusWriter(output, table, block_cells=settings.block_cells) as writer:
        for file in map(Path, files):
            prepared.append(_append(writer, file, settings, table, progress))
        corpus_cells = sum(source.cells for source in writer.sources)
    added = sum(one.cells for one in prepared if not one.already)
    return PrepareReport(Path(output), added, corpus_cells, tuple(prepared))


def _append(
    writer: CorpusWriter, file: Path, settings: PrepareSettings, table: GeneTable, progress: Progress | None
) -> PreparedFile:
    try:
        adata = open_cells(file)
        try:
            content = fingerprint(file)
            known = {source.origin.get("sha256"): source for source in writer.sources}
            if content in known:
                return _report(file, known[content], already=True)
            expression = read_expression(
                adata,
                table=table,
                layer=settings.layer,
                orthologs=settings.orthologs,
                minimum_coverage=settings.minimum_coverage,
            )
            facts = {
                "file": file.name,
                "sha256": content,
                "kind": expression.kind,
                "source": expression.source,
                "coverage": round(expression.resolution.coverage, 6),
                "findings": list(expression.findings),
                "settings": settings.model_dump(mode="json"),
            }
            writer.append(
                expression,
                cast("pd.DataFrame", adata.obs),
                study=study_name(file, [source.study for source in writer.sources]),
                origin=receipt("prepare", **facts),
                progress=None if progress is None else lambda done: progress(file, done, expression.n_cells),
            )
            return _report(file, writer.sources[-1], already=False)
        finally:
            if adata.isbacked:
                adata.file.close()
    except InputError as error:
        if str(file) in str(error):
            raise
        raise InputError(f"{file}: {error}") from error


def study_name(file: Path, taken: Sequence[str]) -> str:
    """Name a study after its file, with its folder before it if another study has the name.

    Raises
    ------
    InputError
        If that name is taken too.
    """
    file = file.absolute()
    stem = file.name
    while Path(stem).suffix.lower() in ENDINGS:
        stem = Path(stem).stem
    for name in (stem, f"{file.parent.name}/{stem}"):
        if name not in taken:
            return name
    raise InputError(
        f"the corpus has studies {stem} and {file.parent.name}/{stem} already; give the file another name."
    )


def _report(file: Path, source: Source, *, already: bool) -> PreparedFile:
    origin: Mapping[str, Any] = source.origin
    return PreparedFile(
        file=file,
        study=source.study,
        cells=source.cells,
        kind=origin["kind"],
        source=origin["source"],
        coverage=origin["coverage"],
        findings=tuple(origin["findings"]),
        already=already,
    )
