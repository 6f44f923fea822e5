"""Map author labels and ids to ontology terms, one function per obs column."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from okrcell.evidence import TextEmbedder
from okrcell.ontology.label_parsing import (
    clean_label,
    label_variants,
    remove_remarks,
    remove_stage,
    split_camel_case,
    stage_names,
)
from okrcell.ontology.matcher import MIN_MATCH_SCORE, TermMatch, match_label
from okrcell.ontology.ontology import Term, normalize_name, ontology, prefix_of

COLUMN_ONTOLOGIES = {
    "cell_type": ("CL",), "tissue": ("UBERON", "CL"), "disease": ("MONDO", "PATO"),
    "development_stage": ("HsapDv", "MmusDv"), "sex": ("PATO",), "assay": ("EFO",),
}  # fmt: skip
"""Ontologies of each obs column: all are valid in ``<column>_ontology_term_id``; labels are matched to the first."""

HEALTHY_LABELS = frozenset(
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

TISSUE_ADJECTIVES = {
    "adrenal gland": "adrenal", "heart": "cardiac", "intestine": "intestinal", "islet of Langerhans": "pancreatic",
    "kidney": "renal", "liver": "hepatic", "lung": "pulmonary", "pancreas": "pancreatic", "retina": "retinal",
    "spleen": "splenic", "stomach": "gastric", "thymus": "thymic",
}  # fmt: skip
"""Adjective of each tissue in cell type names."""


def candidate_terms(
    column: str, label: str, *, tissue_id: str = "", embedder: TextEmbedder | None = None, top: int = 4
) -> tuple[TermMatch, ...]:
    """Return the candidate terms of a label, best first.

    Parameters
    ----------
    column
        Column of obs, a key of `COLUMN_ONTOLOGIES`.
    tissue_id
        Uberon id that resolves cell type labels by tissue.
    embedder
        Text embedder for labels that are not resolved by words.
    top
        Maximum number of terms.
    """
    direct_term = {
        "cell_type": lambda: cell_type_in_tissue(label, tissue_id),
        "tissue": lambda: tissue_term(label),
        "disease": lambda: disease_term(label),
        "development_stage": lambda: stage_term(label),
        "sex": lambda: sex_term(label),
        "assay": lambda: term_by_name(label, "EFO"),
    }[column]()
    words = label if column == "cell_type" else clean_label(label)
    if column == "tissue":
        words = remove_stage(remove_remarks(split_camel_case(words)))
    if not words or column == "sex":
        return () if direct_term is None else (TermMatch(direct_term, 0.97, "name"),)
    candidates = match_label(words, COLUMN_ONTOLOGIES[column][0], tissue_id=tissue_id, embedder=embedder, top=top + 1)
    if direct_term is None or (column == "cell_type" and _is_exact(candidates)):
        return candidates[:top]
    direct_match = next(
        (
            candidate
            for candidate in candidates
            if candidate.term.id == direct_term.id and candidate.score >= MIN_MATCH_SCORE
        ),
        TermMatch(direct_term, 0.9, "abbreviation"),
    )
    return (direct_match, *(candidate for candidate in candidates if candidate.term.id != direct_term.id))[:top]


def term_by_id(term_id: str, *prefixes: str) -> Term | None:
    """Look up an id in these ontologies; None if it is unknown, or obsolete without a replacement."""
    prefix = prefix_of(term_id)
    if prefix is None or prefix not in prefixes or ontology(prefix).current_id(term_id) is None:
        return None
    return ontology(prefix).term(term_id)


@lru_cache(100_000)
def cell_type_term(label: str, tissue_id: str = "") -> Term | None:
    """Return the cell type of a label: by name or synonym, else by words if the match is unambiguous.

    A label with additional words is mapped to the broader term ("Fibroblast_APOD high" is a fibroblast), except if it
    names a tumour. The tissue resolves "beta" in a pancreatic islet.
    """
    candidates = candidate_terms("cell_type", label, tissue_id=tissue_id, top=1)
    return candidates[0].term if candidates and candidates[0].score >= MIN_MATCH_SCORE else None


def cell_type_in_tissue(label: str, tissue_id: str) -> Term | None:
    """Return the cell type whose name or synonym equals label plus tissue: "beta" in the pancreas."""
    words, tissue = clean_label(label), term_by_id(tissue_id, "UBERON")
    if not words or tissue is None:
        return None
    term = _unique_term(map(ontology("CL").find_exact, _names_with_tissue(words, tissue)))
    return None if term is None or term.name.endswith("(Mmus)") else term


@lru_cache(10_000)
def tissue_term(label: str) -> Term | None:
    """Return the tissue of a label; "AdultLung" and "Lung (fetal)" are lung."""
    terms = (term for variant in label_variants(split_camel_case(label)) if (term := ontology("UBERON").find(variant)))
    return next(terms, None) or _accepted_term(
        "UBERON", remove_stage(remove_remarks(split_camel_case(clean_label(label))))
    )


def resolve_tissue(label: str, term_id: str = "") -> Term | None:
    """Return the tissue of an Uberon or Cell Ontology id, or of the label if the id is not valid."""
    return term_by_id(term_id, *COLUMN_ONTOLOGIES["tissue"]) or tissue_term(label)


@lru_cache(10_000)
def disease_term(label: str) -> Term | None:
    """Return the disease of a label, or the PATO term "normal" for healthy tissue."""
    words = clean_label(label)
    if normalize_name(words) in HEALTHY_LABELS:
        return ontology("PATO").find("normal")
    return ontology("MONDO").find(words) or _accepted_term("MONDO", words) if words else None


@lru_cache(10_000)
def stage_term(label: str) -> Term | None:
    """Return the developmental stage of a label, by name or age: "34 years", "GW16", "CS7"."""
    stages = ontology("HsapDv")
    by_age = (term for name in stage_names(clean_label(label)) if (term := stages.find_exact(name)))
    return next(by_age, None) or term_by_name(label, "HsapDv")


def sex_term(label: str) -> Term | None:
    """Return the PATO term of a sex label; None for anything other than female or male."""
    word = parse_sex(label)
    return ontology("PATO").find_exact(word) if word else None


def parse_sex(label: str) -> str:
    """Return "female" for "F", "Female" and "woman", "male" likewise; "" for anything else, such as the codes 1 and 2."""
    word = normalize_name(label)
    return "female" if word in ("f", "female", "woman") else "male" if word in ("m", "male", "man") else ""


@lru_cache(10_000)
def term_by_name(label: str, prefix: str) -> Term | None:
    """Return the term with this name or synonym in one ontology; None for a placeholder."""
    words = clean_label(label)
    return ontology(prefix).find(words) if words else None


@lru_cache(10_000)
def names_tissue_or_cell(words: str) -> bool:
    """Tell whether the words name a tissue or a cell type; "Smith 2020" does not."""
    parts = words.split()
    runs = (" ".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, min(i + 4, len(parts)) + 1))
    return any(ontology("UBERON").find(run) or ontology("CL").find(run) for run in runs)


def _accepted_term(prefix: str, words: str) -> Term | None:
    candidates = match_label(words, prefix, top=1) if words else ()
    return candidates[0].term if candidates and candidates[0].score >= MIN_MATCH_SCORE else None


def _is_exact(candidates: Sequence[TermMatch]) -> bool:
    return (
        bool(candidates)
        and candidates[0].score >= MIN_MATCH_SCORE
        and candidates[0].method in ("id", "name", "synonym")
    )


def _names_with_tissue(label: str, tissue: Term) -> Iterable[str]:
    cell = label if normalize_name(label).endswith("cell") else f"{label} cell"
    for tissue_name in (tissue.name, *tissue.synonyms):
        yield f"{tissue_name} {cell}"
        yield f"{cell} of {tissue_name}"
    if tissue.name in TISSUE_ADJECTIVES:
        yield f"{TISSUE_ADJECTIVES[tissue.name]} {cell}"


def _unique_term(candidates: Iterable[Term | None]) -> Term | None:
    terms = {term for term in candidates if term is not None}
    return terms.pop() if len(terms) == 1 else None
