"""Find mentions of cell types, tissues, diseases and proteins in a text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from okrcell.ontology.ontology import ontology
from okrcell.texts.screening.common_names import ACRONYMS, ADJECTIVES, ORDINARY_WORDS, PROTEINS, SMALL_MOLECULES
from okrcell.texts.screening.gene_mentions import is_gene_name
from okrcell.texts.screening.mentions import PUNCTUATION, Mention, WordToken, normalize_words, tokenize_words

ONTOLOGIES = ("CL", "UBERON", "MONDO")
"""Ontologies whose terms are searched."""
NameEntry = tuple[str, Iterable[str]]
"""A name with its term ids or gene symbols."""
MAX_NAME_WORDS = 12
"""Maximum number of words of a name."""

_LOCATED_CELL = re.compile(
    rf"(?P<cell>(?:(?! of | in ).)+ (?:cell|neuron)) (?:of|in) .*|(?:{'|'.join(ADJECTIVES)}) (?P<named>\S+ (?:cell|neuron))"
)
"""A cell name qualified by a location: "chief cell of parathyroid gland", "pancreatic beta cell". Also used without the
location."""


def term_mentions(text: str) -> Iterator[Mention]:
    """Yield mentions of cell types, tissues, diseases and proteins by name or synonym; the longest match wins.

    Short abbreviations and names that are ordinary words ("surface", "region") are ignored. "B and T cells" gives two
    mentions.
    """
    tokens = tokenize_words(text)
    names = _term_names()
    index = 0
    while index < len(tokens):
        for length in range(min(names.max_words.get(tokens[index].norm, 0), len(tokens) - index), 0, -1):
            stop = index + length
            key = " ".join(token.norm for token in tokens[index:stop])
            if key not in names.ids:
                continue
            surface = text[tokens[index].start : tokens[stop - 1].end]
            if key in names.exact_spellings and surface.strip() not in names.exact_spellings[key]:
                continue
            yield _term_mention(surface, index, stop, names.ids[key])
            yield from _shared_head_mentions(text, tokens, index, stop)
            index = stop - 1
            break
        index += 1


@dataclass(frozen=True)
class _TermNames:
    ids: dict[str, frozenset[str]]
    max_words: dict[str, int]
    """Number of words of the longest name that begins with a word."""
    exact_spellings: dict[str, frozenset[str]]
    """Names that match only in exactly this spelling."""


@cache
def _term_names() -> _TermNames:
    ids_by_key: dict[str, set[str]] = {}
    exact_spellings: dict[str, set[str]] = {}
    for layers in (*map(_name_layers, ONTOLOGIES), [_common_name_entries()]):
        earlier_keys: set[str] = set()
        for layer in layers:
            keys: set[str] = set()
            for name, entry_ids in layer:
                forms = _lookup_keys(name)
                if _is_abbreviation(name):
                    exact_spellings.update({key: {*exact_spellings.get(key, ()), name} for key in forms})
                for key in forms - earlier_keys:
                    ids_by_key.setdefault(key, set()).update(entry_ids)
                keys |= forms
            earlier_keys |= keys
    max_words: dict[str, int] = {}
    for key in ids_by_key:
        first_word, *rest = key.split(" ")
        max_words[first_word] = max(max_words.get(first_word, 0), 1 + len(rest))
    frozen_ids = {key: frozenset(ids) for key, ids in ids_by_key.items()}
    return _TermNames(frozen_ids, max_words, {key: frozenset(spellings) for key, spellings in exact_spellings.items()})


def _name_layers(prefix: str) -> Iterator[list[NameEntry]]:
    """Yield an ontology's names, then its synonyms, then shortened cell names; earlier layers take precedence."""
    source = ontology(prefix)
    terms = [source.term(term) for term in source.term_ids()]
    yield [(term.name, (term.id,)) for term in terms]
    human = [term for term in terms if not term.name.endswith("(Mmus)")]
    yield [(synonym, (term.id,)) for term in human for synonym in term.synonyms]
    if prefix == "CL":
        matches = [(_LOCATED_CELL.fullmatch(name), term.id) for term in human for name in (term.name, *term.synonyms)]
        shortened = [(match["cell"] or match["named"], (term,)) for match, term in matches if match]
        neurons = [
            (f"{term.name.removesuffix('neuron')}cell", (term.id,)) for term in human if term.name[-6:] == "neuron"
        ]
        yield [*shortened, *neurons]


def _common_name_entries() -> list[NameEntry]:
    adjectives = (
        (adjective, ontology("UBERON").find_exact(name) or ontology("CL").find_exact(name))
        for adjective, name in ADJECTIVES.items()
    )
    molecules = ((name, names.split()) for name, names in (*PROTEINS.items(), *SMALL_MOLECULES.items()))
    return [*((adjective, (term.id,)) for adjective, term in adjectives if term is not None), *molecules]


def _lookup_keys(name: str) -> set[str]:
    """Return the lookup keys of a name, with and without its commas; empty for a name that is not searched."""
    if name[:2] == "A ":  # "A cell" of the pancreas begins like any sentence about a cell
        return set()
    if _is_abbreviation(name) and (len(name) < 3 or (is_gene_name(name) and name not in ACRONYMS)):
        return set()
    tokens = normalize_words(name)
    without_punctuation = " ".join(token for token in tokens if token not in PUNCTUATION)
    if (
        not 0 < len(tokens) <= MAX_NAME_WORDS
        or len(without_punctuation) < 3
        or without_punctuation in ORDINARY_WORDS
        or without_punctuation.isdigit()
    ):
        return set()
    return {" ".join(tokens), without_punctuation}


def _is_abbreviation(name: str) -> bool:
    return " " not in name and (len(name) < 4 or any(letter.isupper() for letter in name[1:]))


def _term_mention(surface: str, start: int, stop: int, ids: frozenset[str]) -> Mention:
    terms = frozenset(entity_id for entity_id in ids if ":" in entity_id)
    return Mention(surface, "term" if terms or not ids else "gene", start, stop, terms or ids)


def _shared_head_mentions(text: str, tokens: Sequence[WordToken], start: int, stop: int) -> Iterator[Mention]:
    """Yield "B" of "B and T cells": mentions that share the head noun of a mention."""
    if stop - start < 2:
        return
    head = " ".join(token.norm for token in tokens[start + 1 : stop])
    index = start
    while index >= 2 and tokens[index - 1].norm in ("and", "or", ","):
        index -= 1
        while index > 0 and tokens[index - 1].norm == ",":
            index -= 1
        index -= 1
        ids = _term_names().ids.get(f"{tokens[index].norm} {head}") if index >= 0 else None
        if ids is None:
            return
        yield _term_mention(text[tokens[index].start : tokens[index].end], index, index + 1, ids)
