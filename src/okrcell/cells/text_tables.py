"""Read csv and tsv tables of expression, whichever way they lie."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from anndata import AnnData
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv
from scipy import sparse

from okrcell.cells.features import ENSEMBL_ID, resolve_features
from okrcell.cells.findings import add_read_findings
from okrcell.cells.genes import GeneTable
from okrcell.cells.rhapsody import add_rhapsody_columns
from okrcell.cells.table_layout import (
    DECIMAL_FINDING,
    HEADER_WORDS,
    MISSING_VALUES,
    THOUSANDS,
    TableLayout,
    check_thousands,
    check_width,
    detect_encoding,
    infer_layout,
    is_annotation,
    is_decimal_comma,
    is_word,
    iter_text_rows,
    open_table,
)
from okrcell.errors import InputError

BLOCK_SIZE = 8 << 20
"""Bytes of text that are parsed at a time; at least four headers."""
MAX_PASSES = 8
"""Maximum number of times a table is read because its later rows differ from what the first ones tell."""
MIN_WORD_SHARE = 0.9
"""Share of words from which the column of a table with genes in rows is annotation and not a cell."""
BLANK_SHARE = 0.1
"""Share of blank fields from which blanks are zeros, if the table holds no zero."""
FALLBACK_ENCODING = "cp1252"
"""Encoding of Windows, a superset of printable latin-1; used if a file is not UTF-8."""
MAX_NAMES = 20_000
"""Maximum number of names of rows or columns that are compared with genes, evenly spaced."""
MIN_COVERAGE = 0.05
"""Share of known genes among names from which they are taken for genes."""


class _Columns(NamedTuple):
    """Contents of a table before it is known which way it lies."""

    row_names: list[str]
    matrix: sparse.csr_matrix
    """Values, shape (row, numeric column)."""
    numeric: list[int]
    words: pd.DataFrame
    """Columns of words, by number of the column."""
    findings: list[str]


def read_text_table(path: Path) -> AnnData:
    """Read a csv or tsv file with names in the first row and column; it is transposed if the genes are in rows.

    Columns and rows of words are kept as annotation in ``obs`` (or ``var``).

    Raises
    ------
    InputError
        If the file is no regular table, or if values are not numbers.
    """
    encoding = detect_encoding(path)
    try:
        return _read_table(path, encoding)
    except UnicodeDecodeError:
        adata = _read_table(path, FALLBACK_ENCODING)
        return add_read_findings(adata, ["the file is not UTF-8, so it was read as Windows-1252 (latin-1)"])
    except csv.Error as error:
        raise InputError(f"{path} is not a regular table, perhaps because a quote does not end ({error}).") from None


def _read_table(path: Path, encoding: str) -> AnnData:
    layout, blanks_are_zeros = infer_layout(path, encoding), None
    for _ in range(MAX_PASSES):
        if not layout.numeric:
            break
        try:
            return _build_anndata(path, layout, _read_columns(path, layout, blanks_are_zeros))
        except _ZerosFoundError:
            blanks_are_zeros = False
        except pa.ArrowInvalid as error:
            layout = _correct_layout(path, layout, error)
    raise InputError(f"{path} contains no numeric column.")


class _ZerosFoundError(Exception):
    """A table whose blanks were taken for zeros holds zeros."""


class _Blocks:
    """Blocks of rows, as sparse matrices.

    Parameters
    ----------
    layout
        Layout of the table.
    blanks_are_zeros
        Whether blank values are zeros or not measured; None to decide from the first block.
    """

    def __init__(self, layout: TableLayout, blanks_are_zeros: bool | None) -> None:
        self._layout, self._blanks_are_zeros = layout, blanks_are_zeros
        self._is_named = np.array([bool(layout.names[column]) for column in layout.numeric])
        self._row_names, self._parts, self._words = list[str](), list[Any](), list[pd.DataFrame]()
        self._n_blank, self._n_empty_rows = np.zeros(len(layout.numeric), dtype=np.int64), 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a block, without its empty rows.

        Raises
        ------
        _ZerosFoundError
            If blanks were taken for zeros, but the block holds zeros.
        """
        values = np.column_stack([_to_array(batch.column(column)) for column in self._layout.numeric])
        words = {column: _words(batch.column(column)) for column in sorted(self._layout.words)}
        blank, row_names = np.isnan(values), np.array(batch.column(0).to_pylist(), dtype=object)
        filled = ~blank.all(axis=1) | (np.char.strip(row_names.astype(str)) != "")
        for column in words.values():
            filled |= pd.notna(column)
        self._n_empty_rows += int((~filled).sum())
        self._row_names += row_names[filled].tolist()
        self._n_blank += blank[filled].sum(axis=0)
        self._parts.append(sparse.csr_matrix(self._fill_blanks(values[filled], blank[filled]).astype(np.float32)))
        self._words.append(pd.DataFrame({column: word[filled] for column, word in words.items()}))

    def join(self) -> _Columns:
        """Join the blocks, without columns that have neither a name nor a value."""
        used = self._is_named | (self._n_blank < len(self._row_names))
        matrix: Any = sparse.csr_matrix(sparse.vstack(self._parts, format="csr"))
        findings = [f"{self._n_empty_rows} empty rows were left out"] if self._n_empty_rows else []
        if n_blanks := int(self._n_blank[used].sum()):
            meaning = "zero, because the table holds no zeros" if self._blanks_are_zeros else "not measured"
            findings.append(f"{n_blanks:,} blank values were read as {meaning}")
        return _Columns(
            row_names=self._row_names,
            matrix=sparse.csr_matrix(matrix[:, used]),
            numeric=[column for column, is_used in zip(self._layout.numeric, used, strict=True) if is_used],
            words=pd.concat(self._words, ignore_index=True),
            findings=findings,
        )

    def _fill_blanks(self, values: "NDArray[np.float64]", blank: "NDArray[np.bool_]") -> "NDArray[np.float64]":
        has_zeros = bool((values == 0).any())
        if self._blanks_are_zeros is None:
            n_blank, n_values = int(blank[:, self._is_named].sum()), max(1, len(values) * int(self._is_named.sum()))
            self._blanks_are_zeros = not has_zeros and n_blank > BLANK_SHARE * n_values
        if not self._blanks_are_zeros:
            return values
        if has_zeros:
            raise _ZerosFoundError
        return np.where(blank, 0.0, values)


def _read_columns(path: Path, layout: TableLayout, blanks_are_zeros: bool | None) -> _Columns:
    """Read all columns in blocks of rows."""
    blocks = _Blocks(layout, blanks_are_zeros)
    for batch in _iter_batches(path, layout):
        blocks.add(batch)
    return blocks.join()


def _iter_batches(path: Path, layout: TableLayout) -> Iterator[pa.RecordBatch]:
    names = [str(column) for column in range(len(layout.names))]
    numeric = set(layout.numeric)
    types = {name: pa.float64() if column in numeric else pa.string() for column, name in enumerate(names)}
    block_size = max(BLOCK_SIZE, 4 * sum(len(name) + 3 for name in layout.names) * (1 + len(layout.label_rows)))
    with (
        open_table(path) as file,
        arrow_csv.open_csv(
            file,
            arrow_csv.ReadOptions(
                use_threads=False,
                block_size=block_size,
                skip_rows=layout.n_lines,
                column_names=names,
                encoding="utf8" if layout.encoding.startswith("utf-8") else layout.encoding,
            ),
            arrow_csv.ParseOptions(delimiter=layout.separator, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=types,
                null_values=list(MISSING_VALUES),
                quoted_strings_can_be_null=True,
                decimal_point=layout.decimal,
            ),
        ) as batches,
    ):
        yield from (batch for batch in batches if batch.num_rows)


def _to_array(column: Any) -> "NDArray[np.float64]":
    return column.to_numpy(zero_copy_only=False)


def _words(column: Any) -> "NDArray[np.object_]":
    words = np.asarray(column.to_pylist(), dtype=object)
    words[np.isin(words.astype(str), MISSING_VALUES)] = np.nan
    return words


def _correct_layout(path: Path, layout: TableLayout, error: pa.ArrowInvalid) -> TableLayout:
    """Find the fields that do not fit the layout, and correct it.

    Raises
    ------
    InputError
        If a row has another number of fields, or if a row holds words in most columns of numbers.
    """
    columns = layout.numeric
    words: dict[int, str] = {}
    for line, row in iter_text_rows(path, layout):
        check_width(len(row), layout.names, line, path)
        found = {column: row[column] for column in columns if is_word(row[column], layout.decimal)}
        if len(found) > 1 and 2 * len(found) > len(columns) and not all(map(is_decimal_comma, found.values())):
            raise InputError(
                f"{path} must hold numbers, but line {line} ({row[0]}) holds {next(iter(found.values()))!r} and other "
                "words. Remove the line, or put it directly under the header, where words are read as labels."
            )
        words = {**found, **words}
    if not words:
        raise InputError(f"{path} cannot be read as a table ({' '.join(str(error).split())[:200]}).")
    if layout.separator != "," and layout.decimal == "." and all(map(is_decimal_comma, words.values())):
        check_thousands(list(words.values()), path)
        return replace(layout, decimal=",", findings=(*layout.findings, DECIMAL_FINDING))
    return replace(layout, words=layout.words | set(words))


def _build_anndata(path: Path, layout: TableLayout, columns: _Columns) -> AnnData:
    """Name rows and columns, find out which are the genes, and keep words as annotation."""
    labels = pd.DataFrame(columns.words)
    labels.columns = pd.Index(_unique_names([layout.names[column] for column in columns.words]))
    column_names = [layout.names[column] for column in columns.numeric]
    row_names, genes_in_rows = _find_gene_names(columns.row_names, labels, column_names)
    _check_row_names(path, layout.names[0], columns.row_names, genes_in_rows)
    _check_words(path, layout, labels, genes_in_rows)
    for name in filter(is_annotation, labels):
        labels[name] = _to_numbers(pd.Series(labels[name]))
    labels.index = pd.Index(row_names)
    label_rows = {name: [row[column] for column in columns.numeric] for name, row in layout.label_rows.items()}
    column_labels = pd.DataFrame(label_rows, index=pd.Index(column_names))
    findings = [*layout.findings, *columns.findings]
    if len(labels.columns):
        findings.append(f"columns read as {'var' if genes_in_rows else 'obs'}: {', '.join(labels)}")
    if genes_in_rows:
        adata = AnnData(sparse.csr_matrix(columns.matrix.T), obs=column_labels, var=labels)
    else:
        adata = AnnData(columns.matrix, obs=labels, var=column_labels)
    return add_rhapsody_columns(add_read_findings(adata, findings))


def _find_gene_names(index: list[str], labels: pd.DataFrame, column_names: list[str]) -> tuple[list[str], bool]:
    """Names of the rows, and whether the rows are genes; their names may be in a column beside row numbers."""
    header_coverage, coverage = _gene_coverage(column_names), _gene_coverage(index)
    if max(header_coverage, coverage) > MIN_COVERAGE:
        return index, coverage > header_coverage
    names_by_coverage = {
        _gene_coverage(names): names for names in (labels[name].astype(str).tolist() for name in labels)
    }
    best = max(names_by_coverage, default=0.0)
    if best > max(header_coverage, coverage, MIN_COVERAGE):
        return names_by_coverage[best], True
    return index, coverage > header_coverage


def _check_row_names(path: Path, name: str, row_names: list[str], genes_in_rows: bool) -> None:
    """Check that the rows are genes or cells with names.

    Raises
    ------
    InputError
        If genes are repeated, as in a long table, or the first column has the name of a gene and holds numbers.
    """
    if genes_in_rows and len(row_names) > 2 * len(set(row_names)):
        raise InputError(
            f"{path} names the same genes in many rows, such as {row_names[0]}, so it seems to hold a row for each gene of "
            "each cell. Write it again with a row for each gene and a column for each cell (pandas.DataFrame.pivot)."
        )
    is_gene = not genes_in_rows and name.casefold() not in HEADER_WORDS and _gene_coverage([name]) > 0
    if is_gene and not any(is_word(row_name, ".") for row_name in row_names):
        raise InputError(
            f"{path} must have the names of the cells in its first column, but that column is the gene {name}. Write the "
            "table again with names of rows."
        )


def _check_words(path: Path, layout: TableLayout, labels: pd.DataFrame, genes_in_rows: bool) -> None:
    """Check that no column of numbers with a few words in it is taken for annotation.

    Raises
    ------
    InputError
        If the column of a cell or of a gene holds words among its numbers.
    """
    for name in labels:
        if is_annotation(name) or not (genes_in_rows or _gene_coverage([name])):
            continue
        fields = labels[name].dropna().astype(str).tolist()
        words = [field for field in fields if is_word(field, layout.decimal)]
        n_words = sum(THOUSANDS.fullmatch(field) is None for field in words)
        if words and n_words < MIN_WORD_SHARE * len(fields):
            raise InputError(
                f"{path} must hold numbers in column {name!r}, but {len(words)} of its values are none, such as "
                f"{words[0]!r}. Correct them, or remove the column."
            )


def _to_numbers(words: pd.Series) -> pd.Series:
    numbers = pd.Series(pd.to_numeric(words, errors="coerce"))
    return numbers if numbers.notna().equals(words.notna()) else words


def _unique_names(names: list[str]) -> list[str]:
    """Number repeated names as pandas does: "type", "type.1"."""
    counts: dict[str, int] = {}
    unique = list[str]()
    for name in (name or "unnamed" for name in names):
        counts[name] = counts.get(name, -1) + 1
        unique.append(f"{name}.{counts[name]}" if counts[name] else name)
    return unique


def _gene_coverage(names: list[str]) -> float:
    """Share of names that are genes of human, mouse or, by their ids, another species."""
    sample = [name.split("|")[0] for name in names[:: 1 + len(names) // MAX_NAMES]]
    features = resolve_features(pd.DataFrame(index=pd.Index(sample, dtype=object)), GeneTable.bundled())
    n_ids = sum(ENSEMBL_ID.search(name) is not None for name in sample)
    return max(features.resolution.coverage, n_ids / max(1, len(sample)))
