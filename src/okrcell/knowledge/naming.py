"""Normalise names, so that different spellings of one name compare equal."""

import html
import re
import unicodedata

GREEK_LETTERS = {
    "α": " alpha ", "β": " beta ", "γ": " gamma ", "δ": " delta ", "ε": " epsilon ", "ζ": " zeta ", "κ": " kappa ",
    "λ": " lambda ", "μ": " mu ", "σ": " sigma ", "τ": " tau ", "ω": " omega ",
}  # fmt: skip
AMERICAN_SPELLINGS = {
    "tumour": "tumor",
    "haem": "hem",
    "aemia": "emia",
    "oesoph": "esoph",
    "foet": "fet",
    "oedema": "edema",
}
JOINED_WORDS = {"bcell": "b cell", "tcell": "t cell", "nkcell": "nk cell"}

_PUNCTUATION = str.maketrans(dict.fromkeys("-_,;:/|()[]{}\"'’‘′`.–—", " "))
_POSITIVE = re.compile(r"(?<=\w)\+")
_NEGATIVE = re.compile(r"\b(CD\d+[A-Za-z]*|[A-Z][A-Z0-9]{2,}|[Ll]in)[-−](?=$|[\s,/)]|CD\d)")


def normalize_name(name: str) -> str:
    """Normalise a name for comparison.

    Case, hyphens, commas, plurals, Greek letters and British spelling are ignored. A plus or minus after a marker is
    kept: ``"CD8+ T-cells"`` and ``"CD8-positive T cell"`` are one name, ``"CD8- T cell"`` is another.
    """
    if not name.isascii() or "&" in name:
        name = unicodedata.normalize("NFKC", html.unescape(name))
    if "+" in name:
        name = _POSITIVE.sub(" positive ", name)
    if "-" in name or not name.isascii():
        name = _NEGATIVE.sub(r"\1 negative ", name)
    name = name.lower()
    if not name.isascii():
        for letter, word in GREEK_LETTERS.items():
            name = name.replace(letter, word)
    for british, american in AMERICAN_SPELLINGS.items():
        if british in name:
            name = name.replace(british, american)
    return " ".join(_singular(word) for word in name.translate(_PUNCTUATION).split())


def _singular(word: str) -> str:
    if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        word = word[:-1]
    return JOINED_WORDS.get(word, word)
