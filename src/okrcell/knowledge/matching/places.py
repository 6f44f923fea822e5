"""Anatomical structures that are named by the words of a cell type name."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache

from okrcell.knowledge.matching.meaning import FILLER_WORDS
from okrcell.ontology.ontology import ontology

MAX_NAME_WORDS = 3
"""Maximum number of words of an anatomical name."""

MAX_STRUCTURE_DESCENDANTS = 2500
"""Maximum number of descendants of an informative structure; "organ", "head" and "tissue" have more."""

NERVOUS_SYSTEM = "UBERON:0001016"
"""Nervous system: informative in spite of its many descendants."""

VESSEL = "UBERON:0000055"
"""Vessel: compatible with every tissue."""

_ADJECTIVE_ENDING = re.compile(r"(ous|ary|ine|eal|ial|ual|al|ar|ic|um|us|ae|is|ex|ix|on|a|e|y)$")


def find_structures(words: Sequence[str]) -> frozenset[str]:
    """Return the Uberon ids named by ``words`` (normalised as by `meaning`): "decidual" names the decidua."""
    structure_ids: set[str] = set()
    start = 0
    while start < len(words):
        for length in range(min(MAX_NAME_WORDS, len(words) - start), 0, -1):
            if run_ids := _structures_of_run(" ".join(words[start : start + length])):
                structure_ids |= run_ids
                break
        else:
            length = 1
        start += length
    return frozenset(structure_ids)


def is_structure(word: str) -> bool:
    """Tell whether a single word names an anatomical structure."""
    return bool(_structures_of_run(word))


def names_unrelated_structure(name_words: Sequence[str], label_words: Sequence[str], tissue_id: str) -> bool:
    """Tell whether a name mentions structures that are not in the label, all of them unrelated to the tissue."""
    structure_ids = find_structures([word for word in name_words if word not in label_words]) - find_structures(
        label_words
    )
    return bool(structure_ids) and _is_current_tissue(tissue_id) and not structure_ids & _related_structures(tissue_id)


def mentions_tissue(words: Sequence[str], tissue_id: str) -> bool:
    """Tell whether words name the tissue, a part of it, or a structure that it is part of."""
    return _is_current_tissue(tissue_id) and bool(find_structures(words) & _tissue_lineage(tissue_id))


def _is_current_tissue(tissue_id: str) -> bool:
    return ontology("UBERON").current_id(tissue_id) is not None


@lru_cache(512)
def _related_structures(tissue_id: str) -> frozenset[str]:
    uberon = ontology("UBERON")
    return uberon.overlapping(tissue_id) | uberon.descendants(VESSEL) | {VESSEL}


@lru_cache(512)
def _tissue_lineage(tissue_id: str) -> frozenset[str]:
    uberon = ontology("UBERON")
    lineage = {tissue_id, *uberon.descendants(tissue_id), *uberon.ancestors(tissue_id)}
    return frozenset(
        term
        for term in lineage
        if uberon.n_descendants.get(term, 0) <= MAX_STRUCTURE_DESCENDANTS or term == NERVOUS_SYSTEM
    )


@lru_cache(50_000)
def _structures_of_run(run: str) -> frozenset[str]:
    if run in FILLER_WORDS:
        return frozenset()
    term = ontology("UBERON").find(run)
    if term is not None:
        return frozenset({term.id})
    return frozenset() if " " in run else frozenset(_structures_by_stem().get(_stem(run), ()))


def _stem(word: str) -> str:
    if word.endswith("ocyte"):
        return word.removesuffix("ocyte")  # "thymocyte" names the thymus
    stem = _ADJECTIVE_ENDING.sub("", word)
    return stem if len(stem) >= 5 else ""


@cache
def _structures_by_stem() -> dict[str, set[str]]:
    uberon = ontology("UBERON")
    stems: dict[str, set[str]] = defaultdict(set)
    for term_id in uberon.term_ids():
        name = uberon.names_of(term_id)[0].lower()
        stem = _ADJECTIVE_ENDING.sub("", name)
        if name.isalpha() and len(stem) >= 4:
            stems[stem].add(term_id)
    return dict(stems)
