"""Cell types, tissues and diseases as the ontologies name, define and order them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.metadata import version
from itertools import product
from typing import Any, cast

from okrcell.errors import InputError
from okrcell.knowledge.definitions import without_references
from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.naming import normal_name

ONTOLOGIES = {
    "CL": ("Cell Ontology", "CC BY 4.0"),
    "UBERON": ("Uberon", "CC BY 3.0"),
    "MONDO": ("Mondo Disease Ontology", "CC BY 4.0"),
    "EFO": ("Experimental Factor Ontology", "Apache-2.0"),
    "HsapDv": ("Human Developmental Stages", "CC BY 3.0"),
    "PATO": ("Phenotype and Trait Ontology", "CC BY 3.0"),
    "HANCESTRO": ("Human Ancestry Ontology", "CC BY 4.0"),
    "MmusDv": ("Mouse Developmental Stages", "CC BY 3.0"),
}
"""Prefix of the ids: (name of the ontology, its licence)."""

NOUNS = {"CL": ("cell",), "UBERON": ("of body", "gland", "tissue", "proper"), "HsapDv": ("stage",)}
"""Words that people leave out of names: a "mast" is a mast cell, an "adrenal" an adrenal gland."""

NOTHING_MORE = frozenset({"of body"})
"""Those that add nothing at all: skin is the skin of the body, before it is any part of it."""

_ADJECTIVE = re.compile(r".*(al|ar|ary|ic|id|ous|ine)")

_ID = re.compile(r"\s*([A-Za-z]+)[:_](\S*)\s*")


@dataclass(frozen=True)
class Term:
    """One entry of an ontology."""

    id: str
    name: str
    definition: str
    """In the ontology's own words, without its literature references; empty when it has none."""
    synonyms: tuple[str, ...]


class Ontology:
    """One ontology of `ONTOLOGIES`, read from the package cellxgene-ontology-guide when first asked."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.name, self.licence = ONTOLOGIES[prefix]

    @cached_property
    def snapshot(self) -> str:
        """The release that is read, and the package that carries it."""
        release = _schema().supported_ontologies[self.prefix]["version"]
        return f"{release} (cellxgene-ontology-guide {version('cellxgene-ontology-guide')})"

    def term(self, term_id: str) -> Term:
        """Look up an id; an obsolete one gives the term that replaced it.

        Raises
        ------
        InputError
            If the ontology has no such term, or gave it up without a replacement.
        """
        current = self.current(term_id)
        if current is None:
            raise InputError(self._unknown(term_id))
        record = self._records[current]
        synonyms = (str(synonym) for synonym in record.get("synonyms", ()))
        return Term(current, record["label"], without_references(record.get("description", "")), tuple(synonyms))

    def names_of(self, term_id: str) -> tuple[str, ...]:
        """List the name and synonyms of a term in use; cheaper than `term`."""
        return (self._records[term_id]["label"], *self._spellings(term_id))

    def current(self, term_id: str) -> str | None:
        """Write an id as the ontology does today: "cl_0000624" is "CL:0000624"; None when there is no such term."""
        match = _ID.fullmatch(term_id)
        if match is None or match[1].casefold() != self.prefix.casefold():
            return None
        seen: set[str] = set()
        found = f"{self.prefix}:{match[2]}"
        while found in self._records and found not in seen:
            record = self._records[found]
            if not record["deprecated"]:
                return found
            seen.add(found)
            found = str(record.get("replaced_by", ""))
        return None

    def find(self, label: str) -> Term | None:
        """Find the one term with this name or synonym; None when there is none, or more than one.

        Spelling is compared as `normal_name` says, and "B", "microglia" or "fetal" may stand for "B cell", "microglial
        cell", "fetal stage". A name outranks a synonym. Abbreviations must be written as the ontology writes them,
        and those of three capitals are left alone, for a few letters mean many things.
        """
        if not normal_name(label):
            return None
        nouns = [noun for noun in NOUNS.get(self.prefix, ()) if _goes_with(label, noun)]
        same = [f"{label.strip()} {noun}" for noun in nouns if noun in NOTHING_MORE]
        added = [f"{label.strip()} {noun}" for noun in nouns if noun not in NOTHING_MORE]
        if self.prefix == "CL" and normal_name(label).endswith("ia"):
            added.append(f"{label.strip()}l cell")
        return self._find((label, *same), added)

    def find_as_written(self, label: str) -> Term | None:
        """Find the one term with this name or synonym, as `find` does, without adding a noun such as "cell"."""
        return self._find((label,))

    def _find(self, *written: Sequence[str]) -> Term | None:
        # A noun that nobody wrote comes after every name and synonym that somebody did.
        for labels, names in product(written, (self._names, self._synonyms)):
            for label in labels:
                key = normal_name(label)
                ids = names.get(key, ())
                if len(ids) > 1:
                    return None
                if ids and (names is self._names or len(key) > 4 or self._is_clear(label.strip(), ids[0])):
                    return self.term(ids[0])
        return None

    def _is_clear(self, abbreviation: str, term_id: str) -> bool:
        return abbreviation in self._spellings(term_id) and (len(abbreviation) > 3 or not abbreviation.isupper())

    def _spellings(self, term_id: str) -> Sequence[str]:
        return self._records[term_id].get("synonyms", ())

    def terms(self) -> tuple[str, ...]:
        """List the ids that are in use today, in the order of their numbers."""
        return self._in_use

    def parents(self, term_id: str) -> tuple[str, ...]:
        """List the terms one step above, sorted by id."""
        return tuple(sorted(above for above, steps in self._above(term_id).items() if steps == 1))

    def ancestors(self, term_id: str) -> frozenset[str]:
        """Gather every term above, without the term itself."""
        return frozenset(self._above(term_id)) - {self.term(term_id).id}

    def below(self, term_id: str) -> frozenset[str]:
        """Gather the terms in use that are kinds or parts of this one, without the term itself."""
        return frozenset(term for term in self._in_use if term_id in self._records[term]["ancestors"])

    def overlapping(self, term_id: str) -> frozenset[str]:
        """Gather the terms that have a kind or part in common with this one, and those above or below it."""
        parts = self.below(term_id) | {self.term(term_id).id}
        return parts.union(*(self._records[part]["ancestors"] for part in parts))

    def distance(self, one: str, other: str) -> int | None:
        """Count the steps from one term up to a shared ancestor and down to the other; None when they share none."""
        above_one, above_other = self._above(one), self._above(other)
        return min(
            (above_one[term] + above_other[term] for term in above_one.keys() & above_other.keys()), default=None
        )

    def common_parent(self, one: str, other: str) -> str | None:
        """Find the nearest term that both are kinds of, be it one of them; None when they share none.

        Of several that are equally near the narrowest is taken: the one with the fewest kinds below it.
        """
        above_one, above_other = self._above(one), self._above(other)
        shared = above_one.keys() & above_other.keys()
        steps = {term: above_one[term] + above_other[term] for term in shared if term in self._records}
        return min(steps, key=lambda term: (steps[term], self.kinds_below.get(term, 0), term), default=None)

    @cached_property
    def kinds_below(self) -> dict[str, int]:
        """How many terms lie below each term; one without any is left out."""
        below: dict[str, int] = {}
        for term in self._in_use:
            for above in self._records[term]["ancestors"]:
                below[above] = below.get(above, 0) + 1
        return below

    def has_name(self, label: str, term_id: str) -> bool:
        """Tell whether a label is the term's own name, but for spelling and a noun such as "cell"."""
        name = normal_name(self.term(term_id).name)
        return normal_name(label) in (name, *(name.removesuffix(f" {noun}") for noun in NOUNS.get(self.prefix, ())))

    def _above(self, term_id: str) -> dict[str, int]:
        term = self.term(term_id).id
        return {**self._records[term]["ancestors"], term: 0}

    @cached_property
    def _records(self) -> dict[str, Any]:
        return cast(dict[str, Any], _schema().ontology(self.prefix))

    @cached_property
    def _in_use(self) -> tuple[str, ...]:
        own = (term for term in self._records if term.startswith(f"{self.prefix}:"))
        return tuple(sorted(term for term in own if not self._records[term]["deprecated"]))

    @cached_property
    def _names(self) -> dict[str, tuple[str, ...]]:
        return _index((term, (self._records[term]["label"],)) for term in self.terms())

    @cached_property
    def _synonyms(self) -> dict[str, tuple[str, ...]]:
        human = (term for term in self.terms() if not self._records[term]["label"].endswith("(Mmus)"))
        return _index((term, self._spellings(term)) for term in human)

    def _unknown(self, term_id: str) -> str:
        if term_id in self._records:
            return f"The {self.name} gave up {term_id} and names no replacement; choose another term or write its name."
        near = get_close_matches(term_id, self.terms(), n=1, cutoff=0.3)
        hint = f" The nearest id is {near[0]} ({self.term(near[0]).name})." if near else ""
        example = self.terms()[0]
        return f"The {self.name} has no term '{term_id}'; an id looks like {example}.{hint} A name will do as well."


@cache
def ontology(prefix: str) -> Ontology:
    """Give the one `Ontology` of this prefix; it is kept for the life of the process.

    Raises
    ------
    InputError
        If the prefix is not one of `ONTOLOGIES`.
    """
    if prefix not in ONTOLOGIES:
        raise InputError(f"There is no ontology '{prefix}'; known here: {', '.join(ONTOLOGIES)}.")
    return Ontology(prefix)


def prefix_of(term_id: str) -> str | None:
    """Tell which ontology an id belongs to; None when it is no id of one of `ONTOLOGIES`."""
    match = _ID.fullmatch(term_id)
    return {known.casefold(): known for known in ONTOLOGIES}.get(match[1].casefold()) if match else None


class OntologySource:
    """Names, definitions and synonyms of ontology terms, with release and licence (a `KnowledgeSource`)."""

    name = "ontologies"

    @property
    def snapshot(self) -> str:
        """The releases that are read."""
        return "; ".join(f"{prefix} {ontology(prefix).snapshot}" for prefix in ONTOLOGIES)

    def about(self, term_id: str) -> Sequence[Evidence]:
        """Quote the term's name, definition and synonyms, in this order; empty when the id is unknown."""
        prefix = prefix_of(term_id)
        if prefix is None or ontology(prefix).current(term_id) is None:
            return ()
        home = ontology(prefix)
        term = home.term(term_id)
        address = (home.name, term.id, home.snapshot, home.licence)
        definition = (Evidence(term.definition, *address, "definition", (term.id,)),) if term.definition else ()
        synonyms = (Evidence(synonym, *address, "synonym", (term.id,)) for synonym in term.synonyms)
        return (Evidence(term.name, *address, "name", (term.id,)), *definition, *synonyms)

    def passages(self) -> Iterator[Evidence]:
        """Go through the definitions of cell types, tissues and diseases, each led by its term's name."""
        for prefix in ("CL", "UBERON", "MONDO"):
            home = ontology(prefix)
            for term in map(home.term, home.terms()):
                if term.definition:
                    text = f"{term.name}: {term.definition}"
                    yield Evidence(text, home.name, term.id, home.snapshot, home.licence, "definition", (term.id,))


@cache
def _schema() -> Any:
    from cellxgene_ontology_guide.supported_versions import CXGSchema

    return CXGSchema()


def _goes_with(label: str, noun: str) -> bool:
    # "Adrenal" is a gland, and "gut" is none.
    return noun != "gland" or _ADJECTIVE.fullmatch(normal_name(label)) is not None


def _index(named: Any) -> dict[str, tuple[str, ...]]:
    ids: dict[str, tuple[str, ...]] = {}
    for term, names in named:
        for key in {normal_name(name) for name in names}:
            ids[key] = (*ids.get(key, ()), term)
    return ids
