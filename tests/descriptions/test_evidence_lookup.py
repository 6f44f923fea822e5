from collections.abc import Iterator, Sequence

from okrcell.descriptions.evidence_lookup import EvidenceCache, EvidenceIndex, gather_evidence, is_a_records
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import OntologySource

MONOCYTE, CLASSICAL = "CL:0000576", "CL:0001054"
BLOOD, LUNG = "UBERON:0000178", "UBERON:0002048"


class Notes:
    """Markers of some types, and what some genes do."""

    name = "notes"

    def __init__(self, **markers: dict[str, str]) -> None:
        self.markers = markers["of"]
        self.requests: list[str] = []

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        self.requests.append(term_id)
        if term_id.isalnum():
            return (Evidence(f"This gene encodes {term_id}.", "RefSeq", "1", "1", "CC0", "gene", (), (term_id,)),)
        places = [key.split() for key in self.markers if key.split()[0] == term_id]
        return tuple(
            Evidence("m", "notes", " in ".join(terms), "1", "CC0", "marker", tuple(terms), genes)
            for terms in places
            if (genes := tuple(self.markers[" ".join(terms)].split()))
        )

    def passages(self) -> Iterator[Evidence]:
        return iter(())


def test_each_term_and_gene_is_asked_about_once_however_many_profiles_there_are():
    notes = Notes(of={CLASSICAL: "CD14 LYZ VCAN"})
    inquiry = EvidenceCache([notes])
    for tissue in (BLOOD, LUNG, BLOOD):
        gather_evidence(CellProfile(cell_type_id=CLASSICAL, tissue_id=tissue), inquiry)
    assert notes.requests == [CLASSICAL, BLOOD, "CD14", "LYZ", "VCAN", LUNG]


def test_evidence_comes_as_type_tissue_disease_genes():
    profile = CellProfile(cell_type_id=CLASSICAL, tissue_id=BLOOD, disease_id="MONDO:0100096")
    evidence = gather_evidence(profile, [OntologySource(), Notes(of={CLASSICAL: "CD14 LYZ VCAN"})])
    order = [piece.record for piece in evidence if piece.aspect in ("name", "marker")] + [
        gene for piece in evidence for gene in piece.genes if piece.aspect == "gene"
    ]
    assert order == [CLASSICAL, CLASSICAL, BLOOD, "MONDO:0100096", "CD14", "LYZ", "VCAN"]


def test_markers_of_other_tissues_are_left_out():
    notes = Notes(of={CLASSICAL: "CD14 LYZ VCAN", f"{CLASSICAL} {BLOOD}": "FCN1", f"{CLASSICAL} {LUNG}": "MARCO"})
    evidence = gather_evidence(CellProfile(cell_type_id=CLASSICAL, tissue_id=LUNG), [notes])
    assert [piece.genes for piece in evidence if piece.aspect == "marker"] == [("CD14", "LYZ", "VCAN"), ("MARCO",)]


def test_a_type_of_few_markers_gets_those_of_the_nearest_broader_one_and_why():
    notes = Notes(of={MONOCYTE: "CD14 LYZ VCAN", "CL:0000738": "PTPRC CD45 CD44"})
    evidence = gather_evidence(CellProfile(cell_type_id=CLASSICAL), [OntologySource(), notes])
    (relation,) = is_a_records(CLASSICAL, EvidenceIndex(evidence))
    assert relation.text == "CD14-positive monocyte is a kind of monocyte."
    assert relation.terms == (CLASSICAL, MONOCYTE)
    assert [piece.record for piece in evidence if piece.aspect == "marker"] == [MONOCYTE]
    assert {gene for piece in evidence if piece.aspect == "gene" for gene in piece.genes} == {"CD14", "LYZ", "VCAN"}


def test_nothing_is_asked_of_a_cell_of_which_nothing_is_known():
    notes = Notes(of={})
    assert gather_evidence(CellProfile(label="x", cell_type="x"), [notes]) == []
    assert notes.requests == []
