"""An author's id or words become an ontology term."""

from collections.abc import Iterable
from functools import lru_cache

from okrcell.knowledge.naming import normal_name
from okrcell.knowledge.ontology import Term, ontology, prefix_of
from okrcell.texts.words import of_tumour, readings, spaced, tidy

HEALTHY = frozenset({"normal", "healthy", "control", "healthy control", "normal control", "no disease", "non diseased"})
"""What authors call tissue without disease; the Phenotype and Trait Ontology calls it normal."""

ADJECTIVES = {
    "adrenal gland": "adrenal", "heart": "cardiac", "intestine": "intestinal", "islet of Langerhans": "pancreatic",
    "kidney": "renal", "liver": "hepatic", "lung": "pulmonary", "pancreas": "pancreatic", "retina": "retinal",
    "spleen": "splenic", "stomach": "gastric", "thymus": "thymic",
}  # fmt: skip
"""How English names a cell after its tissue."""


def term_by_id(term_id: str, *prefixes: str) -> Term | None:
    """Look up an id of one of these ontologies; None when it is none of theirs, or obsolete without a replacement."""
    prefix = prefix_of(term_id)
    if prefix is None or prefix not in prefixes or ontology(prefix).current(term_id) is None:
        return None
    return ontology(prefix).term(term_id)


@lru_cache(100_000)
def cell_type_term(label: str, tissue_id: str = "") -> Term | None:
    """Find the cell type a label means: as it stands, else as a cell of its tissue ("beta" in a pancreatic islet).

    Of a label with more words than a name the broader reading is taken ("Fibroblast_APOD high" is a fibroblast), unless
    it speaks of a tumour.
    """
    tissue = term_by_id(tissue_id, "UBERON")
    cells = ontology("CL")
    for reading in (tidy(label),) if of_tumour(label) else readings(label):
        within = _within(reading, tissue) if tissue else ()
        found = cells.find_as_written(reading) or _one(map(cells.find_as_written, within)) or cells.find(reading)
        if found is not None:
            return found
    return None


@lru_cache(10_000)
def tissue_term(label: str) -> Term | None:
    """Find the tissue a label means; "AdultLung" and "Lung (fetal)" are lung."""
    return next((term for reading in readings(spaced(label)) if (term := ontology("UBERON").find(reading))), None)


@lru_cache(10_000)
def disease_term(label: str) -> Term | None:
    """Find the disease, or PATO's term for none."""
    words = tidy(label)
    if normal_name(words) in HEALTHY:
        return ontology("PATO").find("normal")
    return ontology("MONDO").find(words) if words else None


def sex_named(label: str) -> str:
    """Read "F", "Female" or "woman" as female, and so for male; "" for anything else, such as the codes 1 and 2."""
    word = normal_name(label)
    return "female" if word in ("f", "female", "woman") else "male" if word in ("m", "male", "man") else ""


@lru_cache(10_000)
def term_by_name(label: str, prefix: str) -> Term | None:
    """Find a label in one ontology, unless it is a placeholder."""
    words = tidy(label)
    return ontology(prefix).find(words) if words else None


@lru_cache(10_000)
def names_a_place(words: str) -> bool:
    """Tell whether any of these words is known as a tissue or a cell population; "Smith 2020" is not."""
    parts = words.split()
    runs = (" ".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, min(i + 4, len(parts)) + 1))
    return any(ontology("UBERON").find(run) or ontology("CL").find(run) for run in runs)


def _within(label: str, tissue: Term) -> Iterable[str]:
    cell = label if normal_name(label).endswith("cell") else f"{label} cell"
    for place in (tissue.name, *tissue.synonyms):
        yield f"{place} {cell}"
        yield f"{cell} of {place}"
    if tissue.name in ADJECTIVES:
        yield f"{ADJECTIVES[tissue.name]} {cell}"


def _one(found: Iterable[Term | None]) -> Term | None:
    terms = {term for term in found if term is not None}
    return terms.pop() if len(terms) == 1 else None
