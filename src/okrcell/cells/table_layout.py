"""Layout of a csv or tsv file: encoding, separator, decimal mark, comments, header rows and columns of words."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from okrcell.compression import open_maybe_gzip
from okrcell.errors import InputError

N_SAMPLE_LINES = 30
"""Maximum number of lines from which the layout is inferred."""
MAX_SAMPLE = 1 << 24
"""Number of characters after which no more lines are sampled."""
MAX_LINE = 1 << 28
"""Maximum number of characters of a line; it is enough for ten million names."""
MAX_RATIO = 300
"""Maximum ratio of a table to its gzipped size; counts of which 99.7 % are zeros reach 200."""
SEPARATORS = "\t,; |"
MISSING_VALUES = ("", "NA", "N/A", "NaN", "nan", "na", "n/a", "<NA>", "NULL", "null", "None", "#N/A")
"""Fields that stand for a missing value."""
EXCEL_SEPARATOR = re.compile(r'"?sep=.?"?\s*$')
"""Line in which Excel is told the separator."""
NUMBER = re.compile(r"\s*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf|INF)(inity)?)\s*")
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(,\d{3})+\s*")
ANNOTATION_COLUMNS = frozenset(
    re.findall(
        r"[\w.]+",
        """
    chr, chrom, chromosome, chromosome_name, seqname, seqnames, seqid, contig, start, end, stop, strand, length,
    gene_length, genelength, transcript_length, exon_length, effective_length, start_position, end_position, txstart,
    txend, entrez, entrezid, entrez_id, entrezgene, entrezgene_id, ncbi_gene_id, gc_content, percentage_gene_gc_content,
    ncount_rna, nfeature_rna, percent.mt, percent_mt, percent.mito, pct_counts_mt, n_genes, n_genes_by_counts, n_counts,
    total_counts, ngene, numi, size_factor, cluster, clusters, leiden, louvain, seurat_clusters, umap_1, umap_2, tsne_1,
    tsne_2, pseudotime, total, totals, sum, rowsum, rowsums
    """,
    )
)
"""Columns that describe genes or cells although they may hold numbers, as those of featureCounts and Seurat."""
HEADER_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    id, ids, name, names, index, barcode, barcodes, cell, cells, cell_id, cellid, cell_barcode, bc_wells, gene,
    genes, gene_id, geneid, gene_ids, gene_name, gene_names, gene_symbol, gene_symbols, symbol, symbols, ensembl,
    ensembl_id, feature, features, feature_id, feature_name, feature_type, feature_types
    """,
    )
)
"""Words that no gene and no cell is called, and that begin a header."""
DECIMAL_FINDING = "decimal commas were read as decimal points"


@dataclass(frozen=True)
class TableLayout:
    """Layout of a csv or tsv file."""

    encoding: str
    separator: str
    decimal: str
    n_lines: int
    """Number of lines before the first row of values."""
    names: list[str]
    """Names of all columns; the first column holds the names of the rows."""
    label_rows: dict[str, list[str]]
    """Rows of words between the header and the values, such as clusters: one word per column."""
    words: frozenset[int]
    """Columns that hold words."""
    findings: tuple[str, ...]

    @property
    def numeric(self) -> list[int]:
        """Columns that hold numbers."""
        return [column for column in range(1, len(self.names)) if column not in self.words]


def open_table(path: Path) -> IO[bytes]:
    """Open a text file, which may be gzipped whatever its name."""
    return open_maybe_gzip(path, MAX_RATIO)


def detect_encoding(path: Path) -> str:
    """Encoding from the byte order mark or the positions of zero bytes; UTF-8 if there are none.

    Raises
    ------
    InputError
        If the file is not text.
    """
    with open_table(path) as file:
        head = file.read(4096)
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return "utf-8"
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[start::2].count(0) > 0.8 * len(head[start::2]) and 0 not in head[1 - start :: 2]:
            return encoding
    raise InputError(f"{path} is named like a table, but it is not text: it holds zero bytes.")


def infer_layout(path: Path, encoding: str) -> TableLayout:
    """Infer the layout from the first lines.

    Raises
    ------
    InputError
        If they are no table with names in the first row and column, or if header and rows differ in length.
    """
    lines, n_comments = _first_lines(path, encoding)
    separator = _detect_separator(lines)
    if separator is None and len(list(filter(str.strip, lines))) == 1:
        raise InputError(f"{path} has only one line, so it holds no rows of values: {lines[0].strip()[:80]}")
    if separator is None:
        first = lines[0].strip() if lines else ""
        raise InputError(
            f"{path} must be a table with names in the first row and column, but its first line is: {first[:80]}"
        )
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator == " ")
    (header_line, header), *numbered = [(reader.line_num, row) for row in reader if row]
    if len(lines) >= N_SAMPLE_LINES and len(numbered) > 1 and len(numbered[-1][1]) != len(numbered[0][1]):
        numbered.pop()  # a quoted field may go on after the sample; all rows are checked when they are read
    rows = [row for _, row in numbered]
    names = _column_names(header, rows, path)
    for line, row in numbered:
        check_width(len(row), names, n_comments + line, path)
    decimal = _detect_decimal(rows, separator, path)
    n_labels = _count_label_rows(rows, decimal)
    label_rows = {row[0] or f"row {number}": row for number, row in enumerate(rows[:n_labels], start=2) if any(row[1:])}
    findings = [f"{n_comments} lines of comments before the header were left out"] if n_comments else []
    if decimal == ",":
        findings.append(DECIMAL_FINDING)
    if label_rows:
        findings.append(f"rows of words under the header were read as labels: {', '.join(label_rows)}")
    return TableLayout(
        encoding=encoding,
        separator=separator,
        decimal=decimal,
        n_lines=n_comments + (numbered[n_labels - 1][0] if n_labels else header_line),
        names=names,
        label_rows=label_rows,
        words=_word_columns(names, rows[n_labels:], decimal),
        findings=tuple(findings),
    )


def iter_text_rows(path: Path, layout: TableLayout) -> Iterator[tuple[int, list[str]]]:
    """Iterate over all rows of values with the number of their last line; slow, for errors only."""
    with io.TextIOWrapper(open_table(path), encoding=layout.encoding, newline="") as file:
        for _ in range(layout.n_lines):
            file.readline()
        reader = csv.reader(file, delimiter=layout.separator, skipinitialspace=layout.separator == " ")
        for row in reader:
            if row:
                yield layout.n_lines + reader.line_num, row


def check_width(n_fields: int, names: Sequence[str], line: int, path: Path) -> None:
    """Check that a row has one field per column.

    Raises
    ------
    InputError
        If it has more or fewer.
    """
    if n_fields != len(names):
        raise InputError(
            f"{path} is not a regular table: line {line} has {n_fields} fields, but the table has {len(names)} columns "
            f"({', '.join(names[:3])} …). Write it again, with names that hold the separator in quotes."
        )


def is_word(field: str, decimal: str) -> bool:
    """Whether a field is neither missing nor a number."""
    if field.strip() in MISSING_VALUES:
        return False
    number = field.replace(".", "?").replace(",", ".") if decimal == "," else field
    return NUMBER.fullmatch(number) is None


def is_decimal_comma(field: str) -> bool:
    """Whether a field is a number with a decimal comma."""
    return DECIMAL_COMMA.fullmatch(field) is not None


def check_thousands(fields: Sequence[str], path: Path) -> None:
    """Check that numbers with commas have decimal commas.

    Raises
    ------
    InputError
        If all of them may as well have marks of thousands.
    """
    if all(THOUSANDS.fullmatch(field) for field in fields):
        raise InputError(
            f"{path} holds numbers such as {fields[0]}, which may have a decimal comma or a mark of thousands. Write it "
            "again with decimal points and without marks of thousands."
        )


def is_annotation(name: str) -> bool:
    """Whether a column of this name describes genes or cells, so that it is no cell or gene itself."""
    return name.casefold() in ANNOTATION_COLUMNS


def _first_lines(path: Path, encoding: str) -> tuple[list[str], int]:
    """First lines from the header on, and the number of comment lines and empty lines before it."""
    lines, n_comments, n_characters = list[str](), 0, 0
    previous = ""
    with io.TextIOWrapper(open_table(path), encoding=encoding) as file:
        while len(lines) < N_SAMPLE_LINES and (n_characters < MAX_SAMPLE or len(lines) < 3):
            line = file.readline(MAX_LINE)
            if not line:
                break
            if len(line) >= MAX_LINE:
                raise InputError(f"{path} is not a table: a line has more than {MAX_LINE:,} characters.")
            if not lines and (line.startswith("#") or not line.strip() or EXCEL_SEPARATOR.match(line)):
                n_comments += 1
                previous = line
                continue
            if not lines and _is_header(previous, line):
                n_comments -= 1
                lines.append(previous.lstrip("#"))
            lines.append(line)
            n_characters += len(line)
    return lines, n_comments


def _is_header(comment: str, line: str) -> bool:
    """Whether a line that begins with # is the header of the next line, such as "#barcode,CD3D,LYZ"."""
    separator = _detect_separator([comment, line])
    if separator is None:
        return False
    names, row = (next(csv.reader([text], delimiter=separator)) for text in (comment, line))
    n_numbers = sum(NUMBER.fullmatch(field) is not None for field in row[1:])
    return len(names) == len(row) and 2 * n_numbers > len(row) - 1


def _detect_separator(lines: Sequence[str]) -> str | None:
    """Separator that gives the largest number of columns in both the header and the first row."""
    header, row = [*(line for line in lines if line.strip()), "", ""][:2]
    widths: dict[str, int] = {}
    for separator in SEPARATORS:
        fields = [next(csv.reader([line], delimiter=separator, skipinitialspace=True), []) for line in (header, row)]
        if separator in " |" and not any(NUMBER.fullmatch(field) for field in fields[1][1:]):
            continue
        widths[separator] = min(map(len, fields))
    best = max(widths, key=lambda separator: widths[separator] if separator not in " |" else 0)
    best = best if widths[best] > 1 else max(widths, key=lambda separator: widths[separator])
    return best if widths[best] > 1 else None


def _column_names(header: list[str], rows: Sequence[Sequence[str]], path: Path) -> list[str]:
    """Names of the columns; R writes no name above the row names, and some programs a separator after the last field."""
    width = len(rows[0])
    names = [name.strip() for name in header]
    if len(names) == width:
        return names
    if len(names) == width - 1:
        has_empty_end = all(not row[-1].strip() for row in rows)
        if not has_empty_end and names[0] and names[0].casefold() not in HEADER_WORDS:
            return ["", *names]
        if has_empty_end and all(field.strip() for row in rows for field in row[:-1]):
            return [*names, ""]
    if len(names) == width + 1 and not names[-1]:
        return names[:-1]
    raise InputError(
        f"{path} has {len(names)} names in its header, but {width} fields in the next row, so it is not clear which name "
        "belongs to which column. Write the table again with one name per column."
    )


def _detect_decimal(rows: Sequence[Sequence[str]], separator: str, path: Path) -> str:
    if separator == ",":
        return "."
    fields = [field for row in rows for field in row[1:] if "," in field and is_decimal_comma(field)]
    if not fields:
        return "."
    check_thousands(fields, path)
    return ","


def _count_label_rows(rows: Sequence[Sequence[str]], decimal: str) -> int:
    """Number of leading rows that hold words in most of the columns that hold numbers below them."""
    numeric = [column for column in range(1, len(rows[-1])) if not is_word(rows[-1][column], decimal)]
    count = 0
    for row in rows[:-1]:
        fields = [row[column] for column in numeric if row[column].strip() not in MISSING_VALUES]
        # After a second header pandas writes the name of the index in a row of its own.
        is_index_name = not fields and count > 0
        if not is_index_name and 2 * sum(is_word(field, decimal) for field in fields) <= len(fields):
            break
        count += 1
    return count


def _word_columns(names: Sequence[str], rows: Sequence[Sequence[str]], decimal: str) -> frozenset[int]:
    """Columns that hold more words than numbers, and columns of annotation unless there are no others."""
    words = {column for column in range(1, len(names)) if _is_word_column([row[column] for row in rows], decimal)}
    annotation = {column for column in range(1, len(names)) if is_annotation(names[column])}
    return frozenset(words | annotation if len(words | annotation) < len(names) - 1 else words)


def _is_word_column(fields: Sequence[str], decimal: str) -> bool:
    n_words = sum(is_word(field, decimal) for field in fields)
    return 2 * n_words > sum(field.strip() not in MISSING_VALUES for field in fields)
