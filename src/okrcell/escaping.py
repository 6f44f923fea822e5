"""Text of files and users made safe for terminals, tables, Markdown pages and messages."""

import re
import unicodedata
from typing import Any

_CONTROL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control, formatting (such as bidirectional override), surrogate and line separator characters."""
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")
_MARKUP = re.compile(
    r"""[\\`*|]           # escapes, code, emphasis, table cells
    | <(?=[A-Za-z/!?])    # HTML tags, comments, automatic links
    | &(?=\w+;|\#)        # character references
    | (?<=\])\(           # the target of a link or an image
    | (?<!\w)_ | _(?!\w)  # emphasis; between letters it is a character like others
    | ~(?=~)""",
    re.VERBOSE,
)


def printable(text: object) -> str:
    r"""Escape the characters that would control a terminal, or that break a line.

    >>> printable("T cell\x1b[2J")
    'T cell\\x1b[2J'
    """
    string = str(text)
    if string.isprintable():
        return string
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _CONTROL_CATEGORIES else char
        for char in string
    )


def escape_markdown(text: object) -> str:
    r"""Escape what Markdown or HTML would interpret, and what breaks a line; plain names stay as they are.

    >>> escape_markdown("<b>T|B</b> cd4_naive")
    '\\<b>T\\|B\\</b> cd4_naive'
    """
    return _MARKUP.sub(lambda match: "\\" + match.group(), printable(text))


def escape_formulas(table: Any) -> Any:
    """Put an apostrophe before the texts of a DataFrame that a spreadsheet would run as formulas; numbers stay as they are.

    `unescape_formula` restores the text.
    """
    return table.rename(columns=escape_formula).apply(
        lambda column: column.map(escape_formula) if column.dtype.kind not in "biufcMm" else column
    )


def escape_formula(value: object) -> object:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; any other value stays as it is."""
    if not isinstance(value, str) or not _FORMULA.match(value) or _is_number(value):
        return value
    return f"'{value}"


def unescape_formula(text: str) -> str:
    """Remove the apostrophe that `escape_formulas` put before a text."""
    return text[1:] if _QUOTED_FORMULA.match(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def hide_credentials(url: str) -> str:
    """Replace the user and password of a URL, and what may hold a key: its query and fragment.

    >>> hide_credentials("https://anna:secret@example.org/files?token=1")
    'https://***@example.org/files?***'
    """
    address = re.sub(r"^([\w+.-]+://)?.*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"[?#].*", "?***", address, flags=re.DOTALL)
