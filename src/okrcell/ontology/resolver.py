"""Resolve a cell type, as a person writes it, to a Cell Ontology term."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache, lru_cache

from okrcell.errors import InputError
from okrcell.ontology.label_parsing import clean_label
from okrcell.ontology.matcher import MIN_MATCH_SCORE, MatchMethod, TermMatch
from okrcell.ontology.ontology import Term, normalize_name, ontology, prefix_of
from okrcell.ontology.standardise import candidate_terms

CELL_ONTOLOGY = "CL"
MAX_NAME_WORDS = 9
"""Maximum number of words of a label; a longer text is a sentence, of which parts are not matched."""
MAX_SUGGESTIONS = 2
MIN_SUGGESTION_SCORE = 0.35
"""Minimum score of a match below the threshold that is suggested."""
_SENTENCE = re.compile(
    r"\b(that|which|who|whose|where|is|are|was|has|have|can|may|makes?|expresses|express|expressing|produces|producing"
    r"|secretes|found|near|during)\b",
    re.IGNORECASE,
)
_OBO_ADDRESS = re.compile(r"https?://purl\.obolibrary\.org/obo/(?=[A-Za-z]+_)")
_ID = re.compile(r"([A-Za-z][A-Za-z_.]*)[:_]([A-Z]?\d{4,})")


@dataclass(frozen=True)
class ResolvedType:
    """Term of a cell type that a person wrote."""

    entry: str
    """Text as entered, with single spaces."""
    term: Term | None
    """None if the text names no known cell type."""
    method: MatchMethod | None = None
    omitted: tuple[str, ...] = ()
    """Words of the text that the term does not cover, so that the term is broader."""
    suggestions: tuple[str, ...] = ()
    """Names that are similar to a text without a term."""
    broader: Term | None = None
    """A broader term that is not used, because another candidate has it or it would lose a word."""

    @property
    def is_exact(self) -> bool:
        """Whether the term is what the text says, and not a broader or narrower one."""
        return self.term is not None and self.method != "part"

    @property
    def remark(self) -> str:
        """What the text was resolved to; "" for an id or the name of the term."""
        if self.term is None:
            reason = f" (only the broader {self.broader.name})" if self.broader else ""
            return f"{self.entry}: no known cell type{reason}{self.question}; read as free text"
        if self.method == "id" or normalize_name(self.entry) == normalize_name(self.term.name):
            return ""
        target = f"{self.entry} -> {self.term.id} {self.term.name}"
        if self.omitted:
            return f"{target}, without '{' '.join(self.omitted)}'"
        return target if self.is_exact else f"{target}, the nearest type"

    @property
    def question(self) -> str:
        """The suggestions as a question: " (did you mean T cell?)"."""
        return f" (did you mean {' or '.join(self.suggestions)}?)" if self.suggestions else ""


@lru_cache(20_000)
def resolve_cell_type(entry: str, tissue_id: str = "") -> ResolvedType:
    """Return the Cell Ontology term of an id, a name, a synonym, an abbreviation or a label.

    Labels are matched as by `okrcell.tl.standardise`. Of a sentence only the whole text is compared with names.

    Parameters
    ----------
    entry
        Text; an id of the Cell Ontology may be written as "CL:0000236", "cl_0000236" or as its address.
    tissue_id
        Uberon id of the tissue of the cells: it resolves "beta" in the pancreas. A label that is not resolved in its
        tissue is matched without it.

    Raises
    ------
    InputError
        If the text is an id of another ontology, or a Cell Ontology id that does not exist.
    """
    text = _OBO_ADDRESS.sub("", " ".join(entry.split()))
    check_ontology_id(text)
    if prefix_of(text) == CELL_ONTOLOGY:
        return ResolvedType(text, ontology(CELL_ONTOLOGY).term(text), "id")
    if not clean_label(text):
        return ResolvedType(text, None)
    if is_sentence(text):
        term = ontology(CELL_ONTOLOGY).find(text)
        return ResolvedType(text, term, "synonym" if term else None)
    candidates: tuple[TermMatch, ...] = ()
    for tissue in dict.fromkeys((tissue_id, "")):
        candidates = candidate_terms("cell_type", text, tissue_id=tissue)
        best = candidates[0] if candidates else None
        if best is not None and best.score >= MIN_MATCH_SCORE:
            if best.method == "part" and (corrected := _corrected_name(text, best.omitted)):
                return ResolvedType(text, None, suggestions=(corrected,))
            return ResolvedType(text, best.term, best.method, best.omitted)
    return ResolvedType(text, None, suggestions=tuple(_suggestions(text, candidates)))


def is_sentence(text: str) -> bool:
    """Whether a text is a sentence rather than a label: it has a verb or many words."""
    return _SENTENCE.search(text) is not None or len(text.split()) > MAX_NAME_WORDS


def as_free_text(resolved: ResolvedType) -> ResolvedType:
    """Return the same text without its broader term, which another candidate has or which would lose a word."""
    return replace(resolved, term=None, method=None, omitted=(), broader=resolved.term)


def check_ontology_id(text: str) -> None:
    """Reject an id of another ontology than the Cell Ontology.

    Raises
    ------
    InputError
        If the text has the form of an id, such as "UBERON:0000178".
    """
    match = _ID.fullmatch(text)
    if match is not None and match[1].upper() != CELL_ONTOLOGY:
        raise InputError(
            f"'{text}' is not an id of the Cell Ontology (CL:...), but of {match[1]}. Pass a cell type: its name or CL id."
        )


def _corrected_name(text: str, omitted: tuple[str, ...]) -> str:
    """Return the name that a text becomes if a misspelt word is corrected: "T cell" of "T cel"; "" if there is none."""
    words = normalize_name(text).split()
    for i, word in enumerate(words):
        if word in omitted and word not in _name_words():
            for close in get_close_matches(word, _name_words(), 3, 0.75):
                term = ontology(CELL_ONTOLOGY).find(" ".join((*words[:i], close, *words[i + 1 :])))
                if term is not None:
                    return term.name
    return ""


def _suggestions(text: str, candidates: tuple[TermMatch, ...]) -> Iterator[str]:
    """Yield names that are spelled similarly, else the best matches below the threshold."""
    close = get_close_matches(normalize_name(text), _names(), MAX_SUGGESTIONS, 0.8)
    similar = dict.fromkeys(_names()[name] for name in close)
    likely = dict.fromkeys(match.term.name for match in candidates if match.score >= MIN_SUGGESTION_SCORE)
    yield from list(similar or likely)[:MAX_SUGGESTIONS]


@cache
def _names() -> dict[str, str]:
    """Normalised names and synonyms of the Cell Ontology, with the name of their term."""
    cells = ontology(CELL_ONTOLOGY)
    names: dict[str, str] = {}
    for term_id in cells.term_ids():
        term_name, *synonyms = cells.names_of(term_id)
        if not term_name.endswith("(Mmus)"):
            for name in (term_name, *synonyms):
                names.setdefault(normalize_name(name), term_name)
    return names


@cache
def _name_words() -> dict[str, None]:
    return dict.fromkeys(word for name in _names() for word in name.split())
