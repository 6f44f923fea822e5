"""Ontologies of cell types, tissues, diseases, stages and assays: names, synonyms, definitions, ancestors."""

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
"""Id prefix: (name of the ontology, licence)."""

NOUNS = {"CL": ("cell",), "UBERON": ("of body", "gland", "tissue", "proper"), "HsapDv": ("stage",)}
"""Nouns that labels omit, by prefix: "mast" is a mast cell, "adrenal" an adrenal gland."""

NOTHING_MORE = frozenset({"of body"})
"""Nouns that do not change the meaning: "skin" is "skin of body" rather than one of its parts."""

_ADJECTIVE = re.compile(r".*(al|ar|ary|ic|id|ous|ine)")

_ID = re.compile(r"\s*([A-Za-z]+)[:_](\S*)\s*")


@dataclass(frozen=True)
class Term:
    """Ontology term."""

    id: str
    name: str
    definition: str
    """Definition without literature references; empty if the term has none."""
    synonyms: tuple[str, ...]


class Ontology:
    """One ontology of `ONTOLOGIES`, read from the package cellxgene-ontology-guide at first use."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.name, self.licence = ONTOLOGIES[prefix]

    @cached_property
    def snapshot(self) -> str:
        """Release of the ontology, and version of the package that contains it."""
        release = _schema().supported_ontologies[self.prefix]["version"]
        return f"{release} (cellxgene-ontology-guide {version('cellxgene-ontology-guide')})"

    def term(self, term_id: str) -> Term:
        """Look up an id; an obsolete id returns its replacement.

        Raises
        ------
        InputError
            If the ontology has no such term, or the term is obsolete without a replacement.
        """
        current = self.current(term_id)
        if current is None:
            raise InputError(self._unknown(term_id))
        record = self._records[current]
        synonyms = (str(synonym) for synonym in record.get("synonyms", ()))
        return Term(current, record["label"], without_references(record.get("description", "")), tuple(synonyms))

    def names_of(self, term_id: str) -> tuple[str, ...]:
        """Return name and synonyms of a current term; cheaper than `term`."""
        return (self._records[term_id]["label"], *self._spellings(term_id))

    def current(self, term_id: str) -> str | None:
        """Return the current form of an id ("cl_0000624" is "CL:0000624"), or its replacement; None for an unknown id."""
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
        """Find the unique term with this name or synonym; None if there is none or more than one.

        Names are compared by `normal_name`. "B", "microglia" and "fetal" also match "B cell", "microglial cell" and "fetal
        stage". A name outranks a synonym. An abbreviation must be spelled as in the ontology; abbreviations of up to
        three capitals are not matched, because they are ambiguous.
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
        """Find the unique term with this name or synonym like `find`, but without adding a noun such as "cell"."""
        return self._find((label,))

    def _find(self, *written: Sequence[str]) -> Term | None:
        # Labels with an added noun are tried after all names and synonyms of the label itself.
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
        """Return the ids of all current terms, ascending."""
        return self._in_use

    def parents(self, term_id: str) -> tuple[str, ...]:
        """Return the direct parents of a term, sorted by id."""
        return tuple(sorted(above for above, steps in self._above(term_id).items() if steps == 1))

    def ancestors(self, term_id: str) -> frozenset[str]:
        """Return all ancestors of a term, without the term itself."""
        return frozenset(self._above(term_id)) - {self.term(term_id).id}

    def below(self, term_id: str) -> frozenset[str]:
        """Return all current descendants (subtypes and parts) of a term, without the term itself."""
        return frozenset(term for term in self._in_use if term_id in self._records[term]["ancestors"])

    def overlapping(self, term_id: str) -> frozenset[str]:
        """Return all terms that share a descendant with this term, with its ancestors, descendants and itself."""
        parts = self.below(term_id) | {self.term(term_id).id}
        return parts.union(*(self._records[part]["ancestors"] for part in parts))

    def distance(self, one: str, other: str) -> int | None:
        """Return the number of steps between two terms by way of a shared ancestor; None without a shared ancestor."""
        above_one, above_other = self._above(one), self._above(other)
        return min(
            (above_one[term] + above_other[term] for term in above_one.keys() & above_other.keys()), default=None
        )

    def common_parent(self, one: str, other: str) -> str | None:
        """Find the nearest common ancestor, which may be one of the two terms; None if there is none.

        Of several equally near ancestors the narrowest is returned: the one with the fewest descendants.
        """
        above_one, above_other = self._above(one), self._above(other)
        shared = above_one.keys() & above_other.keys()
        steps = {term: above_one[term] + above_other[term] for term in shared if term in self._records}
        return min(steps, key=lambda term: (steps[term], self.kinds_below.get(term, 0), term), default=None)

    @cached_property
    def kinds_below(self) -> dict[str, int]:
        """Number of descendants of each term; terms without descendants are left out."""
        below: dict[str, int] = {}
        for term in self._in_use:
            for above in self._records[term]["ancestors"]:
                below[above] = below.get(above, 0) + 1
        return below

    def has_name(self, label: str, term_id: str) -> bool:
        """Tell whether a label is the name of the term, up to spelling and an omitted noun such as "cell"."""
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
            return f"{term_id} is obsolete in the {self.name} and has no replacement; choose another term or write its name."
        near = get_close_matches(term_id, self.terms(), n=1, cutoff=0.3)
        hint = f" The nearest id is {near[0]} ({self.term(near[0]).name})." if near else ""
        example = self.terms()[0]
        return f"The {self.name} has no term '{term_id}'; an id looks like {example}.{hint} A name is accepted as well."


@cache
def ontology(prefix: str) -> Ontology:
    """Return the `Ontology` of a prefix, cached for the process.

    Raises
    ------
    InputError
        If the prefix is not one of `ONTOLOGIES`.
    """
    if prefix not in ONTOLOGIES:
        raise InputError(f"There is no ontology '{prefix}'; choose one of {', '.join(ONTOLOGIES)}.")
    return Ontology(prefix)


def prefix_of(term_id: str) -> str | None:
    """Return the prefix of an ontology id; None if the text is not an id of one of `ONTOLOGIES`."""
    match = _ID.fullmatch(term_id)
    return {known.casefold(): known for known in ONTOLOGIES}.get(match[1].casefold()) if match else None


class OntologySource:
    """Names, definitions and synonyms of ontology terms, with release and licence (a `KnowledgeSource`)."""

    name = "ontologies"

    @property
    def snapshot(self) -> str:
        """Releases of all ontologies."""
        return "; ".join(f"{prefix} {ontology(prefix).snapshot}" for prefix in ONTOLOGIES)

    def about(self, term_id: str) -> Sequence[Evidence]:
        """Return name, definition and synonyms of a term, in this order; empty for an unknown id."""
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
        """Iterate over the definitions of cell types, tissues and diseases, each preceded by the name of its term."""
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
    # "gland" completes adjectives only: "adrenal", but not "gut".
    return noun != "gland" or _ADJECTIVE.fullmatch(normal_name(label)) is not None


def _index(named: Any) -> dict[str, tuple[str, ...]]:
    ids: dict[str, tuple[str, ...]] = {}
    for term, names in named:
        for key in {normal_name(name) for name in names}:
            ids[key] = (*ids.get(key, ()), term)
    return ids
