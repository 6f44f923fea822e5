"""Read folders with a Matrix Market file and its names: Cell Ranger, STARsolo, GEO, BD Rhapsody, Parse, kallisto, alevin."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd
from anndata import AnnData
from scipy import sparse

from okrcell.cells.findings import add_read_findings
from okrcell.cells.rhapsody import add_rhapsody_columns
from okrcell.cells.table_layout import HEADER_WORDS
from okrcell.compression import check_decompressed_size, max_size, open_maybe_gzip
from okrcell.errors import InputError

MATRIX_SUFFIX = re.compile(r"\.mtx(\.gz)?$", re.IGNORECASE)
MIN_ENTRY_SIZE = 2
"""Minimum number of bytes of a value in a Matrix Market file: a digit and the end of its line."""
NAME_SUFFIXES = (".tsv", ".txt", ".csv", ".tsv.gz", ".txt.gz", ".csv.gz")


class FolderLayout(NamedTuple):
    """Names of the three files without prefix, suffix and extension."""

    matrix: str
    genes: tuple[str, ...]
    cells: tuple[str, ...]
    cells_in_rows: bool = False


LAYOUTS = (
    FolderLayout("count_matrix", ("all_genes",), ("cell_metadata",), cells_in_rows=True),  # Parse, version 1.1 or later
    FolderLayout("dge", ("all_genes",), ("cell_metadata",), cells_in_rows=True),  # Parse, before
    FolderLayout(
        "cells_x_genes", ("cells_x_genes.genes",), ("cells_x_genes.barcodes",), cells_in_rows=True
    ),  # kallisto
    FolderLayout("quants_mat", ("quants_mat_cols",), ("quants_mat_rows",), cells_in_rows=True),  # alevin
    FolderLayout("count_matrix", ("features", "genes"), ("barcodes", "cells")),
    FolderLayout("matrix", ("features", "genes"), ("barcodes", "cells")),
    FolderLayout("counts", ("features", "genes"), ("barcodes", "cells")),
)


class MatrixFiles(NamedTuple):
    """The three files of a sample."""

    matrix: Path
    genes: Path
    cells: Path
    cells_in_rows: bool


class _Names(NamedTuple):
    """A file of names."""

    table: pd.DataFrame
    has_header: bool


def has_matrix(folder: Path) -> bool:
    """Whether a folder holds a Matrix Market file."""
    return any(MATRIX_SUFFIX.search(file.name) for file in folder.iterdir())


def read_mtx(path: Path) -> AnnData:
    """Read a matrix with its names of genes and cells; each of the three files may be gzipped.

    Parameters
    ----------
    path
        Folder with one sample, or the matrix of one of several samples.

    Raises
    ------
    InputError
        If a file is missing, if the folder holds several samples, or if the files do not fit each other.
    """
    from scipy.io import mminfo, mmread

    files = _find_files(path)
    check_decompressed_size(files.matrix)  # the parser in C++ aborts the process if its stream raises an error
    rows, columns, n_values = (int(length) for length in mminfo(files.matrix)[:3])
    if MIN_ENTRY_SIZE * n_values > max_size(files.matrix):
        raise InputError(
            f"{files.matrix} claims {n_values:,} values, but has {files.matrix.stat().st_size:,} bytes: it is damaged or made "
            "to exhaust memory. Fetch or write the file again."
        )
    genes, cells = _fit_names(files, (rows, columns))
    shape = (len(cells.table), len(genes.table))
    cells_in_rows = (rows, columns) == shape and (files.cells_in_rows or rows != columns)
    matrix = cast(Any, mmread(files.matrix))
    adata = AnnData(sparse.csr_matrix(matrix if cells_in_rows else matrix.T), obs=_obs(cells), var=_var(genes))
    findings = [
        f"the first line of {file.name} was read as its header"
        for file, names in ((files.genes, genes), (files.cells, cells))
        if names.has_header
    ]
    if cells_in_rows and not files.cells_in_rows:
        findings.append(f"{files.matrix.name} has cells in rows and genes in columns, and was read so")
    return add_rhapsody_columns(add_read_findings(adata, findings))


def _find_files(path: Path) -> MatrixFiles:
    """Find the three files that belong together.

    Raises
    ------
    InputError
        If one is missing, or if the folder holds several samples.
    """
    folder = path if path.is_dir() else path.parent
    files = {file.name.casefold(): file for file in sorted(folder.iterdir(), reverse=True) if file.is_file()}
    matrices = {
        MATRIX_SUFFIX.sub("", file.name): file for file in reversed(files.values()) if MATRIX_SUFFIX.search(file.name)
    }
    if not path.is_dir():
        matrices = {MATRIX_SUFFIX.sub("", path.name): path}
    samples = {stem: _find_names(stem, file, files) for stem, file in matrices.items()}
    complete = [sample for sample in samples.values() if sample is not None]
    incomplete = [
        matrices[stem] for stem, sample in samples.items() if sample is None and (not complete or _parse_stem(stem))
    ]
    if len(matrices) > 1 and len(complete) + len(incomplete) > 1:
        names = ", ".join(file.name for file in (*(sample.matrix for sample in complete), *incomplete))
        raise InputError(
            f"The folder {folder} holds {len(complete) + len(incomplete)} matrices ({names}), but one sample is read at a "
            "time: pass the path of one of these files, or move each sample to a folder of its own."
        )
    if incomplete:
        raise InputError(_missing_names_message(incomplete[0], folder))
    return complete[0]


def _parse_stem(stem: str) -> list[tuple[FolderLayout, str, str]]:
    """Layouts that the name of a matrix may belong to, with its prefix and suffix."""
    matches = [(layout, re.fullmatch(f"(.*?){re.escape(layout.matrix)}(.*)", stem.casefold())) for layout in LAYOUTS]
    return [(layout, match[1], match[2]) for layout, match in matches if match]


def _find_names(stem: str, matrix: Path, files: Mapping[str, Path]) -> MatrixFiles | None:
    """Files of names with the same prefix and suffix as the matrix; the genes may be shared by samples, without a prefix."""
    for layout, prefix, suffix in _parse_stem(stem):
        cells = _first_file([f"{prefix}{name}{suffix}" for name in layout.cells], files)
        genes = _first_file([f"{prefix}{name}{suffix}" for name in layout.genes], files)
        genes = genes or _first_file(layout.genes, files)
        if genes is not None and cells is not None:
            return MatrixFiles(matrix, genes, cells, layout.cells_in_rows)
    return None


def _first_file(names: "list[str] | tuple[str, ...]", files: Mapping[str, Path]) -> Path | None:
    found = (files.get(f"{name}{suffix}") for name in names for suffix in NAME_SUFFIXES)
    return next(filter(None, found), None)


def _missing_names_message(matrix: Path, folder: Path) -> str:
    """Name the files that should be beside a matrix, and those that are there."""
    stem = MATRIX_SUFFIX.sub("", matrix.name)
    others = sorted(file.name for file in folder.iterdir() if file != matrix)[:6]
    expected = "features.tsv and barcodes.tsv"
    if parsed := _parse_stem(stem):
        layout, prefix, suffix = parsed[-1]
        start, end = stem[: len(prefix)], stem[len(stem) - len(suffix) :]
        expected = f"{start}{layout.genes[0]}{end}.tsv and {start}{layout.cells[0]}{end}.tsv"
    return (
        f"{matrix} is a matrix without gene and cell names: pass the folder {folder} with all three files of one sample. "
        f"Beside it must be {expected}, but there is none of this name; there is: {', '.join(others) or 'nothing'}."
    )


def _fit_names(files: MatrixFiles, shape: tuple[int, int]) -> tuple[_Names, _Names]:
    """Names of the genes and cells, without a header.

    Raises
    ------
    InputError
        If their numbers do not fit the shape of the matrix.
    """
    genes, cells = _read_names(files.genes), _read_names(files.cells)
    for gene_lines in (0, 1):
        for cell_lines in (0, 1):
            lengths = (len(genes) - gene_lines, len(cells) - cell_lines)
            if lengths in (shape, shape[::-1]):
                return (
                    _split_header(genes, gene_lines, files.genes, files.matrix),
                    _split_header(cells, cell_lines, files.cells, files.matrix),
                )
    raise InputError(
        f"The files in {files.matrix.parent} do not match: {files.matrix.name} has {shape[0]} rows and {shape[1]} columns, "
        f"but there are {len(cells)} barcodes and {len(genes)} features ({files.cells.name}, {files.genes.name})."
    )


def _read_names(path: Path) -> pd.DataFrame:
    separator = "," if ".csv" in path.name.casefold() else "\t"
    with open_maybe_gzip(path) as file:
        return pd.read_csv(file, sep=separator, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False)


def _split_header(table: pd.DataFrame, n_lines: int, path: Path, matrix: Path) -> _Names:
    if not n_lines:
        return _Names(table, has_header=False)
    header = [str(name) for name in table.iloc[0]]
    if not any(name.casefold() in (*HEADER_WORDS, "x", "v1") for name in header):
        raise InputError(
            f"{path} has one line more than {matrix.name} has names for, and its first line, {header[0]!r}, is not known "
            "to be a header. Remove the line that names no gene or cell."
        )
    table = table.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)
    numbers = [str(number) for number in range(1, len(table) + 1)]
    if not header[0] and len(header) > 1 and table.iloc[:, 0].tolist() == numbers:  # row names of R
        table = table.iloc[:, 1:]
    return _Names(table, has_header=True)


def _obs(cells: _Names) -> pd.DataFrame:
    """Barcodes, and with a header the other columns as well."""
    names = pd.Index(cells.table.iloc[:, 0].to_numpy())
    return cells.table.iloc[:, 1:].set_axis(names, axis=0) if cells.has_header else pd.DataFrame(index=names)


def _var(genes: _Names) -> pd.DataFrame:
    """Gene ids, symbols as names and types of features."""
    table = genes.table
    var = pd.DataFrame(
        {"gene_ids": table.iloc[:, 0].to_numpy()}, index=table.iloc[:, min(1, table.shape[1] - 1)].to_numpy()
    )
    for position in range(2, table.shape[1]):
        name = str(table.columns[position]) if genes.has_header else "feature_types" if position == 2 else ""
        if name:
            var["feature_types" if name.casefold() == "feature_type" else name] = table.iloc[:, position].to_numpy()
    return var
