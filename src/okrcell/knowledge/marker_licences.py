"""Licences of the resources that state marker genes, and which of them may be shipped with a model."""

from dataclasses import dataclass

ONTOLOGY_RESOURCE = "Cell Ontology"
"""Name of the statements found in the texts of the Cell Ontology (`okrcell.descriptions.ontology_markers`)."""
CELLMARKER_RESOURCE = "CellMarker 2.0"
"""Source of all papers of CellMarker 2, each of which is a resource."""
OTHER_RESOURCES = "other resources"
"""Source of the resources that are not listed here."""


@dataclass(frozen=True)
class ResourceLicence:
    """Licence of a resource, as found at the resource."""

    licence: str
    is_open: bool = False
    """Whether the licence lets anyone redistribute what is learned from the resource, for any purpose."""


NO_LICENCE = ResourceLicence("none found")
_VENDOR = ResourceLicence("none found; a vendor's web pages")
RESOURCE_LICENCES: dict[str, ResourceLicence] = {
    ONTOLOGY_RESOURCE: ResourceLicence("CC BY 4.0", is_open=True),
    "ASCT+B": ResourceLicence("CC BY 4.0 (HuBMAP)", is_open=True),
    "Abcam": _VENDOR,
    "Cell Signaling TECHNOLOGY": _VENDOR,
    "Cell Taxonomy": NO_LICENCE,
    "CellMatch": ResourceLicence("GPL (scCATCH)"),
    "Human Cell Atlas": NO_LICENCE,
    "Human Cell Landscape": NO_LICENCE,
    "SHOGoiN": NO_LICENCE,
    "Sctyper.db": ResourceLicence("GPL-3 (ScType)"),
    "SingleCellBase": NO_LICENCE,
    "ThermoFisher": _VENDOR,
    "bdbiosciences": _VENDOR,
    "scBrainMap": NO_LICENCE,
    CELLMARKER_RESOURCE: ResourceLicence("academic use"),
    "PanglaoDB": ResourceLicence("none stated"),
}
"""Licence by resource: texts of the Cell Ontology, resources of the Cell Marker Accordion, the other two tables."""


def source_of_resource(resource: str) -> str:
    """Return the source of a resource: a paper ("PMID 28091601") belongs to CellMarker 2.0, an unlisted one to the others.

    Examples
    --------
    >>> [source_of_resource(name) for name in ("ASCT+B", "PMID 28091601", "my laboratory")]
    ['ASCT+B', 'CellMarker 2.0', 'other resources']
    """
    if resource.startswith(("PMID ", f"{CELLMARKER_RESOURCE}, ")):
        return CELLMARKER_RESOURCE
    return resource if resource in RESOURCE_LICENCES else OTHER_RESOURCES


def resource_licence(resource: str) -> ResourceLicence:
    """Return the licence of a resource; one that is not listed counts as not licensed."""
    return RESOURCE_LICENCES.get(source_of_resource(resource), NO_LICENCE)
