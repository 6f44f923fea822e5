"""Map author labels and ids to ontology terms, one function per obs column."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from okrcell.knowledge.matching.labels import readings, spaced, tidy, unstaged, without_remark
from okrcell.knowledge.matching.matcher import SURE, Match, match
from okrcell.knowledge.matching.stages import stages_named
from okrcell.knowledge.naming import normal_name
from okrcell.knowledge.ontology import Term, ontology, prefix_of
from okrcell.knowledge.vectors import TextEmbedder

ONTOLOGY_OF = {
    "cell_type": ("CL",), "tissue": ("UBERON", "CL"), "disease": ("MONDO", "PATO"),
    "development_stage": ("HsapDv", "MmusDv"), "sex": ("PATO",), "assay": ("EFO",),
}  # fmt: skip
"""Ontologies of each obs column: all are valid in ``<column>_ontology_term_id``; labels are matched to the first."""

HEALTHY = frozenset(
    {"normal", "healthy", "control", "healthy control", "normal control", "no disease", "non diseased", "healthy donor"}
    | {
        "ctrl",
        "ctl",
        "uninfected",
        "non infected",
        "normal adjacent tissue",
        "adjacent normal tissue",
        "adjacent normal",
    }
    | {"normal adjacent", "normal tissue", "healthy tissue", "healthy volunteer", "healthy subject", "unaffected"}
)
"""Labels of healthy tissue, all mapped to the PATO term "normal"."""

ADJECTIVES = {
    "adrenal gland": "adrenal", "heart": "cardiac", "intestine": "intestinal", "islet of Langerhans": "pancreatic",
    "kidney": "renal", "liver": "hepatic", "lung": "pulmonary", "pancreas": "pancreatic", "retina": "retinal",
    "spleen": "splenic", "stomach": "gastric", "thymus": "thymic",
}  # fmt: skip
"""Adjective of each tissue in cell type names."""


def matches(
    column: str, label: str, *, tissue_id: str = "", embedder: TextEmbedder | None = None, top: int = 4
) -> tuple[Match, ...]:
    """Return the candidate terms of a label, best first.

    Parameters
    ----------
    column
        Column of obs, a key of `ONTOLOGY_OF`.
    tissue_id
        Uberon id that resolves cell type labels by tissue.
    embedder
        Text embedder for labels that are not resolved by words.
    top
        Maximum number of terms.
    """
    sure = {
        "cell_type": lambda: cell_of_tissue(label, tissue_id),
        "tissue": lambda: tissue_term(label),
        "disease": lambda: disease_term(label),
        "development_stage": lambda: stage_term(label),
        "sex": lambda: sex_term(label),
        "assay": lambda: term_by_name(label, "EFO"),
    }[column]()
    words = label if column == "cell_type" else tidy(label)
    if column == "tissue":
        words = unstaged(without_remark(spaced(words)))
    if not words or column == "sex":
        return () if sure is None else (Match(sure, 0.97, "name"),)
    others = match(words, ONTOLOGY_OF[column][0], tissue_id=tissue_id, embedder=embedder, top=top + 1)
    if sure is None or (column == "cell_type" and _is_named(others)):
        return others[:top]
    own = next(
        (other for other in others if other.term.id == sure.id and other.score >= SURE), Match(sure, 0.9, "part")
    )
    return (own, *(other for other in others if other.term.id != sure.id))[:top]


def term_by_id(term_id: str, *prefixes: str) -> Term | None:
    """Look up an id in these ontologies; None if it is unknown, or obsolete without a replacement."""
    prefix = prefix_of(term_id)
    if prefix is None or prefix not in prefixes or ontology(prefix).current(term_id) is None:
        return None
    return ontology(prefix).term(term_id)


@lru_cache(100_000)
def cell_type_term(label: str, tissue_id: str = "") -> Term | None:
    """Return the cell type of a label: by name or synonym, else by words if the match is unambiguous.

    A label with additional words is mapped to the broader term ("Fibroblast_APOD high" is a fibroblast), except if it
    names a tumour. The tissue resolves "beta" in a pancreatic islet.
    """
    best = match(label, "CL", tissue_id=tissue_id, top=1)
    named = None if _is_named(best) else cell_of_tissue(label, tissue_id)
    return named or (best[0].term if best and best[0].score >= SURE else None)


def cell_of_tissue(label: str, tissue_id: str) -> Term | None:
    """Return the cell type whose name or synonym equals label plus tissue: "beta" in the pancreas."""
    words, tissue = tidy(label), term_by_id(tissue_id, "UBERON")
    if not words or tissue is None:
        return None
    found = _one(map(ontology("CL").find_as_written, _within(words, tissue)))
    return None if found is None or found.name.endswith("(Mmus)") else found


@lru_cache(10_000)
def tissue_term(label: str) -> Term | None:
    """Return the tissue of a label; "AdultLung" and "Lung (fetal)" are lung."""
    named = (term for reading in readings(spaced(label)) if (term := ontology("UBERON").find(reading)))
    return next(named, None) or _sure("UBERON", unstaged(without_remark(spaced(tidy(label)))))


@lru_cache(10_000)
def disease_term(label: str) -> Term | None:
    """Return the disease of a label, or the PATO term "normal" for healthy tissue."""
    words = tidy(label)
    if normal_name(words) in HEALTHY:
        return ontology("PATO").find("normal")
    return ontology("MONDO").find(words) or _sure("MONDO", words) if words else None


@lru_cache(10_000)
def stage_term(label: str) -> Term | None:
    """Return the developmental stage of a label, by name or age: "34 years", "GW16", "CS7"."""
    stages = ontology("HsapDv")
    by_age = (term for name in stages_named(tidy(label)) if (term := stages.find_as_written(name)))
    return next(by_age, None) or term_by_name(label, "HsapDv")


def sex_term(label: str) -> Term | None:
    """Return the PATO term of a sex label; None for anything other than female or male."""
    word = sex_named(label)
    return ontology("PATO").find_as_written(word) if word else None


def sex_named(label: str) -> str:
    """Return "female" for "F", "Female" and "woman", "male" likewise; "" for anything else, such as the codes 1 and 2."""
    word = normal_name(label)
    return "female" if word in ("f", "female", "woman") else "male" if word in ("m", "male", "man") else ""


@lru_cache(10_000)
def term_by_name(label: str, prefix: str) -> Term | None:
    """Return the term with this name or synonym in one ontology; None for a placeholder."""
    words = tidy(label)
    return ontology(prefix).find(words) if words else None


@lru_cache(10_000)
def names_a_place(words: str) -> bool:
    """Tell whether the words name a tissue or a cell type; "Smith 2020" does not."""
    parts = words.split()
    runs = (" ".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, min(i + 4, len(parts)) + 1))
    return any(ontology("UBERON").find(run) or ontology("CL").find(run) for run in runs)


def _sure(prefix: str, words: str) -> Term | None:
    found = match(words, prefix, top=1) if words else ()
    return found[0].term if found and found[0].score >= SURE else None


def _is_named(found: Sequence[Match]) -> bool:
    return bool(found) and found[0].score >= SURE and found[0].how in ("id", "name", "synonym")


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
