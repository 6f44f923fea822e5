"""Whether a sentence is prose that can be read here at all."""

import re
import unicodedata

_ADDRESS = re.compile(r"(?i)\bhttps?:|\bwww\.|\b[a-z0-9-]+\.(?:com|org|net|io|example)\b(?!\.[a-z])")


def unreadable(text: str) -> str | None:
    """Say why no word of a text can be checked, in one clause; None when it is in Latin letters and without address."""
    if _ADDRESS.search(text):
        return "holds an address of the web"
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return "is not written in Latin letters" if 2 * latin < len(letters) else None
