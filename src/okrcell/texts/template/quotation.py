"""Quote one literature sentence about a cell type."""

import re
from collections.abc import Iterator

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.naming import normal_name
from okrcell.texts.description import Sentence
from okrcell.texts.known import Known
from okrcell.texts.profile import CellProfile
from okrcell.texts.sentences import split

SHORTEST, LONGEST = 50, 280
"""Minimum and maximum length of a quoted sentence, in characters."""

_LEANING = re.compile(
    r"(?:this|these|those|it|they|such|here|we|our|however|therefore|thus|moreover|furthermore|in addition|also|both"
    r"|in contrast|conversely|consequently|finally|similarly|objectives?|background|methods?|results?|conclusions?|aims?)\b",
    re.IGNORECASE,
)
"""Openings of sentences that depend on the previous sentence or refer to the paper itself."""
_OWN_DOINGS = re.compile(
    r"\b(?:we|our|this (?:study|paper|work|review)|patients|were|was|p ?[<=]|n ?=)\b|[%?]", re.IGNORECASE
)
_SAYS_SOMETHING = re.compile(
    r"(?:is|are|can|may|have|has|play|express|produce|secrete|contribute|regulate|mediate|migrate|differentiate|act"
    r"|respond|recognise|recognize|kill|line|form|arise|derive|originate|represent|constitute|maintain|support|release"
    r"|undergo|serve|function|store|synthesi[sz]e)e?s?\b"
)


def quotation(profile: CellProfile, known: Known) -> Iterator[Sentence]:
    """Yield the first literature sentence whose subject is the cell type, verbatim, with its record; at most one.

    Only general statements are quoted: no results of a single study, and no sentence that depends on its context.
    """
    if not profile.cell_type_id:
        return
    names = [profile.cell_type, *(name for name in known.synonyms(profile.cell_type_id) if len(name) > 4)]
    for piece in known.all("passage"):
        for text in split(piece.text) if _is_literature(piece) else ():
            if _speaks_of(text, names):
                yield Sentence(f"The literature ({piece.record}) says: “{text}”", (piece,))
                return


def _speaks_of(text: str, names: list[str]) -> bool:
    if not SHORTEST <= len(text) <= LONGEST or _LEANING.match(text) or _OWN_DOINGS.search(text) or text[-1] != ".":
        return False
    words = re.sub(r"^(?:the|a|an) ", "", normal_name(re.sub(r"\s*\([^()]*\)", "", text)))
    subjects = (normal_name(name) for name in names)
    return any(words.startswith(f"{one} ") and _SAYS_SOMETHING.match(words[len(one) + 1 :]) for one in subjects)


def _is_literature(piece: Evidence) -> bool:
    return not any(piece.record == term for term in piece.terms)
