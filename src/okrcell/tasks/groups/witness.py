"""Check whether known marker genes of the assigned type are expressed in the group."""

from dataclasses import dataclass

from okrcell.tasks.groups.group_genes import RARE, WEAK, GroupGenes
from okrcell.texts.gather import Inquiry
from okrcell.texts.known import Known
from okrcell.texts.template.marker_choice import Markers, broader, general_markers

KNOWN_MARKERS = 10
"""Maximum number of best supported marker genes of a type that are checked."""
ENOUGH_MEASURED = 3
"""Minimum number of measured marker genes for a contradiction."""
ENOUGH_MARKING = 2
"""Minimum number of marker genes that mark the group for a confirmation."""


@dataclass(frozen=True)
class Witness:
    """Expression of a type's known marker genes in a group."""

    term_id: str
    markers: Markers
    """Best supported marker genes of the type, with their records."""
    measured: tuple[str, ...]
    """Marker genes that were measured."""
    marking: tuple[str, ...]
    """Marker genes that mark the group."""
    present: tuple[str, ...]
    """Marker genes expressed in at least a quarter of the group's cells, and not lower than in other cells."""

    @property
    def refuses(self) -> bool:
        """Whether enough marker genes were measured and none is expressed."""
        return len(self.measured) >= ENOUGH_MEASURED and not self.present and not self.marking

    @property
    def supports(self) -> bool:
        """Whether enough marker genes mark the group."""
        return len(self.marking) >= ENOUGH_MARKING


def witness(term_id: str, genes: GroupGenes, inquiry: Inquiry) -> Witness | None:
    """Check the known marker genes of a cell type in a group; None if no source has any."""
    markers = general_markers(term_id, Known(inquiry.about(term_id)), KNOWN_MARKERS)
    if not markers.genes:
        return None
    standing = [gene for gene in map(genes.named, markers.genes) if gene is not None]
    marking = tuple(gene.symbol for gene in standing if gene.marks)
    present = tuple(gene.symbol for gene in standing if gene.inside >= RARE and gene.log2_fold > -WEAK)
    return Witness(term_id, markers, tuple(gene.symbol for gene in standing), marking, present)


def supported_broader(term_id: str, genes: GroupGenes, inquiry: Inquiry) -> Witness | None:
    """Return the nearest broader type whose marker genes mark the group; None if there is none."""
    heard = (witness(above, genes, inquiry) for above in broader(term_id))
    return next((each for each in heard if each is not None and each.supports), None)
