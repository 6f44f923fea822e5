"""Anatomical structures that are named by the words of a cell type name."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache

from okrcell.knowledge.matching.meaning import SILENT
from okrcell.knowledge.ontology import ontology

LONGEST = 3
"""Maximum number of words of an anatomical name."""

EVERYWHERE = 2500
"""Maximum number of descendants of an informative structure; "organ", "head" and "tissue" have more."""

NERVES = "UBERON:0001016"
"""Nervous system: informative in spite of its many descendants."""

VESSEL = "UBERON:0000055"
"""Vessel: compatible with every tissue."""

_ENDING = re.compile(r"(ous|ary|ine|eal|ial|ual|al|ar|ic|um|us|ae|is|ex|ix|on|a|e|y)$")


def places_in(words: Sequence[str]) -> frozenset[str]:
    """Return the Uberon ids named by ``words`` (normalised as by `meaning`): "decidual" names the decidua."""
    found: set[str] = set()
    start = 0
    while start < len(words):
        for length in range(min(LONGEST, len(words) - start), 0, -1):
            if here := _places(" ".join(words[start : start + length])):
                found |= here
                break
        else:
            length = 1
        start += length
    return frozenset(found)


def is_place(word: str) -> bool:
    """Tell whether a single word names an anatomical structure."""
    return bool(_places(word))


def elsewhere(name: Sequence[str], label: Sequence[str], tissue_id: str) -> bool:
    """Tell whether a name mentions structures that are not in the label, all of them unrelated to the tissue."""
    places = places_in([word for word in name if word not in label]) - places_in(label)
    return bool(places) and _known(tissue_id) and not places & _around(tissue_id)


def speaks_of(words: Sequence[str], tissue_id: str) -> bool:
    """Tell whether words name the tissue, a part of it, or a structure that it is part of."""
    return _known(tissue_id) and bool(places_in(words) & _same(tissue_id))


def _known(tissue_id: str) -> bool:
    return ontology("UBERON").current(tissue_id) is not None


@lru_cache(512)
def _around(tissue_id: str) -> frozenset[str]:
    tissues = ontology("UBERON")
    return tissues.overlapping(tissue_id) | tissues.below(VESSEL) | {VESSEL}


@lru_cache(512)
def _same(tissue_id: str) -> frozenset[str]:
    tissues = ontology("UBERON")
    near = {tissue_id, *tissues.below(tissue_id), *tissues.ancestors(tissue_id)}
    return frozenset(term for term in near if tissues.kinds_below.get(term, 0) <= EVERYWHERE or term == NERVES)


@lru_cache(50_000)
def _places(run: str) -> frozenset[str]:
    if run in SILENT:
        return frozenset()
    term = ontology("UBERON").find(run)
    if term is not None:
        return frozenset({term.id})
    return frozenset() if " " in run else frozenset(_by_stem().get(_stem(run), ()))


def _stem(word: str) -> str:
    if word.endswith("ocyte"):
        return word.removesuffix("ocyte")  # "thymocyte" names the thymus
    stem = _ENDING.sub("", word)
    return stem if len(stem) >= 5 else ""


@cache
def _by_stem() -> dict[str, set[str]]:
    tissues = ontology("UBERON")
    stems: dict[str, set[str]] = defaultdict(set)
    for term in tissues.terms():
        name = tissues.names_of(term)[0].lower()
        stem = _ENDING.sub("", name)
        if name.isalpha() and len(stem) >= 4:
            stems[stem].add(term)
    return dict(stems)
