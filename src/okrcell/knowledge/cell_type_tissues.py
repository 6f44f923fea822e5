"""Number of resources that report each cell type in each tissue, and the tissue prior derived from them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Float

from okrcell.knowledge import markers as marker_tables
from okrcell.knowledge.downloads import KnowledgeFiles
from okrcell.knowledge.marker_licences import resource_licence
from okrcell.knowledge.markers import MarkerRow
from okrcell.ontology.ontology import ontology

ANY_TISSUE = ""
"""Tissue key of statements without a tissue."""
OTHER_TISSUE_WEIGHT = 0.05
"""Weight of a resource that reports the type in any tissue, relative to this tissue; above 0, so no type is excluded."""
PSEUDOCOUNT = 0.5
"""Pseudocount of resources for each type."""
STEP_WEIGHT = 0.5
"""Weight factor per step between two related tissues: one step counts half, two steps a quarter."""
MAX_STEPS = 3
"""Maximum number of steps between two related tissues; further ones have weight 0."""

TypeTissue = tuple[str, str]
"""Cell Ontology id of a type, and Uberon id of a tissue or `ANY_TISSUE`."""


@dataclass(frozen=True)
class CellTypeTissues:
    """Number of independent resources (databases, papers, studies of a corpus) that report each type in each tissue."""

    n_resources: Mapping[str, Mapping[str, int]]
    """By type, number of resources by tissue; `ANY_TISSUE` counts the resources without a tissue."""

    @classmethod
    def from_dict(cls, counts: Mapping[str, Mapping[str, int]] | None) -> Self:
        """Load the dictionary of `to_dict` from a checkpoint; None gives an empty table."""
        return cls({} if counts is None else counts)

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return the counts as a dictionary for JSON, in a fixed order."""
        return {
            cell_type: dict(sorted(tissue_counts.items()))
            for cell_type, tissue_counts in sorted(self.n_resources.items())
        }

    def prior(self, types: Sequence[str], tissue: str = ANY_TISSUE) -> Float[np.ndarray, " type"]:
        """Prior probability of each type in a tissue, float64 (type,); sums to 1.

        The prior is proportional to ``sum_t w_t n_t + 0.05 (sum_t n_t + 0.5)`` (ours), where ``n_t`` is the number of
        resources that report the type in tissue t, and ``w_t`` is 1 for the same tissue, `STEP_WEIGHT` per step for an ancestor
        or descendant of it, and 0 for others. The constants are `OTHER_TISSUE_WEIGHT` and `PSEUDOCOUNT`.

        Parameters
        ----------
        types
            Cell Ontology ids.
        tissue
            Uberon id; with `ANY_TISSUE` or an unknown id all tissues have the same weight.
        """
        uberon = ontology("UBERON")
        current_tissue = uberon.current_id(tissue) if tissue else None
        weight = np.empty(len(types))
        for i, cell_type in enumerate(types):
            tissue_counts = self.n_resources.get(cell_type, {})
            related_count = (
                sum(
                    count * _tissue_weight(current_tissue, other_tissue)
                    for other_tissue, count in tissue_counts.items()
                )
                if current_tissue
                else 0.0
            )
            weight[i] = related_count + OTHER_TISSUE_WEIGHT * (sum(tissue_counts.values()) + PSEUDOCOUNT)
        return weight / weight.sum() if len(types) else weight


def load_cell_type_tissues(
    knowledge: str | Path | KnowledgeFiles | None = None,
    *,
    training_cells: Iterable[tuple[str, str, str]] = (),
    leaks: bool = False,
    open_only: bool = False,
) -> CellTypeTissues:
    """Count the resources that report each type in each tissue, over all available marker tables.

    Parameters
    ----------
    knowledge
        Folder or URL of the knowledge files; by default the user's cache (see `KnowledgeFiles`). Missing tables are
        skipped.
    training_cells
        (type, tissue or "", study) of the training cells; each study counts as one resource.
    leaks
        Whether rows derived from atlases that benchmarks also use are read.
    open_only
        Count openly licensed resources only (`okrcell.knowledge.marker_licences`).
    """
    rows = _marker_rows(knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge), leaks)
    return count_cell_type_tissues(
        (row for row in rows if not open_only or resource_licence(row.resource).is_open), training_cells
    )


def count_cell_type_tissues(
    rows: Iterable[MarkerRow], training_cells: Iterable[tuple[str, str, str]]
) -> CellTypeTissues:
    """Count resources from rows of marker tables and from (type, tissue or "", study) of cells."""
    resources: defaultdict[TypeTissue, set[str]] = defaultdict(set)
    for row in rows:
        resources[row.cell_type, row.tissue].add(row.resource)
    cell_ontology, uberon = ontology("CL"), ontology("UBERON")
    for cell_type, tissue, study in training_cells:
        current_type = cell_ontology.current_id(cell_type)
        if current_type:
            resources[current_type, uberon.current_id(tissue) or ANY_TISSUE if tissue else ANY_TISSUE].add(
                f"study {study}"
            )
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (cell_type, tissue), resource_names in resources.items():
        counts[cell_type][tissue] = len(resource_names)
    return CellTypeTissues(dict(counts))


def _marker_rows(knowledge_files: KnowledgeFiles, leaks: bool) -> Iterator[MarkerRow]:
    by_type, by_tissue = "cellmarker_accordion_by_cl.csv.gz", "cellmarker_accordion_healthy.csv.gz"
    if knowledge_files.has_file(by_type) and knowledge_files.has_file(by_tissue):
        yield from marker_tables.read_accordion(
            knowledge_files.local_file(by_type).path, knowledge_files.local_file(by_tissue).path, leaks
        )
    if knowledge_files.has_file("cellmarker2_raw.csv.gz"):
        yield from marker_tables.read_cellmarker(knowledge_files.local_file("cellmarker2_raw.csv.gz").path, leaks)
    if knowledge_files.has_file("PanglaoDB_markers_27_Mar_2020.tsv"):
        yield from marker_tables.read_panglaodb(knowledge_files.local_file("PanglaoDB_markers_27_Mar_2020.tsv").path)


@cache
def _tissue_weight(first: str, second: str) -> float:
    """1 for equal tissues, `STEP_WEIGHT` per step to an ancestor or descendant within `MAX_STEPS` steps, else 0."""
    uberon = ontology("UBERON")
    current_second = uberon.current_id(second) if second else None
    if current_second is None:
        return 0.0
    if (
        current_second != first
        and current_second not in uberon.ancestors(first)
        and first not in uberon.ancestors(current_second)
    ):
        return 0.0
    steps = uberon.distance(first, current_second) or 0
    return STEP_WEIGHT**steps if steps <= MAX_STEPS else 0.0
