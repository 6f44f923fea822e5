"""Ontologies of cell types, tissues, diseases, stages and assays: names, synonyms, definitions, ancestors."""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from importlib.metadata import version
from itertools import chain, product
from typing import Any, cast

from okrcell.errors import InputError
from okrcell.evidence import Evidence

_CITATION = re.compile(
    r"\s*\[[^\[\]]*\]"  # [GO], [ NCIT ], [PMID:123]
    r"|\s*\((?:[^()]*(?:PMID|DOI|doi\.org|et al\.)[^()]*|[^()]*, (?:19|20)\d\d|Adapted from [^()]*)\)"
    r"|\s*\b(?:PMID|DOI|doi):\s?\S+?(?=[.,;]?(?:\s|$))"
)
_CATALOG = re.compile(r"\s*Reference transcriptomic data for this type can be found in [^\n]*")
GREEK_LETTERS = {
    "α": " alpha ", "β": " beta ", "γ": " gamma ", "δ": " delta ", "ε": " epsilon ", "ζ": " zeta ", "κ": " kappa ",
    "λ": " lambda ", "μ": " mu ", "σ": " sigma ", "τ": " tau ", "ω": " omega ",
}  # fmt: skip
AMERICAN_SPELLINGS = {
    "tumour": "tumor",
    "haem": "hem",
    "aemia": "emia",
    "oesoph": "esoph",
    "foet": "fet",
    "oedema": "edema",
}
JOINED_WORDS = {"bcell": "b cell", "tcell": "t cell", "nkcell": "nk cell"}
_PUNCTUATION = "-_,;:/|()[]{}\"'’‘′`.–—"
_POSITIVE = re.compile(r"\+(?<=\w\+)")
_NEGATIVE = re.compile(r"\b(CD\d+[A-Za-z]*|[A-Z][A-Z0-9]{2,}|[Ll]in)[-−](?=$|[\s,/)]|CD\d)")
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
OMITTED_NOUNS = {"CL": ("cell",), "UBERON": ("of body", "gland", "tissue", "proper"), "HsapDv": ("stage",)}
"""Nouns that labels omit, by prefix: "mast" is a mast cell, "adrenal" an adrenal gland."""
NEUTRAL_NOUNS = frozenset({"of body"})
"""Nouns that do not change the meaning: "skin" is "skin of body" rather than one of its parts."""
_ADJECTIVE = re.compile(r".*(al|ar|ary|ic|id|ous|ine)")
_TERM_ID = re.compile(r"\s*([A-Za-z]+)[:_](\S*)\s*")


def remove_references(text: str) -> str:
    """Remove citations ("[GO]", "(Smith et al. 2018, PMID:1)") and catalogue entries from a definition; keep the rest."""
    text = _CATALOG.sub("", _CITATION.sub("", text))
    return re.sub(r"\s+([.,;])", r"\1", " ".join(text.split()))


def normalize_name(name: str) -> str:
    """Normalise a name for comparison.

    Case, hyphens, commas, plurals, Greek letters and British spelling are ignored. A plus or minus after a marker is
    kept: ``"CD8+ T-cells"`` and ``"CD8-positive T cell"`` are one name, ``"CD8- T cell"`` is another.
    """
    return normalize_names((name,))[0]


def normalize_names(names: Sequence[str]) -> list[str]:
    """Normalise many names as `normalize_name` does, each step on all of them at once."""
    if not names:
        return []
    text = "\n".join(html.unescape(name).replace("\n", " ") if "&" in name or "\n" in name else name for name in names)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if "+" in text:
        text = _POSITIVE.sub(" positive ", text)
    if "-" in text or not text.isascii():
        text = _NEGATIVE.sub(r"\1 negative ", text)
    text = text.lower()
    if not text.isascii():
        for letter, word in GREEK_LETTERS.items():
            text = text.replace(letter, word)
    for british, american in AMERICAN_SPELLINGS.items():
        if british in text:
            text = text.replace(british, american)
    for character in _PUNCTUATION:  # str.translate is slow beyond ASCII
        text = text.replace(character, " ")
    return [" ".join(map(_singular, line.split())) for line in text.split("\n")]


@lru_cache(50_000)
def _singular(word: str) -> str:
    if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        word = word[:-1]
    return JOINED_WORDS.get(word, word)


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
        current_id = self._require_current_id(term_id)
        record = self._records[current_id]
        synonyms = (str(synonym) for synonym in record.get("synonyms", ()))
        return Term(current_id, record["label"], remove_references(record.get("description", "")), tuple(synonyms))

    def names_of(self, term_id: str) -> tuple[str, ...]:
        """Return name and synonyms of a current term; cheaper than `term`."""
        return (self._records[term_id]["label"], *self._synonyms_of(term_id))

    def current_id(self, term_id: str) -> str | None:
        """Return the current form of an id ("cl_0000624" is "CL:0000624"), or its replacement; None for an unknown id."""
        match = _TERM_ID.fullmatch(term_id)
        if match is None or match[1].casefold() != self.prefix.casefold():
            return None
        visited: set[str] = set()
        current_id = f"{self.prefix}:{match[2]}"
        while current_id in self._records and current_id not in visited:
            record = self._records[current_id]
            if not record["deprecated"]:
                return current_id
            visited.add(current_id)
            current_id = str(record.get("replaced_by", ""))
        return None

    def find(self, label: str) -> Term | None:
        """Find the unique term with this name or synonym; None if there is none or more than one.

        Names are compared by `normalize_name`. "B", "microglia" and "fetal" also match "B cell", "microglial cell" and "fetal
        stage". A name outranks a synonym. An abbreviation must be spelled as in the ontology; abbreviations of up to
        three capitals are not matched, because they are ambiguous.
        """
        if not normalize_name(label):
            return None
        nouns = [noun for noun in OMITTED_NOUNS.get(self.prefix, ()) if _noun_fits(label, noun)]
        neutral = [f"{label.strip()} {noun}" for noun in nouns if noun in NEUTRAL_NOUNS]
        with_noun = [f"{label.strip()} {noun}" for noun in nouns if noun not in NEUTRAL_NOUNS]
        if self.prefix == "CL" and normalize_name(label).endswith("ia"):
            with_noun.append(f"{label.strip()}l cell")
        return self._find_unique((label, *neutral), with_noun)

    def find_exact(self, label: str) -> Term | None:
        """Find the unique term with this name or synonym like `find`, but without adding a noun such as "cell"."""
        return self._find_unique((label,))

    def _find_unique(self, *label_groups: Sequence[str]) -> Term | None:
        # Labels with an added noun are tried after all names and synonyms of the label itself.
        for labels, ids_by_name in product(label_groups, (self._ids_by_name, self._ids_by_synonym)):
            for label in labels:
                key = normalize_name(label)
                ids = ids_by_name.get(key, ())
                if len(ids) > 1:
                    return None
                if ids and (
                    ids_by_name is self._ids_by_name or len(key) > 4 or self._is_unambiguous(label.strip(), ids[0])
                ):
                    return self.term(ids[0])
        return None

    def _is_unambiguous(self, abbreviation: str, term_id: str) -> bool:
        return abbreviation in self._synonyms_of(term_id) and (len(abbreviation) > 3 or not abbreviation.isupper())

    def _synonyms_of(self, term_id: str) -> Sequence[str]:
        return self._records[term_id].get("synonyms", ())

    def term_ids(self) -> tuple[str, ...]:
        """Return the ids of all current terms, ascending."""
        return self._current_ids

    def parents(self, term_id: str) -> tuple[str, ...]:
        """Return the direct parents of a term, sorted by id."""
        return tuple(sorted(parent_id for parent_id, steps in self._ancestor_steps(term_id).items() if steps == 1))

    def ancestors(self, term_id: str) -> frozenset[str]:
        """Return all ancestors of a term, without the term itself."""
        current_id = self._require_current_id(term_id)
        return frozenset(self._records[current_id]["ancestors"]) - {current_id}

    def descendants(self, term_id: str) -> frozenset[str]:
        """Return all current descendants (subtypes and parts) of a term, without the term itself."""
        return frozenset(
            descendant for descendant in self._current_ids if term_id in self._records[descendant]["ancestors"]
        )

    def overlapping(self, term_id: str) -> frozenset[str]:
        """Return all terms that share a descendant with this term, with its ancestors, descendants and itself."""
        parts = self.descendants(term_id) | {self._require_current_id(term_id)}
        return parts.union(*(self._records[part]["ancestors"] for part in parts))

    def distance(self, first: str, second: str) -> int | None:
        """Return the number of steps between two terms by way of a shared ancestor; None without a shared ancestor."""
        first_steps, second_steps = self._ancestor_steps(first), self._ancestor_steps(second)
        return min(
            (first_steps[term] + second_steps[term] for term in first_steps.keys() & second_steps.keys()), default=None
        )

    def common_ancestor(self, first: str, second: str) -> str | None:
        """Find the nearest common ancestor, which may be one of the two terms; None if there is none.

        Of several equally near ancestors the narrowest is returned: the one with the fewest descendants.
        """
        first_steps, second_steps = self._ancestor_steps(first), self._ancestor_steps(second)
        common = first_steps.keys() & second_steps.keys()
        steps = {term: first_steps[term] + second_steps[term] for term in common if term in self._records}
        return min(steps, key=lambda term: (steps[term], self.n_descendants.get(term, 0), term), default=None)

    @cached_property
    def n_descendants(self) -> dict[str, int]:
        """Number of descendants of each term; terms without descendants are left out."""
        return dict(Counter(chain.from_iterable(self._records[term_id]["ancestors"] for term_id in self._current_ids)))

    def has_name(self, label: str, term_id: str) -> bool:
        """Tell whether a label is the name of the term, up to spelling and an omitted noun such as "cell"."""
        name = normalize_name(self.term(term_id).name)
        return normalize_name(label) in (
            name,
            *(name.removesuffix(f" {noun}") for noun in OMITTED_NOUNS.get(self.prefix, ())),
        )

    def _ancestor_steps(self, term_id: str) -> dict[str, int]:
        current_id = self._require_current_id(term_id)
        return {**self._records[current_id]["ancestors"], current_id: 0}

    @cached_property
    def _records(self) -> dict[str, Any]:
        return cast(dict[str, Any], _schema().ontology(self.prefix))

    @cached_property
    def _current_ids(self) -> tuple[str, ...]:
        prefixed = (term_id for term_id in self._records if term_id.startswith(f"{self.prefix}:"))
        return tuple(sorted(term_id for term_id in prefixed if not self._records[term_id]["deprecated"]))

    @cached_property
    def _ids_by_name(self) -> dict[str, tuple[str, ...]]:
        return _index_names((term_id, (self._records[term_id]["label"],)) for term_id in self.term_ids())

    @cached_property
    def _ids_by_synonym(self) -> dict[str, tuple[str, ...]]:
        human_ids = (term_id for term_id in self.term_ids() if not self._records[term_id]["label"].endswith("(Mmus)"))
        return _index_names((term_id, self._synonyms_of(term_id)) for term_id in human_ids)

    def _require_current_id(self, term_id: str) -> str:
        current_id = self.current_id(term_id)
        if current_id is None:
            raise InputError(self._unknown_term_message(term_id))
        return current_id

    def _unknown_term_message(self, term_id: str) -> str:
        if term_id in self._records:
            return f"{term_id} is obsolete in the {self.name} and has no replacement; choose another term or write its name."
        close_ids = get_close_matches(term_id, self.term_ids(), n=1, cutoff=0.3)
        hint = f" The nearest id is {close_ids[0]} ({self.term(close_ids[0]).name})." if close_ids else ""
        example = self.term_ids()[0]
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
    match = _TERM_ID.fullmatch(term_id)
    return {prefix.casefold(): prefix for prefix in ONTOLOGIES}.get(match[1].casefold()) if match else None


class OntologySource:
    """Names, definitions and synonyms of ontology terms, with release and licence (a `KnowledgeSource`)."""

    name = "ontologies"

    @property
    def snapshot(self) -> str:
        """Releases of all ontologies."""
        return "; ".join(f"{prefix} {ontology(prefix).snapshot}" for prefix in ONTOLOGIES)

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return name, definition and synonyms of a term, in this order; empty for an unknown id."""
        prefix = prefix_of(term_id)
        if prefix is None or ontology(prefix).current_id(term_id) is None:
            return ()
        term_ontology = ontology(prefix)
        term = term_ontology.term(term_id)
        citation = (term_ontology.name, term.id, term_ontology.snapshot, term_ontology.licence)
        definition = (Evidence(term.definition, *citation, "definition", (term.id,)),) if term.definition else ()
        synonyms = (Evidence(synonym, *citation, "synonym", (term.id,)) for synonym in term.synonyms)
        return (Evidence(term.name, *citation, "name", (term.id,)), *definition, *synonyms)

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the definitions of cell types, tissues and diseases, each preceded by the name of its term."""
        for prefix in ("CL", "UBERON", "MONDO"):
            term_ontology = ontology(prefix)
            for term in map(term_ontology.term, term_ontology.term_ids()):
                if term.definition:
                    text = f"{term.name}: {term.definition}"
                    yield Evidence(
                        text,
                        term_ontology.name,
                        term.id,
                        term_ontology.snapshot,
                        term_ontology.licence,
                        "definition",
                        (term.id,),
                    )


@cache
def _schema() -> Any:
    from cellxgene_ontology_guide.supported_versions import CXGSchema

    return CXGSchema()


def _noun_fits(label: str, noun: str) -> bool:
    # "gland" completes adjectives only: "adrenal", but not "gut".
    return noun != "gland" or _ADJECTIVE.fullmatch(normalize_name(label)) is not None


def _index_names(names_by_term: Iterable[tuple[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    pairs = [(name, term_id) for term_id, names in names_by_term for name in names]
    normalized = normalize_names([name for name, _ in pairs])
    ids: dict[str, tuple[str, ...]] = {}
    for name, term_id in dict.fromkeys(zip(normalized, (term_id for _, term_id in pairs), strict=True)):
        ids[name] = (*ids.get(name, ()), term_id)
    return ids
