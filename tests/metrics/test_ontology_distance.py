"""A wrong label is scored by its relation to the true type in the Cell Ontology."""

import numpy as np
import pytest

from okrcell.metrics.annotation import RELATIONS, ontology_relation, relation_fractions
from okrcell.ontology.ontology import ontology

T, CD4, NAIVE_CD4, NAIVE_CD8, B = "CL:0000084", "CL:0000624", "CL:0000895", "CL:0000900", "CL:0000236"
ALPHA, BETA = "CL:0000171", "CL:0000169"


@pytest.mark.parametrize(
    ("truth", "given", "kind"),
    [
        (CD4, CD4, "right"),
        (NAIVE_CD4, CD4, "broader"),
        (NAIVE_CD4, T, "broader"),
        (CD4, NAIVE_CD4, "narrower"),
        (NAIVE_CD4, NAIVE_CD8, "sibling"),
        (B, ALPHA, "wrong"),
        (B, "", "none"),
        (B, "CL:9999999", "wrong"),
    ],
)
def test_each_kind_of_answer(truth, given, kind):
    assert ontology_relation(truth, given) == kind


def test_shares_of_five_cells_sum_to_one():
    truth = np.array([CD4, NAIVE_CD4, NAIVE_CD4, B, B])
    label = np.array([CD4, CD4, T, ALPHA, ""])
    shares = relation_fractions(truth, label)
    assert [shares[kind] for kind in RELATIONS] == pytest.approx([0.2, 0.4, 0, 0, 0.2, 0.2])
    assert sum(shares[kind] for kind in RELATIONS) == pytest.approx(1)
    steps = [ontology("CL").distance(NAIVE_CD4, one) for one in (CD4, T)]
    assert shares["within_one_step"] == pytest.approx(0.2 + 0.2 * sum(step == 1 for step in steps))
    assert steps[1] > 1


def test_no_cells_have_no_shares():
    assert all(np.isnan(one) for one in relation_fractions(np.array([], dtype=str), np.array([], dtype=str)).values())
