"""Check that a sentence is in Latin script and contains no web address."""

import re
import unicodedata

_WEB_ADDRESS = re.compile(r"(?i)\bhttps?:|\bwww\.|\b[a-z0-9-]+\.(?:com|org|net|io|example)\b(?!\.[a-z])")


def unreadable_reason(text: str) -> str | None:
    """Return why a text cannot be checked, in one clause; None if it is in Latin script without a web address."""
    if _WEB_ADDRESS.search(text):
        return "contains a web address"
    letters = [letter for letter in text if letter.isalpha()]
    n_latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return "is not written in Latin letters" if 2 * n_latin < len(letters) else None
