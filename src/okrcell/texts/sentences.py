"""English helpers: sentence splitting, articles, capitals, sentences from a name and a definition."""

import re
from collections.abc import Sequence

_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_ABBREVIATED = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|al|approx|sp|spp|ca|Fig|no|St|Dr)|\b[A-Z])\.$")
_OWN_SUBJECT = re.compile(
    r"(?:An?|Any|The|In|These|This)\b(?:(?!\b(?:that|which|who|whose|where|with|in)\b)[^.,;])*?\s"
    r"(?:is|are|has|have|can|may|refers|consists|expresses|express|include|includes)\s"
)
_ARTICLE = re.compile(r"(?:An?|Any)\s+(?!of\b|class\b|group\b|type of|collection\b|term\b|general\b|population\b)")


def split(text: str) -> list[str]:
    """Split a text into sentences; abbreviations such as "e.g." and initials do not end a sentence."""
    sentences: list[str] = []
    for part in _END.split(text.strip()):
        if sentences and _ABBREVIATED.search(sentences[-1]):
            sentences[-1] += f" {part}"
        elif part:
            sentences.append(part)
    return sentences


def shortened(text: str, limit: int) -> str:
    """Truncate to whole sentences of at most ``limit`` characters; the first is always kept. Ends with a full stop."""
    kept = ""
    for sentence in split(text):
        if kept and len(kept) + 1 + len(sentence) > limit:
            break
        kept = f"{kept} {sentence}".strip()
    return kept if not kept or kept[-1] in ".!?" else f"{kept}."


def introduced(name: str, definition: str, limit: int = 420) -> str:
    """Combine a name and its definition into sentences that begin with the name; the name alone without definition.

    "natural killer cell" with the definition "A lymphocyte that kills." gives "A natural killer cell is a lymphocyte
    that kills."
    """
    if not readable(definition):
        return f"{capital(name)}."
    text = shortened(_with_articles(definition), limit)
    if text.casefold().startswith((f"{name} ".casefold(), f"{article(name)} {name} ".casefold())):
        return capital(text)
    if _OWN_SUBJECT.match(text) or not (opening := _ARTICLE.match(text)):
        return f"{capital(name)}: {lower(text)}"
    rest = text[opening.end() :]
    return f"{capital(article(name))} {name} is {article(rest)} {rest}"


def readable(definition: str) -> bool:
    """Whether a definition exists and is prose; "a cell that in taxon some Fungi" is a logical formula."""
    return bool(definition.strip()) and "in taxon" not in definition


def apposition(name: str, definition: str, limit: int = 220) -> str:
    """Append the first sentence of a definition to the name, if it is short: "blood, a fluid that ..."."""
    first = shortened(_with_articles(definition), 0).rstrip(".")
    if (
        not readable(definition)
        or len(first) > limit
        or _OWN_SUBJECT.match(first)
        or first.casefold().startswith(name.casefold())
    ):
        return name
    if re.match(r"(An?|Any|The)\s", first):
        return f"{name}, {lower(re.sub(r'^Any ', 'A ', first))}"
    return f"{name}: {lower(first)}" if "(" in first else f"{name} ({lower(first)})"


def listed(words: Sequence[str]) -> str:
    """Join words to an English list: "CD79A, MS4A1 and CD19"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def article(name: str) -> str:
    """Return "a" or "an" by the sound of the first word: an NK cell, a unipolar cell, a CD4-positive T cell."""
    word = re.split(r"[\s,-]", name.strip(), maxsplit=1)[0]
    spelt = bool(re.fullmatch(r"[A-Z][A-Z0-9]{0,4}", word)) or (word[:2].isupper() and len(word) > 1)
    if spelt:
        return "an" if word[0] in "AEFHILMNORSX" else "a"
    return "an" if re.match(r"(?!uni|eu|us[aeiu]|one|ubi)[aeiou]", word, re.IGNORECASE) else "a"


def _with_articles(text: str) -> str:
    """Replace "a(n)" by the correct article: "A(n) B cell of a(n) organ" becomes "A B cell of an organ"."""

    def chosen(found: re.Match[str]) -> str:
        letter, word = found.groups()
        return f"{capital(article(word)) if letter == 'A' else article(word)} {word}"

    return re.sub(r"\b([Aa])\(n\)\s+(\S+)", chosen, text)


def capital(text: str) -> str:
    """Capitalise the first letter, unless the first word contains capitals (mRNA, pDC)."""
    first = text.split(maxsplit=1)[0] if text else ""
    return text if any(letter.isupper() for letter in first) else text[:1].upper() + text[1:]


def lower(text: str) -> str:
    """Lowercase the first letter, unless the first word is an abbreviation or contains digits."""
    first = text.split(maxsplit=1)[0] if text else ""
    return text if any(letter.isupper() or letter.isdigit() for letter in first[1:]) else text[:1].lower() + text[1:]
