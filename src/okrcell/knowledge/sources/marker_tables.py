"""Readers of three published marker tables, with rows mapped to Cell Ontology terms."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from okrcell.knowledge.matching.matcher import SURE, match
from okrcell.knowledge.naming import normal_name
from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.sources.markers import MarkerRow
from okrcell.knowledge.sources.tables import rows

LEAKING = frozenset({"CELLxGENE", "Azimuth", "Celltypist_v2", "MSigDB", "HUSCH", "DRscDB"})
"""Resources of the Cell Marker Accordion derived from atlases that benchmarks also use: a model tested on such an atlas
must not use its markers."""

ASKED_THEMSELVES = frozenset({"CellMarker2.0", "PanglaoDB"})
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

_IN_BRACKETS = re.compile(r"\s*\([^()]*\)")


def accordion_rows(by_cell_type: Path, by_tissue: Path, leaks: bool) -> Iterator[MarkerRow]:
    """Yield the human rows of the Cell Marker Accordion; those of `LEAKING` resources only if ``leaks``.

    Rows of the resources in `ASKED_THEMSELVES` are skipped.
    """
    columns = ("species", "CL_ID", "marker", "marker_type")
    for row in rows(by_cell_type, *columns, "resources"):
        for resource in row["resources"].split("|"):
            yield from _of_accordion(row, resource, "", leaks)
    for row in rows(by_tissue, *columns, "Uberon_ID", "resource"):
        yield from _of_accordion(row, row["resource"], row["Uberon_ID"], leaks)


def _of_accordion(row: dict[str, str], resource: str, tissue: str, leaks: bool) -> Iterator[MarkerRow]:
    cell_type = _current("CL", row["CL_ID"])
    wanted = resource not in ASKED_THEMSELVES and (leaks or resource not in LEAKING)
    if row["species"] == "Human" and cell_type and wanted:
        yield MarkerRow(
            cell_type, row["marker"], resource, _current("UBERON", tissue), row["marker_type"] != "negative"
        )


def cellmarker_rows(path: Path, leaks: bool) -> Iterator[MarkerRow]:
    """Yield the human rows of CellMarker 2 on healthy cells; those of `LEAKING_PAPERS` only if ``leaks``.

    Each paper is one resource.
    """
    columns = ("species", "cell_type", "cancer_type", "cell_name", "cellontology_id", "uberonongology_id")
    for row in rows(path, *columns, "Symbol", "PMID", "marker_source"):
        healthy = row["cell_type"] == "Normal cell" and row["cancer_type"] == "Normal"
        paper = row["PMID"].removesuffix(".0")
        wanted = leaks or paper not in LEAKING_PAPERS
        if row["species"] == "Human" and healthy and row["Symbol"] and wanted:
            cell_type = agreed_term(row["cell_name"], row["cellontology_id"])
            if cell_type:
                by = paper or row["marker_source"]
                yield MarkerRow(cell_type, row["Symbol"], by, _current("UBERON", row["uberonongology_id"]))


@cache
def agreed_term(name: str, given_id: str) -> str:
    """Return the Cell Ontology id on which name and id of a table row agree; "" if they disagree.

    Manually curated tables assign broad ids to narrow names (natural killer T cells have the id of natural killer
    cells). Therefore a name found in the ontology decides; otherwise the id is accepted if a name or synonym of its term
    contains all words of the name.
    """
    home = ontology("CL")
    bare = _IN_BRACKETS.sub("", name)
    found = home.find(name) or home.find(bare)
    if found is not None:
        return found.id
    given = home.current(given_id)
    if given is None:
        return ""
    term = home.term(given)
    words = set(normal_name(bare).split())
    return given if any(words <= set(normal_name(known).split()) for known in (term.name, *term.synonyms)) else ""


def panglaodb_rows(path: Path) -> Iterator[MarkerRow]:
    """Yield the human rows of PanglaoDB, weighted so that canonical markers come first, then the most specific ones.

    The genes of a cell type without measured sensitivity keep the order of the table, which is that of its curators.
    """
    columns = ("species", "official gene symbol", "cell type", "organ", "canonical marker")
    table = rows(path, *columns, "sensitivity_human", "specificity_human")
    human = [row for row in table if "Hs" in row["species"].split()]
    measured = {row["cell type"] for row in human if _number(row["sensitivity_human"]) > 0}
    for place, row in enumerate(human):
        found = organ_term(row["cell type"], row["organ"])
        if found:
            # The column "specificity" is the fraction of cells of other types that express the gene.
            told_apart = _number(row["sensitivity_human"]) - _number(row["specificity_human"])
            own = (told_apart + 1) / 2 if row["cell type"] in measured else 1 - place / len(human)
            weight = _number(row["canonical marker"]) + own
            yield MarkerRow(found, row["official gene symbol"].strip(), "PanglaoDB", weight=weight)


@cache
def organ_term(name: str, organ: str) -> str:
    """Return the Cell Ontology id of a cell type name within an organ ("Alpha cells" of the pancreas), or ""."""
    found = ontology("CL").find(name)
    if found is not None:
        return found.id
    # Broader terms are not accepted; a name of two types or with a remark in brackets has no id.
    if "(" in name or " and " in name:
        return ""
    place = next((guess.term.id for guess in match(organ, "UBERON") if guess.score >= SURE), "")
    same = (guess.term.id for guess in match(name, "CL", tissue_id=place)[:1] if guess.how in {"name", "synonym"})
    return next(same, "")


@cache
def _current(prefix: str, term_id: str) -> str:
    return ontology(prefix).current(term_id) or "" if term_id else ""


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return 0.0
