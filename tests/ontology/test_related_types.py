"""Cell types are related if one is an ancestor of the other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.ontology.ontology import ontology
from okrcell.ontology.relations import related

LYMPHOCYTE, T, CD4, CD8, B, NEURON = (
    "CL:0000542", "CL:0000084", "CL:0000624", "CL:0000625", "CL:0000236", "CL:0000540",
)  # fmt: skip


def kin(*names):
    return related(names).tolist()


def test_a_type_is_kin_to_what_it_is_a_kind_of_at_any_distance():
    assert kin(CD8, T, LYMPHOCYTE) == [[True] * 3] * 3
    # Also if the types between them are not in the list.
    assert kin(CD8, LYMPHOCYTE) == [[True] * 2] * 2


def test_siblings_and_strangers_are_not_kin():
    assert kin(CD4, CD8) == [[True, False], [False, True]]
    assert kin(T, B, NEURON) == np.eye(3, dtype=bool).tolist()


def test_the_authors_own_words_are_kin_to_nobody_else():
    assert kin("T cell", T, "cluster 4") == np.eye(3, dtype=bool).tolist()


def test_an_id_that_the_ontology_does_not_have_is_kin_to_nobody_else():
    assert kin("CL:9999999", T, LYMPHOCYTE) == [[True, False, False], [False, True, True], [False, True, True]]


def test_no_names_are_no_error():
    assert related([]).shape == (0, 0)


NAMES = [*sorted(ontology("CL").ancestors(CD8)), *sorted(ontology("CL").ancestors(B)), CD4, CD8, NEURON, "mystery"]


@given(st.lists(st.sampled_from(NAMES), unique=True, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_kinship_is_mutual_and_does_not_depend_on_the_order_of_names(names, chance):
    matrix = related(names)
    assert matrix.dtype == bool
    assert (matrix == matrix.T).all()
    assert matrix.diagonal().all()
    order = list(range(len(names)))
    chance.shuffle(order)
    np.testing.assert_array_equal(related([names[place] for place in order]), matrix[np.ix_(order, order)])
    home = ontology("CL")
    for one, row in zip(names, matrix, strict=True):
        for other, found in zip(names, row, strict=True):
            above = [
                upper in home.ancestors(lower)
                for lower, upper in ((one, other), (other, one))
                if lower.startswith("CL:")
            ]
            assert found == (one == other or any(above))
