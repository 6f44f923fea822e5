"""Names of candidates in a text: one per line, a table, one line with separators, JSON, YAML or an R vector."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import yaml

from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology

NAME_COLUMNS = (
    "cell_type", "celltype", "cell type", "cell types", "cell_types", "celltypes", "cell type name", "cell_type_name",
    "candidate", "candidates", "cell_type_ontology_term_id", "cell_ontology_id", "cell ontology id", "cl_id", "cl id",
    "cell_label", "cell label", "cell_name", "cell name", "cellname", "annotation", "label", "labels", "name", "names", "type",
    "x", "v1",
)  # fmt: skip
"""Headers of a column of names, in the order of preference."""
DELIMITERS = ("\t", ";", "|", ",")
MAX_NAME_PARTS = 4
"""Maximum number of parts of one name that contains commas."""
MAX_CHECKED_LINES = 20
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")
_TERM_ID = re.compile(r"CL[:_]\d{7}")
_R_VECTOR = re.compile(r"(?:[\w.]+\s*(?:<-|=)\s*)?(?:c|list)\s*\((.*)\)\s*;?", re.DOTALL)
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'")

IsType = Callable[[str], bool]
"""Whether a text names a cell type."""


def split_candidates(text: str, origin: str, is_type: IsType) -> list[str]:
    """Return the candidates in a text.

    Parameters
    ----------
    text
        Content of a file, or the value of an option.
    origin
        Name of the file or option, for the error message.
    is_type
        Whether a text names a cell type; it decides whether commas separate names.

    Raises
    ------
    InputError
        If the text is structured and the names in it are not unique.
    """
    text = text.strip()
    term_ids = re.split(r"[\s,;]+", text)
    if all(map(_TERM_ID.fullmatch, term_ids)):
        return term_ids
    vector = _R_VECTOR.fullmatch(text)
    if vector:
        return _quoted_names(vector[1], origin)
    if text[:1] in "[{" or _is_yaml(text):
        return _structured_names(text, origin)
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if lines and _normal_header(lines[0]) in NAME_COLUMNS:
        lines = lines[1:]
    rows = _table_rows(lines)
    if rows is not None:
        return _column_of_names(rows, origin)
    if len(lines) == 1:
        return _split_line(lines[0], is_type)
    _check_columns(lines, origin, is_type)
    return [name for line in lines for name in _names_of_line(line, origin, is_type)]


def _quoted_names(content: str, origin: str) -> list[str]:
    names = [first or second for first, second in _QUOTED.findall(content)]
    if not names or re.search(r"[^\s,]", _QUOTED.sub("", content)):
        raise InputError(f'{origin} is an R vector with values that are not in quotes. Write c("T cell", "B cell").')
    return names


def _is_yaml(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    items = [line for line in lines if re.match(r"\s*-\s", line)]
    keys = [line for line in lines if re.fullmatch(r"\s*[\w .-]+:\s*(\[.*\])?", line)]
    return bool(items or keys) and len(items) + len(keys) >= len(lines) - lines.count("---")


def _structured_names(text: str, origin: str) -> list[str]:
    """Read a JSON or YAML list, or a mapping with one list."""
    try:
        # All values stay strings; a flow list of YAML is a JSON or Python list.
        content: Any = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - constructs only strings, lists and dicts
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{origin} looks like JSON or YAML, but cannot be read ({reason}). Write one name per line."
        ) from None
    if isinstance(content, dict):
        lists = {str(key): value for key, value in content.items() if isinstance(value, list)}
        if len(lists) != 1:
            raise InputError(
                f"{origin} holds {len(lists)} lists ({', '.join(map(str, content))}), but one list of candidates is "
                "needed. Write one name per line, or a mapping with one list."
            )
        content = next(iter(lists.values()))
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise InputError(f"{origin} is no plain list of names. Write one name per line, or a list of strings.")
    return [name.strip() for name in content if name.strip()]


def _table_rows(lines: Sequence[str]) -> list[list[str]] | None:
    """Return the rows of a table with a header or with columns; None for lines that hold one name each."""
    if not lines:
        return None
    header_names = {cell for delimiter in DELIMITERS for cell in map(_normal_header, lines[0].split(delimiter))}
    has_header = bool(header_names & set(NAME_COLUMNS))
    tabbed = sum("\t" in line.strip() for line in lines)
    if not has_header and not (len(lines) > 1 and tabbed > len(lines) / 2):
        return None
    delimiter = max(DELIMITERS, key=lambda delimiter: (lines[0].count(delimiter), delimiter == "\t"))
    if delimiter not in lines[0]:
        delimiter = "\t"
    return _read_rows(lines, delimiter)


def _read_rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        return [[cell.strip() for cell in row] for row in rows]
    except csv.Error as error:
        raise InputError(
            f"The candidates cannot be split at '{delimiter}' ({error}). Write one name per line."
        ) from None


def _normal_header(cell: str) -> str:
    return cell.strip().strip("\"'").casefold()


def _column_of_names(rows: Sequence[Sequence[str]], origin: str) -> list[str]:
    header = [_normal_header(cell) for cell in rows[0]]
    column = next((header.index(name) for name in NAME_COLUMNS if name in header), None)
    if column is None:
        raise InputError(
            f"{origin} has {len(header)} columns, but no header that names one of them. "
            "Add a header with a column cell_type, or write one name per line."
        )
    uneven = next((i for i, row in enumerate(rows[1:], start=2) if row and len(row) != len(header)), None)
    if uneven is not None:
        raise InputError(
            f"{origin}, row {uneven}: {len(rows[uneven - 1])} fields, but the header has {len(header)}. "
            "Put names that contain the separator in quotes."
        )
    return list(dict.fromkeys(row[column] for row in rows[1:] if row and row[column]))


def _check_columns(lines: Sequence[str], origin: str, is_type: IsType) -> None:
    """Reject lines with the same number of fields, if some of the fields are types and others are not."""
    rows = [_split_line(line, is_type) for line in lines[:MAX_CHECKED_LINES]]
    if rows and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
        n_types = sum(is_type(name) for row in rows for name in row)
        if 0 < n_types < len(rows) * len(rows[0]):
            raise InputError(
                f"{origin} has {len(rows[0])} columns, but no header that names the one with the cell types. Name it "
                "cell_type, or write one name per line."
            )


def _names_of_line(line: str, origin: str, is_type: IsType) -> list[str]:
    """Return the names in a line: several if its parts are types, the whole line if none is."""
    entry = _clean_entry(line)
    if _is_whole(line, entry):
        return [entry] if entry else []
    names = _split_line(line, is_type)
    n_types = sum(map(is_type, names))
    is_mapping = ": " in entry and is_type(entry.split(":")[0])
    if n_types >= 2 and 2 * n_types >= len(names) and not is_mapping:
        return names
    if n_types or is_mapping:
        raise InputError(
            f"{origin}: the line '{_shorten(entry)}' holds more than one name. Write one name per line, a table with a "
            "column cell_type, or put a name that contains a separator in quotes."
        )
    return [entry]


def _is_whole(line: str, entry: str) -> bool:
    """Whether a line is one name: it is empty, quoted, without separator, or a name of the ontology."""
    is_plain = not any(delimiter in entry for delimiter in (*DELIMITERS, ": "))
    is_quoted = _QUOTED.fullmatch(_BULLET.sub("", line).strip().rstrip(",")) is not None
    return is_plain or is_quoted or ontology("CL").find(entry) is not None


def _split_line(line: str, is_type: IsType) -> list[str]:
    """Split a line at the separator that is in it; names that contain a comma stay whole."""
    entry = _clean_entry(line)
    if _is_whole(line, entry):
        return [entry] if entry else []
    delimiter = next((delimiter for delimiter in DELIMITERS if delimiter in line and delimiter != "|"), "|")
    if delimiter == "|" and sum(map(is_type, line.split("|"))) < 2:
        return [entry]
    fields = _read_rows([line], delimiter)[0]
    parts = [part for part in map(_clean_entry, fields) if part]
    return rejoin_commas(parts) if delimiter == "," else parts


def _clean_entry(entry: str) -> str:
    entry = _BULLET.sub("", entry).strip().rstrip(",").strip()
    if len(entry) > 1 and entry[0] == entry[-1] and entry[0] in "\"'":
        entry = entry[1:-1].strip()
    return entry


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def rejoin_commas(entries: Iterable[str]) -> list[str]:
    """Rejoin names that contain a comma, such as "CD4-positive, alpha-beta T cell"."""
    find_term = ontology("CL").find
    remaining, joined = list(entries), []
    while remaining:
        sizes = range(min(MAX_NAME_PARTS, len(remaining)), 1, -1)
        size = next((size for size in sizes if find_term(", ".join(remaining[:size]))), 1)
        joined.append(", ".join(remaining[:size]))
        remaining = remaining[size:]
    return joined
