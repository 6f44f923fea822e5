"""Convert files of cells from several studies into one training corpus."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pandas as pd
from pydantic import Field

from okrcell.cells.expression import read_expression
from okrcell.cells.genes import GeneTable
from okrcell.cells.io import open_cells
from okrcell.data.corpus import CorpusSource
from okrcell.data.corpus_writer import CorpusWriter
from okrcell.errors import InputError
from okrcell.progress import ProgressOption, progress_bar
from okrcell.provenance import fingerprint, provenance_record
from okrcell.settings import Settings

Progress = Callable[[Path, int, int], None]
"""Progress callback, called after each block with the file, its cells written so far and its number of cells."""

SUFFIXES = (".gz", ".h5ad", ".h5", ".zarr", ".loom", ".csv", ".tsv", ".txt", ".mtx")


class PrepareSettings(Settings):
    """Settings for reading files into a corpus."""

    layer: str | None = None
    """Matrix to read from every file: the name of a layer, "X" or "raw". By default the one closest to raw counts."""
    orthologs: bool = False
    """Accepted for earlier code: mouse genes are mapped to their one-to-one human orthologs by default."""
    species: Literal["human"] | None = None
    """"human" refuses files of mouse genes."""
    minimum_coverage: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Minimum fraction of a file's gene names that must be resolved, in [0, 1]."""
    block_cells: Annotated[int, Field(ge=1, le=65_536)] = 2048
    """Number of cells in memory at a time."""


@dataclass(frozen=True)
class PreparedFile:
    """Summary of one prepared file."""

    file: Path
    study: str
    cells: int
    kind: str
    """Kind of values in the matrix: counts, log1p or linear."""
    source: str
    """Matrix that was read: "X", "raw" or a layer."""
    coverage: float
    """Fraction of the file's gene names that were resolved, in [0, 1]."""
    findings: tuple[str, ...]
    """Remarks on how the file was read, in sentences."""
    already: bool
    """Whether the corpus already contained this file; if so, it was not added again."""


@dataclass(frozen=True)
class PrepareReport:
    """Result of `prepare`: ``cells`` is the number of cells added, ``corpus_cells`` the number of cells in the corpus."""

    output: Path
    cells: int
    corpus_cells: int
    files: tuple[PreparedFile, ...]


def prepare(
    files: Sequence[str | Path],
    output: str | Path,
    settings: PrepareSettings | None = None,
    progress: ProgressOption = None,
    *,
    table: GeneTable | None = None,
) -> PrepareReport:
    """Append the cells of ``files`` to the training corpus ``output``, all files or none.

    A corpus is a folder of memory-mapped shards that `okrcell.pretrain` reads. It is created if it does not exist.

    Parameters
    ----------
    files
        Paths of files of cells, at least one: h5ad, zarr, 10x .h5, 10x folder with matrix.mtx, loom, csv or tsv (also
        gzipped). Genes are resolved by Ensembl id or symbol. These columns of ``obs`` are stored if
        present: ``cell_type``, ``tissue``, ``disease``, ``development_stage``, ``sex``, ``assay`` (each also with the suffix
        ``_ontology_term_id``), ``suspension_type``, ``condition``, ``batch``, ``donor`` (or ``donor_id``) and ``study``.
    output
        Folder of the corpus; its parent folder must exist.
    settings
        Settings for reading the files; the defaults of `PrepareSettings` if None.

        - ``layer`` (default None): matrix to read, the name of a layer, "X" or "raw"; None selects the one closest to
          raw counts.
        - ``species`` (default None): "human" refuses files of mouse genes, which are otherwise mapped to their one-to-one
          human orthologs; the first finding and the origin of the study in the corpus say so.
        - ``orthologs`` (default False): accepted for earlier code.
        - ``minimum_coverage`` (default 0.05): minimum fraction of gene names that must be resolved, in [0, 1].
        - ``block_cells`` (default 2048): number of cells in memory at a time, 1 to 65,536.
    progress
        Show a bar on stderr: None (default) only if stderr is a terminal, True always, False never. A function is called
        instead, after each block, with the path of the file, the number of its cells written so far and its total number
        of cells.
    table
        Gene table that defines the gene axis of the corpus; the bundled table of human genes if None.

    Returns
    -------
    `PrepareReport` with the fields ``output``, ``cells`` (number of cells added), ``corpus_cells`` (number of cells in
    the corpus) and ``files``: one `PreparedFile` per file with its study, number of cells, kind and source of its
    matrix, gene coverage and findings.

    Raises
    ------
    InputError
        If ``files`` is empty, a file cannot be read or used, or ``output`` is not a corpus, uses another gene table or is
        being written by another process. The message names the file, and the corpus is unchanged.

    Notes
    -----
    Each file becomes one study, named after the file, unless its ``obs`` has a column ``study``. A file whose content
    (sha256) is already in the corpus is skipped. No cell is dropped or reordered; cells without expression are kept.
    Log values are inverted to the linear scale; z-scores are refused.

    Examples
    --------
    Prepare a small dataset of peripheral blood cells:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import okrcell as okr
    >>> import scanpy as sc
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> adata.obs["cell_type"] = adata.obs["bulk_labels"]
    >>> temporary = tempfile.TemporaryDirectory()
    >>> folder = Path(temporary.name)
    >>> adata.write_h5ad(folder / "pbmc.h5ad")
    >>> report = okr.prepare([folder / "pbmc.h5ad"], folder / "corpus")
    >>> report.cells, report.corpus_cells
    (700, 700)
    >>> report.files[0].study, report.files[0].source, report.files[0].kind
    ('pbmc', 'raw', 'log1p')

    A file that is already in the corpus is not added again:

    >>> report = okr.prepare([folder / "pbmc.h5ad"], folder / "corpus")
    >>> report.cells, report.corpus_cells, report.files[0].already
    (0, 700, True)
    >>> temporary.cleanup()
    """
    settings = PrepareSettings() if settings is None else settings
    table = GeneTable.bundled() if table is None else table
    if not files:
        raise InputError("No files to prepare: pass at least one file of cells, such as cells.h5ad.")
    if settings.orthologs and settings.species is not None:
        raise InputError("orthologs maps mouse genes, but species='human' refuses them. Pass one of the two.")
    reports: list[PreparedFile] = []
    with (
        progress_bar("Preparing", progress, file_to_bar) as report_progress,
        CorpusWriter(output, table, block_cells=settings.block_cells) as writer,
    ):
        for file in map(Path, files):
            reports.append(_append_file(writer, file, settings, table, report_progress))
        corpus_cells = sum(source.cells for source in writer.sources)
    n_added = sum(report.cells for report in reports if not report.already)
    return PrepareReport(Path(output), n_added, corpus_cells, tuple(reports))


def file_to_bar(file: Path, done: int, total: int) -> tuple[int, int, str]:
    """Progress of preparing as shown by a bar: the number of cells of a file written, their total and the file."""
    return done, total, file.name


def _append_file(
    writer: CorpusWriter, file: Path, settings: PrepareSettings, table: GeneTable, progress: Progress
) -> PreparedFile:
    try:
        adata = open_cells(file)
        try:
            sha256 = fingerprint(file)
            source_by_hash = {source.origin.get("sha256"): source for source in writer.sources}
            if sha256 in source_by_hash:
                return _summarize(file, source_by_hash[sha256], already=True)
            expression = read_expression(
                adata,
                table=table,
                layer=settings.layer,
                orthologs=settings.species is None,
                minimum_coverage=settings.minimum_coverage,
            )
            facts = {
                "file": file.name,
                "sha256": sha256,
                "kind": expression.kind,
                "source": expression.source,
                "species": expression.resolution.species,
                "orthologs": "mouse_ortholog" in expression.resolution.match_counts,
                "coverage": round(expression.resolution.coverage, 6),
                "findings": list(expression.findings),
                "settings": settings.model_dump(mode="json"),
            }
            writer.append(
                expression,
                cast("pd.DataFrame", adata.obs),
                study=study_name(file, [source.study for source in writer.sources]),
                origin=provenance_record("prepare", **facts),
                progress=lambda n_written: progress(file, n_written, expression.n_cells),
            )
            return _summarize(file, writer.sources[-1], already=False)
        finally:
            if adata.isbacked:
                adata.file.close()
    except InputError as error:
        if str(file) in str(error):
            raise
        raise InputError(f"{file}: {error}") from error


def study_name(file: Path, existing: Sequence[str]) -> str:
    """Name of a study: the file name without suffixes, preceded by the name of its folder if it is already taken.

    Raises
    ------
    InputError
        If both names are taken.
    """
    file = file.absolute()
    stem = file.name
    while Path(stem).suffix.lower() in SUFFIXES:
        stem = Path(stem).stem
    for name in (stem, f"{file.parent.name}/{stem}"):
        if name not in existing:
            return name
    raise InputError(
        f"the corpus already has studies {stem} and {file.parent.name}/{stem}; give the file another name."
    )


def _summarize(file: Path, source: CorpusSource, *, already: bool) -> PreparedFile:
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
