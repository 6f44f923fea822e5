"""Readers of three published marker tables, with rows mapped to Cell Ontology terms."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from okrcell.ontology.matcher import MIN_MATCH_SCORE, match_label
from okrcell.knowledge.naming import normalize_name
from okrcell.ontology.ontology import ontology
from okrcell.knowledge.markers import MarkerRow
from okrcell.knowledge.sources.tables import read_rows

LEAKING_RESOURCES = frozenset({"CELLxGENE", "Azimuth", "Celltypist_v2", "MSigDB", "HUSCH", "DRscDB"})
"""Resources of the Cell Marker Accordion derived from atlases that benchmarks also use: a model tested on such an atlas
must not use its markers."""

SEPARATE_RESOURCES = frozenset({"CellMarker2.0", "PanglaoDB"})
"""Resources of the Cell Marker Accordion that okrcell reads as separate tables; here they would be counted twice."""

LEAKING_PAPERS = frozenset(
    {
        "27693023",  # Muraro 2016, pancreas
        "27667667",  # Segerstolpe 2016, pancreas
        "27667665",  # Xin 2016, pancreas
        "27364731",  # Wang 2016, pancreas
        "27667365",  # Baron 2016, pancreas
        "27345837",  # Grün 2016, pancreas
        "27864352",  # Lawlor 2017, pancreas
        "28965763",  # Enge 2017, pancreas
        "28091601",  # Zheng 2017, blood
        "29227470",  # Kang 2018, blood, stimulated by interferon
    }
)
"""PubMed ids of papers on cells that benchmarks use: their markers were derived from the test cells."""

_REMARK = re.compile(r"\s*\([^()]*\)")


def read_accordion(by_cell_type: Path, by_tissue: Path, leaks: bool) -> Iterator[MarkerRow]:
    """Yield the human rows of the Cell Marker Accordion; those of `LEAKING_RESOURCES` resources only if ``leaks``.

    Rows of the resources in `SEPARATE_RESOURCES` are skipped.
    """
    columns = ("species", "CL_ID", "marker", "marker_type")
    for row in read_rows(by_cell_type, *columns, "resources"):
        for resource in row["resources"].split("|"):
            yield from _accordion_row(row, resource, "", leaks)
    for row in read_rows(by_tissue, *columns, "Uberon_ID", "resource"):
        yield from _accordion_row(row, row["resource"], row["Uberon_ID"], leaks)


def _accordion_row(row: dict[str, str], resource: str, tissue: str, leaks: bool) -> Iterator[MarkerRow]:
    cell_type = _current_id("CL", row["CL_ID"])
    is_included = resource not in SEPARATE_RESOURCES and (leaks or resource not in LEAKING_RESOURCES)
    if row["species"] == "Human" and cell_type and is_included:
        yield MarkerRow(
            cell_type, row["marker"], resource, _current_id("UBERON", tissue), row["marker_type"] != "negative"
        )


def read_cellmarker(path: Path, leaks: bool) -> Iterator[MarkerRow]:
    """Yield the human rows of CellMarker 2 on healthy cells; those of `LEAKING_PAPERS` only if ``leaks``.

    Each paper is one resource.
    """
    columns = ("species", "cell_type", "cancer_type", "cell_name", "cellontology_id", "uberonongology_id")
    for row in read_rows(path, *columns, "Symbol", "PMID", "marker_source"):
        is_healthy = row["cell_type"] == "Normal cell" and row["cancer_type"] == "Normal"
        paper = row["PMID"].removesuffix(".0")
        is_included = leaks or paper not in LEAKING_PAPERS
        if row["species"] == "Human" and is_healthy and row["Symbol"] and is_included:
            cell_type = resolve_cell_type(row["cell_name"], row["cellontology_id"])
            if cell_type:
                resource = paper or row["marker_source"]
                yield MarkerRow(cell_type, row["Symbol"], resource, _current_id("UBERON", row["uberonongology_id"]))


@cache
def resolve_cell_type(name: str, table_id: str) -> str:
    """Return the Cell Ontology id on which name and id of a table row agree; "" if they disagree.

    Manually curated tables assign broad ids to narrow names (natural killer T cells have the id of natural killer
    cells). Therefore a name found in the ontology decides; otherwise the id is accepted if a name or synonym of its term
    contains all words of the name.
    """
    cell_ontology = ontology("CL")
    bare_name = _REMARK.sub("", name)
    named_term = cell_ontology.find(name) or cell_ontology.find(bare_name)
    if named_term is not None:
        return named_term.id
    current_id = cell_ontology.current_id(table_id)
    if current_id is None:
        return ""
    term = cell_ontology.term(current_id)
    words = set(normalize_name(bare_name).split())
    return (
        current_id
        if any(words <= set(normalize_name(synonym).split()) for synonym in (term.name, *term.synonyms))
        else ""
    )


def read_panglaodb(path: Path) -> Iterator[MarkerRow]:
    """Yield the human rows of PanglaoDB, weighted so that canonical markers come first, then the most specific ones.

    The genes of a cell type without measured sensitivity keep the order of the table, which is that of its curators.
    """
    columns = ("species", "official gene symbol", "cell type", "organ", "canonical marker")
    table = read_rows(path, *columns, "sensitivity_human", "specificity_human")
    human_rows = [row for row in table if "Hs" in row["species"].split()]
    measured_types = {row["cell type"] for row in human_rows if _to_float(row["sensitivity_human"]) > 0}
    for i, row in enumerate(human_rows):
        cell_type = resolve_in_organ(row["cell type"], row["organ"])
        if cell_type:
            # The column "specificity" is the fraction of cells of other types that express the gene.
            specificity = _to_float(row["sensitivity_human"]) - _to_float(row["specificity_human"])
            tie_breaker = (specificity + 1) / 2 if row["cell type"] in measured_types else 1 - i / len(human_rows)
            weight = _to_float(row["canonical marker"]) + tie_breaker
            yield MarkerRow(cell_type, row["official gene symbol"].strip(), "PanglaoDB", weight=weight)


@cache
def resolve_in_organ(name: str, organ: str) -> str:
    """Return the Cell Ontology id of a cell type name within an organ ("Alpha cells" of the pancreas), or ""."""
    term = ontology("CL").find(name)
    if term is not None:
        return term.id
    # Broader terms are not accepted; a name of two types or with a remark in brackets has no id.
    if "(" in name or " and " in name:
        return ""
    organ_id = next(
        (candidate.term.id for candidate in match_label(organ, "UBERON") if candidate.score >= MIN_MATCH_SCORE), ""
    )
    exact_ids = (
        candidate.term.id
        for candidate in match_label(name, "CL", tissue_id=organ_id)[:1]
        if candidate.method in {"name", "synonym"}
    )
    return next(exact_ids, "")


@cache
def _current_id(prefix: str, term_id: str) -> str:
    return ontology(prefix).current_id(term_id) or "" if term_id else ""


def _to_float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return 0.0
