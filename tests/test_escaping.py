"""Text of files does no harm in terminals, tables, pages and messages."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.escaping import (
    escape_formula,
    escape_formulas,
    escape_markdown,
    hide_credentials,
    printable,
    unescape_formula,
)


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text):
    line = printable(text)
    assert len(line.splitlines()) <= 1
    assert not any(char in line for char in "\x00\x07\x1b\x9b\t\n\r\u202e\u2066\u200f\u2028")
    line.encode()  # no lone surrogates


@pytest.mark.parametrize("name", ["CD4-positive, alpha-beta T cell", "Langerhans-Zelle, Größe 3 µm", "細胞 β", "a  b"])
def test_a_plain_name_is_printed_and_shown_on_pages_as_it_is(name):
    assert printable(name) == escape_markdown(name) == name


@given(st.text())
def test_an_escaped_cell_is_read_back_and_starts_no_formula(text):
    escaped = escape_formula(text)
    assert unescape_formula(escaped) == text
    assert escaped[:1] not in ("=", "@", "\t", "\r") or escaped == ""


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''-x"])
def test_a_formula_becomes_text(text):
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-0.5", "+7", "-1e-3", "-inf", -0.5, None, True, "", "T cell", "'quoted'"])
def test_a_number_or_plain_text_stays(value):
    assert escape_formula(value) is value


def test_a_table_keeps_its_numbers_and_types():
    table = pd.DataFrame(
        {"score": [-0.5, 1.0], "=label": pd.Categorical(["-x", "B"]), "flag": [True, False], "text": ["=1", None]}
    )
    escaped = escape_formulas(table)
    assert escaped.columns.tolist() == ["score", "'=label", "flag", "text"]
    assert escaped["score"].tolist() == [-0.5, 1.0] and escaped["flag"].dtype == bool
    assert escaped["'=label"].tolist() == ["'-x", "B"]
    text = escaped.to_csv(sep="\t", index=False)
    assert pd.read_csv(io.StringIO(text), sep="\t", keep_default_na=False)["text"].tolist() == ["'=1", ""]
    assert escape_formulas(table.iloc[:0]).columns.tolist() == escaped.columns.tolist()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("a|b", r"a\|b"),
        ("[cell](javascript:alert(1))", r"[cell]\(javascript:alert(1))"),
        ("**bold** and `code`", r"\*\*bold\*\* and \`code\`"),
        ("_all_ of cell_type", r"\_all\_ of cell_type"),
        ("&lt;b&gt; p < 0.05 & more", r"\&lt;b\&gt; p < 0.05 & more"),
        ("two\nlines", r"two\\nlines"),
        ("cited [1, 3]", "cited [1, 3]"),
    ],
)
def test_markup_in_a_name_is_shown_and_not_rendered(text, escaped):
    assert escape_markdown(text) == escaped


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://anna:pass@host/v1", "https://***@host/v1"),
        ("https://anna:p/a?s#s@host:80/v1", "https://***@host:80/v1"),
        ("anna:pass@host", "***@host"),
        ("https://host/v1?key=pass", "https://host/v1?***"),
        ("https://host/v1", "https://host/v1"),
    ],
)
def test_a_password_in_a_url_is_not_shown(url, shown):
    assert hide_credentials(url) == shown
    assert "pass" not in hide_credentials(url)
