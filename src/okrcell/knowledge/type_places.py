"""Number of resources that report each cell type in each tissue, and the tissue prior derived from them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Float

from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.snapshots import KnowledgeFiles
from okrcell.knowledge.sources import marker_tables
from okrcell.knowledge.sources.markers import MarkerRow

ANYWHERE = ""
"""Tissue key of statements without a tissue."""
ELSEWHERE = 0.05
"""Weight of a resource that reports the type in any tissue, relative to this tissue; above 0, so no type is excluded."""
UNHEARD = 0.5
"""Pseudocount of resources for each type."""
NEARER = 0.5
"""Weight factor per step between two related tissues: one step counts half, two steps a quarter."""
FARTHEST = 3
"""Maximum number of steps between two related tissues; further ones have weight 0."""

Place = tuple[str, str]
"""Cell Ontology id of a type, and Uberon id of a tissue or `ANYWHERE`."""


@dataclass(frozen=True)
class TypePlaces:
    """Number of independent resources (databases, papers, studies of a corpus) that report each type in each tissue."""

    witnesses: Mapping[str, Mapping[str, int]]
    """By type, number of resources by tissue; `ANYWHERE` counts the resources without a tissue."""

    @classmethod
    def read(cls, facts: Mapping[str, Mapping[str, int]] | None) -> Self:
        """Load the dictionary of `facts` from a checkpoint; None gives an empty table."""
        return cls({} if facts is None else facts)

    def facts(self) -> dict[str, dict[str, int]]:
        """Return the counts as a dictionary for JSON, in a fixed order."""
        return {kind: dict(sorted(places.items())) for kind, places in sorted(self.witnesses.items())}

    def prior(self, types: Sequence[str], tissue: str = ANYWHERE) -> Float[np.ndarray, " type"]:
        """Prior probability of each type in a tissue, float64 (type,); sums to 1.

        The prior is proportional to ``sum_t w_t n_t + 0.05 (sum_t n_t + 0.5)`` (ours), where ``n_t`` is the number of
        resources that report the type in tissue t, and ``w_t`` is 1 for the same tissue, `NEARER` per step for an ancestor
        or descendant of it, and 0 for others. The constants are `ELSEWHERE` and `UNHEARD`.

        Parameters
        ----------
        types
            Cell Ontology ids.
        tissue
            Uberon id; with `ANYWHERE` or an unknown id all tissues have the same weight.
        """
        home = ontology("UBERON")
        here = home.current(tissue) if tissue else None
        weight = np.empty(len(types))
        for number, kind in enumerate(types):
            places = self.witnesses.get(kind, {})
            near = sum(many * _nearness(here, there) for there, many in places.items()) if here else 0.0
            weight[number] = near + ELSEWHERE * (sum(places.values()) + UNHEARD)
        return weight / weight.sum() if len(types) else weight


def type_places(
    folder: str | Path | KnowledgeFiles | None = None, *, seen: Iterable[tuple[str, str, str]] = (), leaks: bool = False
) -> TypePlaces:
    """Count the resources that report each type in each tissue, over all available marker tables.

    Parameters
    ----------
    folder
        Folder or URL of the knowledge files; by default the user's cache (see `KnowledgeFiles`). Missing tables are
        skipped.
    seen
        (type, tissue or "", study) of the training cells; each study counts as one resource.
    leaks
        Whether rows derived from atlases that benchmarks also use are read.
    """
    return gathered_places(_rows(folder if isinstance(folder, KnowledgeFiles) else KnowledgeFiles(folder), leaks), seen)


def gathered_places(rows: Iterable[MarkerRow], seen: Iterable[tuple[str, str, str]]) -> TypePlaces:
    """Count resources from rows of marker tables and from (type, tissue or "", study) of cells."""
    who: defaultdict[Place, set[str]] = defaultdict(set)
    for row in rows:
        who[row.cell_type, row.tissue].add(row.by)
    cells, tissues = ontology("CL"), ontology("UBERON")
    for kind, tissue, study in seen:
        current = cells.current(kind)
        if current:
            who[current, tissues.current(tissue) or ANYWHERE if tissue else ANYWHERE].add(f"study {study}")
    counted: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (kind, tissue), names in who.items():
        counted[kind][tissue] = len(names)
    return TypePlaces(dict(counted))


def _rows(held: KnowledgeFiles, leaks: bool) -> Iterator[MarkerRow]:
    by_type, by_tissue = "cellmarker_accordion_by_cl.csv.gz", "cellmarker_accordion_healthy.csv.gz"
    if held.holds(by_type) and held.holds(by_tissue):
        yield from marker_tables.accordion_rows(held.file(by_type).path, held.file(by_tissue).path, leaks)
    if held.holds("cellmarker2_raw.csv.gz"):
        yield from marker_tables.cellmarker_rows(held.file("cellmarker2_raw.csv.gz").path, leaks)
    if held.holds("PanglaoDB_markers_27_Mar_2020.tsv"):
        yield from marker_tables.panglaodb_rows(held.file("PanglaoDB_markers_27_Mar_2020.tsv").path)


@cache
def _nearness(one: str, other: str) -> float:
    """Return 1 for equal tissues, `NEARER` per step if one is an ancestor of the other within `FARTHEST` steps, else 0."""
    home = ontology("UBERON")
    current = home.current(other) if other else None
    if current is None:
        return 0.0
    if current != one and current not in home.ancestors(one) and one not in home.ancestors(current):
        return 0.0
    steps = home.distance(one, current) or 0
    return NEARER**steps if steps <= FARTHEST else 0.0
