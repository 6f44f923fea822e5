"""Ask the marker tables whether a group of cells bears the name it was given."""

from dataclasses import dataclass

from okrcell.tasks.groups.group_genes import RARE, WEAK, GroupGenes
from okrcell.texts.gather import Inquiry
from okrcell.texts.known import Known
from okrcell.texts.template.marker_choice import Markers, broader, general_markers

KNOWN_MARKERS = 10
"""So many of a type's best supported marker genes are looked for."""
ENOUGH_MEASURED = 3
"""With fewer of them measured their silence says nothing."""
ENOUGH_MARKING = 2
"""So many that mark the group speak for a broader type."""


@dataclass(frozen=True)
class Witness:
    """How the known marker genes of a type stand in a group."""

    term_id: str
    markers: Markers
    """The type's best supported marker genes, with the records that name them."""
    measured: tuple[str, ...]
    """Those that the file measured."""
    marking: tuple[str, ...]
    """Those that tell the group from the others."""
    present: tuple[str, ...]
    """Those that at least a quarter of the group's cells have and that are not lower than elsewhere."""

    @property
    def refuses(self) -> bool:
        """Whether enough of them were measured and none is there."""
        return len(self.measured) >= ENOUGH_MEASURED and not self.present and not self.marking

    @property
    def supports(self) -> bool:
        """Whether some of them mark the group."""
        return len(self.marking) >= ENOUGH_MARKING


def witness(term_id: str, genes: GroupGenes, inquiry: Inquiry) -> Witness | None:
    """Look for the known marker genes of a cell type among a group's own; None where no source knows any."""
    markers = general_markers(term_id, Known(inquiry.about(term_id)), KNOWN_MARKERS)
    if not markers.genes:
        return None
    standing = [gene for gene in map(genes.named, markers.genes) if gene is not None]
    marking = tuple(gene.symbol for gene in standing if gene.marks)
    present = tuple(gene.symbol for gene in standing if gene.inside >= RARE and gene.log2_fold > -WEAK)
    return Witness(term_id, markers, tuple(gene.symbol for gene in standing), marking, present)


def supported_broader(term_id: str, genes: GroupGenes, inquiry: Inquiry) -> Witness | None:
    """Find the nearest broader type whose marker genes do mark the group; None if there is none."""
    heard = (witness(above, genes, inquiry) for above in broader(term_id))
    return next((each for each in heard if each is not None and each.supports), None)
