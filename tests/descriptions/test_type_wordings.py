"""Everyday names of Cell Ontology terms mean the term, and the names of the field are among them."""

import pytest

from okrcell.descriptions.type_wordings import MAX_NAMES, everyday_names, type_wordings
from okrcell.ontology.resolver import resolve_cell_type


@pytest.mark.parametrize(
    ("term_id", "names"),
    [
        ("CL:0000624", {"CD4 T", "CD4+ T cell", "CD4 T cells"}),
        ("CL:0000895", {"naive CD4 T cell", "CD4 naive T"}),
        ("CL:0000171", {"alpha cell", "alpha cells"}),
        ("CL:0002396", {"CD16 monocyte", "CD16+ monocyte"}),
        ("CL:0000623", {"NK", "NK cells"}),
        ("CL:0000115", {"EC", "endothelial cells"}),
    ],
)
def test_names_of_the_field(term_id: str, names: set[str]) -> None:
    made = everyday_names(term_id)
    assert names <= set(made)
    assert len(made) <= MAX_NAMES
    assert all(resolve_cell_type(name).term.id == term_id for name in made)  # type: ignore[union-attr]


def test_a_short_name_of_another_type_is_not_made() -> None:
    # "acinar cell" is a type of its own, "B" a B cell of the blood.
    assert "acinar cell" not in everyday_names("CL:0002064")
    assert "B" not in everyday_names("CL:0000169")


def test_wordings_without_sentences_have_no_everyday_names() -> None:
    assert "CD4 T cell" in type_wordings("CL:0000624")
    assert "CD4 T cell" not in type_wordings("CL:0000624", sentences=False)
