"""Tissue prior of cell types from resource counts."""

import numpy as np
import pytest

from okrcell.knowledge.cell_type_tissues import (
    OTHER_TISSUE_WEIGHT,
    PSEUDOCOUNT,
    CellTypeTissues,
    load_cell_type_tissues,
)

BLOOD, LIVER, LIVER_LOBE, KIDNEY = "UBERON:0000178", "UBERON:0002107", "UBERON:0001113", "UBERON:0002113"
B_CELL, HEPATOCYTE, NEURON = "CL:0000236", "CL:0000182", "CL:0000540"
KNOWN = CellTypeTissues({B_CELL: {"": 2, BLOOD: 4}, HEPATOCYTE: {LIVER: 6}})


def test_shares_sum_to_one_and_nothing_is_excluded():
    for tissue in ("", BLOOD, "UBERON:9999999", "no id"):
        prior = KNOWN.prior([B_CELL, HEPATOCYTE, NEURON], tissue)
        assert prior.sum() == pytest.approx(1)
        assert (prior > 0).all()


def test_without_a_tissue_types_weigh_as_many_as_know_them():
    prior = KNOWN.prior([B_CELL, HEPATOCYTE, NEURON])
    np.testing.assert_allclose(prior / prior[2], [(6 + PSEUDOCOUNT) / PSEUDOCOUNT, (6 + PSEUDOCOUNT) / PSEUDOCOUNT, 1])


def test_a_type_is_likelier_in_its_own_tissue_and_in_what_that_is_part_of():
    liver, lobe, kidney = (KNOWN.prior([B_CELL, HEPATOCYTE], place)[1] for place in (LIVER, LIVER_LOBE, KIDNEY))
    assert liver > lobe > kidney
    assert kidney == pytest.approx(KNOWN.prior([B_CELL, HEPATOCYTE])[1])


def test_witnesses_elsewhere_count_little_but_count():
    prior = KNOWN.prior([B_CELL, HEPATOCYTE], BLOOD)
    assert prior[0] / prior[1] == pytest.approx(
        (4 + OTHER_TISSUE_WEIGHT * (6 + PSEUDOCOUNT)) / (OTHER_TISSUE_WEIGHT * (6 + PSEUDOCOUNT))
    )


def test_a_checkpoint_keeps_what_is_known():
    assert CellTypeTissues.from_dict(KNOWN.to_dict()) == KNOWN
    assert CellTypeTissues.from_dict(None).prior([B_CELL, NEURON]).tolist() == [0.5, 0.5]


def test_a_study_that_was_learned_from_is_a_witness(tmp_path):
    seen = [
        (B_CELL, BLOOD, "one"),
        (B_CELL, BLOOD, "one"),
        (B_CELL, BLOOD, "two"),
        ("no type", BLOOD, "two"),
        (NEURON, "", "one"),
    ]
    assert load_cell_type_tissues(tmp_path, training_cells=seen).to_dict() == {B_CELL: {BLOOD: 2}, NEURON: {"": 1}}


def test_published_tables_know_b_cells_in_blood_and_hepatocytes_in_liver(shared_knowledge):
    known = load_cell_type_tissues(shared_knowledge)
    types = list(known.n_resources)
    assert len(types) > 600
    order = [types[place] for place in np.argsort(-known.prior(types, BLOOD), kind="stable")]
    assert order.index(B_CELL) < 10 < order.index(HEPATOCYTE)
    order = [types[place] for place in np.argsort(-known.prior(types, LIVER), kind="stable")]
    assert order.index(HEPATOCYTE) < 10
