"""In which tissues each cell type is known, and how well."""

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
"""The place of what is said of a type without a tissue."""
ELSEWHERE = 0.05
"""What a witness of the type in another tissue counts beside one in this tissue: nothing is ever excluded."""
UNHEARD = 0.5
"""A type that nobody spoke of counts as if half a witness had."""
NEARER = 0.5
"""A tissue one step above or below counts half, two steps a quarter."""
FARTHEST = 3

Place = tuple[str, str]
"""Cell Ontology id of a type, and Uberon id of a tissue or `ANYWHERE`."""


@dataclass(frozen=True)
class TypePlaces:
    """How many independent witnesses (resources, papers, studies of a corpus) know each type in each tissue."""

    witnesses: Mapping[str, Mapping[str, int]]
    """By type, tissue to number; `ANYWHERE` is the number of those who name no tissue."""

    @classmethod
    def read(cls, facts: Mapping[str, Mapping[str, int]] | None) -> Self:
        """Take what `facts` gave and a checkpoint kept; nothing is known of any type where there is none."""
        return cls({} if facts is None else facts)

    def facts(self) -> dict[str, dict[str, int]]:
        """Give what is known in a form for JSON, in a fixed order."""
        return {kind: dict(sorted(places.items())) for kind, places in sorted(self.witnesses.items())}

    def prior(self, types: Sequence[str], tissue: str = ANYWHERE) -> Float[np.ndarray, " type"]:
        """Return how likely each type is before a cell was looked at, in proportion; rows sum to 1.

        A type that many have described is met more often than one that a single paper knows, and in the tissue where it
        was described more than elsewhere (ours). Witnesses in the tissue count in full, those in a tissue that it is part
        or kind of, or that is part or kind of it, by `NEARER`, all others by `ELSEWHERE`.

        Parameters
        ----------
        tissue
            Uberon id; `ANYWHERE` or an unknown one: all tissues count alike.
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
    """Count who knows each type where, over all marker tables that are at hand.

    Parameters
    ----------
    folder
        Folder or URL of the knowledge files; by default the user's cache (see `KnowledgeFiles`). Tables that are not there
        are not read.
    seen
        (type, tissue or "", study) of the cells that were learned from: each study is a witness.
    leaks
        Whether rows that were made from atlases which benchmarks use as well may be read.
    """
    return gathered_places(_rows(folder if isinstance(folder, KnowledgeFiles) else KnowledgeFiles(folder), leaks), seen)


def gathered_places(rows: Iterable[MarkerRow], seen: Iterable[tuple[str, str, str]]) -> TypePlaces:
    """Count witnesses: rows of marker tables, and (type, tissue or "", study) of cells."""
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
    """Say how near two tissues are: 1 for the same, less with each step where one is part or kind of the other, else 0."""
    home = ontology("UBERON")
    current = home.current(other) if other else None
    if current is None:
        return 0.0
    if current != one and current not in home.ancestors(one) and one not in home.ancestors(current):
        return 0.0
    steps = home.distance(one, current) or 0
    return NEARER**steps if steps <= FARTHEST else 0.0
