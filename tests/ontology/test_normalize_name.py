import pytest

from okrcell.ontology.ontology import normalize_name, normalize_names, ontology


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("B cells", "B cell"),
        ("B-cell", "B cell"),
        ("Bcells", "B cell"),
        ("T-Cells", "T cell"),
        ("CD8+ T cells", "CD8-positive T cell"),
        ("CD8+CD103+ T cell", "CD8-positive, CD103-positive T cell"),
        ("γδ T cell", "gamma-delta T cell"),
        ("β cell", "beta cell"),
        ("haematopoietic stem cell", "Hematopoietic Stem Cell"),
        ("natural\xa0killer   cell", "natural killer cell"),
    ],
)
def test_spellings_of_one_name_are_equal(one: str, other: str):
    assert normalize_name(one) == normalize_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CD25+ T cell", "CD25- T cell"),
        ("CD25- Naive T", "CD25 Naive T"),
        ("CD8+ T cell", "CD8 T cell"),
        ("memory B cell", "memory T cell"),
    ],
)
def test_plus_and_minus_after_a_marker_count(one: str, other: str):
    assert normalize_name(one) != normalize_name(other)


def test_a_hyphen_inside_a_name_is_no_minus():
    assert "negative" not in normalize_name("CD4-positive T-cell") + normalize_name("NK-cell") + normalize_name(
        "KIT-ligand"
    )


def test_many_names_are_normalised_as_each_alone():
    stages = ontology("HsapDv")
    names = [name for term_id in stages.term_ids() for name in stages.names_of(term_id)]
    names += ["CD4+", "CD8-", "", "α-β T-cells", "two\nlines", "a&#10;b", "ΑΣ", "Σ", "CD14−", "oesophagus’s", "++"]
    assert normalize_names(names) == [normalize_name(name) for name in names]
    assert normalize_names([]) == []
    assert normalize_names(["CD8- T cell", "two\nlines", "a&#10;b", "x"])[:3] == [
        "cd8 negative t cell",
        "two line",
        "a b",
    ]
