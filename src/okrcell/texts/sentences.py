"""English helpers: sentence splitting, articles, capitals, sentences from a name and a definition."""

import re
from collections.abc import Sequence

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_ABBREVIATION_END = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|al|approx|sp|spp|ca|Fig|no|St|Dr)|\b[A-Z])\.$")
_SUBJECT_AND_VERB = re.compile(
    r"(?:An?|Any|The|In|These|This)\b(?:(?!\b(?:that|which|who|whose|where|with|in)\b)[^.,;])*?\s"
    r"(?:is|are|has|have|can|may|refers|consists|expresses|express|include|includes)\s"
)
_LEADING_ARTICLE = re.compile(
    r"(?:An?|Any)\s+(?!of\b|class\b|group\b|type of|collection\b|term\b|general\b|population\b)"
)


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences; abbreviations such as "e.g." and initials do not end a sentence."""
    sentences: list[str] = []
    for part in _SENTENCE_END.split(text.strip()):
        if sentences and _ABBREVIATION_END.search(sentences[-1]):
            sentences[-1] += f" {part}"
        elif part:
            sentences.append(part)
    return sentences


def truncate_sentences(text: str, limit: int) -> str:
    """Truncate to whole sentences of at most ``limit`` characters; the first is always kept. Ends with a full stop."""
    truncated = ""
    for sentence in split_sentences(text):
        if truncated and len(truncated) + 1 + len(sentence) > limit:
            break
        truncated = f"{truncated} {sentence}".strip()
    return truncated if not truncated or truncated[-1] in ".!?" else f"{truncated}."


def definition_sentence(name: str, definition: str, limit: int = 420) -> str:
    """Combine a name and its definition into sentences that begin with the name; the name alone without definition.

    "natural killer cell" with the definition "A lymphocyte that kills." gives "A natural killer cell is a lymphocyte
    that kills."
    """
    if not is_prose(definition):
        return f"{capitalize_first(name)}."
    text = truncate_sentences(_resolve_articles(definition), limit)
    if text.casefold().startswith((f"{name} ".casefold(), f"{indefinite_article(name)} {name} ".casefold())):
        return capitalize_first(text)
    if _SUBJECT_AND_VERB.match(text) or not (opening := _LEADING_ARTICLE.match(text)):
        return f"{capitalize_first(name)}: {lowercase_first(text)}"
    rest = text[opening.end() :]
    return f"{capitalize_first(indefinite_article(name))} {name} is {indefinite_article(rest)} {rest}"


def is_prose(definition: str) -> bool:
    """Whether a definition exists and is prose; "a cell that in taxon some Fungi" is a logical formula."""
    return bool(definition.strip()) and "in taxon" not in definition


def apposition(name: str, definition: str, limit: int = 220) -> str:
    """Append the first sentence of a definition to the name, if it is short: "blood, a fluid that ..."."""
    first_sentence = truncate_sentences(_resolve_articles(definition), 0).rstrip(".")
    if (
        not is_prose(definition)
        or len(first_sentence) > limit
        or _SUBJECT_AND_VERB.match(first_sentence)
        or first_sentence.casefold().startswith(name.casefold())
    ):
        return name
    if re.match(r"(An?|Any|The)\s", first_sentence):
        return f"{name}, {lowercase_first(re.sub(r'^Any ', 'A ', first_sentence))}"
    return (
        f"{name}: {lowercase_first(first_sentence)}"
        if "(" in first_sentence
        else f"{name} ({lowercase_first(first_sentence)})"
    )


def join_list(words: Sequence[str]) -> str:
    """Join words to an English list: "CD79A, MS4A1 and CD19"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def indefinite_article(name: str) -> str:
    """Return "a" or "an" by the sound of the first word: an NK cell, a unipolar cell, a CD4-positive T cell."""
    word = re.split(r"[\s,-]", name.strip(), maxsplit=1)[0]
    is_spelled_out = bool(re.fullmatch(r"[A-Z][A-Z0-9]{0,4}", word)) or (word[:2].isupper() and len(word) > 1)
    if is_spelled_out:
        return "an" if word[0] in "AEFHILMNORSX" else "a"
    return "an" if re.match(r"(?!uni|eu|us[aeiu]|one|ubi)[aeiou]", word, re.IGNORECASE) else "a"


def _resolve_articles(text: str) -> str:
    """Replace "a(n)" by the correct article: "A(n) B cell of a(n) organ" becomes "A B cell of an organ"."""

    def replace_article(match: re.Match[str]) -> str:
        letter, word = match.groups()
        return f"{capitalize_first(indefinite_article(word)) if letter == 'A' else indefinite_article(word)} {word}"

    return re.sub(r"\b([Aa])\(n\)\s+(\S+)", replace_article, text)


def capitalize_first(text: str) -> str:
    """Capitalise the first letter, unless the first word contains capitals (mRNA, pDC)."""
    first_word = text.split(maxsplit=1)[0] if text else ""
    return text if any(letter.isupper() for letter in first_word) else text[:1].upper() + text[1:]


def lowercase_first(text: str) -> str:
    """Lowercase the first letter, unless the first word is an abbreviation or contains digits."""
    first_word = text.split(maxsplit=1)[0] if text else ""
    return (
        text if any(letter.isupper() or letter.isdigit() for letter in first_word[1:]) else text[:1].lower() + text[1:]
    )
