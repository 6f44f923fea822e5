"""Split texts into overlapping passages of whole sentences."""

import re
from typing import Annotated

from pydantic import Field

from okrcell.settings import Settings

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|et al|approx|resp|Fig|Figs|Dr|No|St|spp|sp|ca|[A-Z])\.)$")


class PassageSettings(Settings):
    """Length and overlap of passages."""

    length: Annotated[int, Field(ge=1)] = 500
    """Maximum number of tokens (words and punctuation marks) of a passage; a longer sentence is a passage by itself."""
    overlap: Annotated[int, Field(ge=0)] = 50
    """Maximum number of tokens at the end of a passage that the next one repeats, in whole sentences."""


def split_passages(text: str, settings: PassageSettings) -> tuple[str, ...]:
    """Split a text into overlapping passages of whole sentences."""
    sentences = [(sentence, count_tokens(sentence)) for sentence in split_sentences(text)]
    passages: list[str] = []
    start = 0
    while start < len(sentences):
        end, length = start, 0
        while end < len(sentences) and (end == start or length + sentences[end][1] <= settings.length):
            length += sentences[end][1]
            end += 1
        passages.append(" ".join(sentence for sentence, _ in sentences[start:end]))
        if end == len(sentences):
            break
        # The next passage repeats the last sentences, but must end after this one.
        next_start, n_repeated = end, 0
        while next_start - 1 > start and n_repeated + sentences[next_start - 1][1] <= settings.overlap:
            next_start -= 1
            n_repeated += sentences[next_start][1]
        start = next_start if n_repeated + sentences[end][1] <= settings.length else end
    return tuple(passages)


def count_tokens(text: str) -> int:
    """Return the number of words and punctuation marks."""
    return len(_TOKEN.findall(text))


def split_sentences(text: str) -> tuple[str, ...]:
    """Split a text into sentences; "e.g.", "et al." and initials do not end a sentence."""
    text = " ".join(text.split())
    sentences: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        sentence = text[start : end.end()].strip()
        if not _ABBREVIATION.search(sentence):
            sentences.append(sentence)
            start = end.end()
    rest = text[start:].strip()
    return (*sentences, rest) if rest else tuple(sentences)
