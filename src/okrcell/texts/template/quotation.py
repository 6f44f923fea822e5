"""Quote one literature sentence about a cell type."""

import re
from collections.abc import Iterator

from okrcell.evidence import Evidence
from okrcell.knowledge.naming import normalize_name
from okrcell.texts.description import Sentence
from okrcell.texts.known import EvidenceIndex
from okrcell.ontology.obs_profile import CellProfile
from okrcell.texts.sentences import split_sentences

MIN_QUOTE_CHARS, MAX_QUOTE_CHARS = 50, 280
"""Minimum and maximum length of a quoted sentence, in characters."""

_CONTEXT_DEPENDENT = re.compile(
    r"(?:this|these|those|it|they|such|here|we|our|however|therefore|thus|moreover|furthermore|in addition|also|both"
    r"|in contrast|conversely|consequently|finally|similarly|objectives?|background|methods?|results?|conclusions?|aims?)\b",
    re.IGNORECASE,
)
"""Openings of sentences that depend on the previous sentence or refer to the paper itself."""
_STUDY_SPECIFIC = re.compile(
    r"\b(?:we|our|this (?:study|paper|work|review)|patients|were|was|p ?[<=]|n ?=)\b|[%?]", re.IGNORECASE
)
_STATEMENT_VERB = re.compile(
    r"(?:is|are|can|may|have|has|play|express|produce|secrete|contribute|regulate|mediate|migrate|differentiate|act"
    r"|respond|recognise|recognize|kill|line|form|arise|derive|originate|represent|constitute|maintain|support|release"
    r"|undergo|serve|function|store|synthesi[sz]e)e?s?\b"
)


def literature_quote(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield the first literature sentence whose subject is the cell type, verbatim, with its record; at most one.

    Only general statements are quoted: no results of a single study, and no sentence that depends on its context.
    """
    if not profile.cell_type_id:
        return
    names = [profile.cell_type, *(name for name in index.synonyms(profile.cell_type_id) if len(name) > 4)]
    for piece in index.with_aspect("passage"):
        for text in split_sentences(piece.text) if _is_literature(piece) else ():
            if _has_subject(text, names):
                yield Sentence(f"The literature ({piece.record}) says: “{text}”", (piece,))
                return


def _has_subject(text: str, names: list[str]) -> bool:
    if (
        not MIN_QUOTE_CHARS <= len(text) <= MAX_QUOTE_CHARS
        or _CONTEXT_DEPENDENT.match(text)
        or _STUDY_SPECIFIC.search(text)
        or text[-1] != "."
    ):
        return False
    statement = re.sub(r"^(?:the|a|an) ", "", normalize_name(re.sub(r"\s*\([^()]*\)", "", text)))
    subjects = (normalize_name(name) for name in names)
    return any(
        statement.startswith(f"{subject} ") and _STATEMENT_VERB.match(statement[len(subject) + 1 :])
        for subject in subjects
    )


def _is_literature(piece: Evidence) -> bool:
    return not any(piece.record == term for term in piece.terms)
