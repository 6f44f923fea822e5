"""Marker consensus: support, resources, mapping to a gene axis."""

import numpy as np
import pytest

from okrcell.errors import InputError
from okrcell.knowledge.cell_type_markers import build_marker_consensus, load_marker_consensus
from okrcell.knowledge.markers import MarkerRow

B_CELL, T_CELL = "CL:0000236", "CL:0000084"


def stated(who, *genes, cell_type=B_CELL, present=True):
    return [(MarkerRow(cell_type, gene, who, present=present), who) for gene in genes]


def weight(known, gene, cell_type=B_CELL):
    return known.support[known.type_index[cell_type], known.genes.index(gene)]


def test_each_witness_counts_once_for_a_gene():
    known = build_marker_consensus(
        [*stated("one", "CD19", "MS4A1", "CD79A"), *stated("one", "CD19"), *stated("two", "CD19")]
    )
    assert weight(known, "CD19") == pytest.approx(2)
    assert weight(known, "MS4A1") == pytest.approx(1)
    assert known.resources[B_CELL, "CD19"] == ("one", "two")


def test_a_long_list_does_not_drown_a_short_one():
    long = stated("atlas", *(f"GENE{number}" for number in range(2000)))
    known = build_marker_consensus([*stated("paper", "CD19", "MS4A1", "CD79A"), *long])
    assert weight(known, "GENE7") == pytest.approx(0.1)
    assert weight(known, "CD19") == pytest.approx(1)


def test_what_a_type_lacks_is_below_zero_and_the_disputed_is_left_out():
    statements = [*stated("one", "CD19", "MS4A1", "CD79A", "CD3E"), *stated("two", "CD3E", "CD4", present=False)]
    known = build_marker_consensus(statements)
    assert weight(known, "CD4") < 0
    assert "CD3E" not in known.genes


def test_a_type_of_which_too_little_is_said_is_left_out():
    known = build_marker_consensus(
        [*stated("one", "CD19", "MS4A1", "CD79A"), *stated("one", "CD3E", "CD3D", cell_type=T_CELL)]
    )
    assert known.types == (B_CELL,)
    assert "CD3E" not in known.genes


def test_the_order_of_the_statements_does_not_matter():
    statements = [*stated("one", "CD19", "MS4A1", "CD79A"), *stated("two", *(f"GENE{number}" for number in range(50)))]
    known, turned = build_marker_consensus(statements), build_marker_consensus(statements[::-1])
    assert known.genes == turned.genes
    np.testing.assert_array_equal(known.support.toarray(), turned.support.toarray())


def test_on_another_axis_the_strongest_genes_stay_and_those_without_a_place_go():
    statements = [*stated("one", "CD19", "MS4A1", "CD79A"), *stated("two", "CD19", "MS4A1"), *stated("three", "CD19")]
    known = build_marker_consensus([*statements, *stated("four", "CD3E", present=False)])
    row = np.array([{"CD19": 5, "MS4A1": -1, "CD79A": 2, "CD3E": 0}[gene] for gene in known.genes])
    laid = known.on_gene_axis(row, 6)
    np.testing.assert_allclose(laid.toarray(), [[-1, 0, 1, 0, 0, 3**0.5]])
    np.testing.assert_allclose(known.on_gene_axis(row, 6, max_genes=2).toarray(), [[-1, 0, 0, 0, 0, 3**0.5]])


def test_without_tables_it_is_said_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="cellmarker_accordion_by_cl"):
        load_marker_consensus(tmp_path)


def test_hundreds_of_types_are_known_and_none_by_leaking_resources(shared_knowledge):
    from okrcell.knowledge.markers import LEAKING_PAPERS, LEAKING_RESOURCES

    known = load_marker_consensus(shared_knowledge)
    assert len(known.types) > 500
    resources = {who for witnesses in known.resources.values() for who in witnesses}
    assert not resources & (LEAKING_RESOURCES | {f"PMID {paper}" for paper in LEAKING_PAPERS})
    assert weight(known, "MS4A1") > 3
    assert weight(known, "CD3D", T_CELL) > 3
    assert len(known.tables) == 3
