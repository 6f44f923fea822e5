import pytest

from okrcell.ontology.label_parsing import stage_names
from okrcell.ontology.ontology import ontology


@pytest.mark.parametrize(
    ("age", "stage"),
    [
        ("34 years", "34-year-old stage"),
        ("34y", "34-year-old stage"),
        ("25-year-old human", "25-year-old stage"),
        ("3 months", "3-month-old stage"),
        ("GW16", "14th week post-fertilization stage"),
        ("16 weeks gestation", "14th week post-fertilization stage"),
        ("12 pcw", "12th week post-fertilization stage"),
        ("CS7", "Carnegie stage 07"),
    ],
)
def test_an_age_names_a_stage_that_the_ontology_has(age: str, stage: str):
    assert list(stage_names(age)) == [stage]
    assert ontology("HsapDv").find_exact(stage) is not None


@pytest.mark.parametrize("words", ["", "adult", "donor 7", "day 3", "v2"])
def test_what_is_no_age_names_none(words: str):
    assert list(stage_names(words)) == []
