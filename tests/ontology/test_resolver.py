"""Cell types as people write them."""

import pandas as pd
import pytest

from okrcell.errors import InputError
from okrcell.ontology.obs_profile import single_tissue
from okrcell.ontology.resolver import as_free_text, resolve_cell_type

PANCREAS, BLOOD = "UBERON:0001264", "UBERON:0000178"


@pytest.mark.parametrize("entry", ["CL:0000236", "cl_0000236", "http://purl.obolibrary.org/obo/CL_0000236", "B cells"])
def test_an_id_an_address_and_a_name_are_one_type_without_remark(entry: str):
    resolved = resolve_cell_type(entry)
    assert resolved.term is not None
    assert (resolved.term.id, resolved.is_exact, resolved.remark) == ("CL:0000236", True, "")


def test_another_name_is_resolved_with_a_remark():
    resolved = resolve_cell_type("CD8 T cell")
    assert resolved.is_exact
    assert resolved.remark == "CD8 T cell -> CL:0000625 CD8-positive, alpha-beta T cell"


def test_a_dropped_word_is_in_the_remark():
    resolved = resolve_cell_type("wobbly hepatocyte")
    assert not resolved.is_exact
    assert resolved.remark == "wobbly hepatocyte -> CL:0000182 hepatocyte, without 'wobbly'"
    assert "only the broader hepatocyte" in as_free_text(resolved).remark


@pytest.mark.parametrize(("entry", "suggestion"), [("T cel", "T cell"), ("macrofage", "macrophage"), ("asdf qwer", "")])
def test_a_near_miss_is_suggested_and_not_resolved(entry: str, suggestion: str):
    resolved = resolve_cell_type(entry)
    assert resolved.term is None
    assert "no known cell type" in resolved.remark
    if suggestion:
        assert f"did you mean {suggestion}" in resolved.remark


@pytest.mark.parametrize("entry", ["UBERON:0000178", "GO:0008150", "MONDO_0005148", "CL:9999999"])
def test_ids_of_other_ontologies_and_unknown_ids_are_refused(entry: str):
    with pytest.raises(InputError, match=entry):
        resolve_cell_type(entry)


def test_a_sentence_is_compared_as_a_whole():
    assert resolve_cell_type("a lymphocyte that makes antibodies").term is None
    assert resolve_cell_type("hepatocyte which is found in the liver").term is None


def test_the_tissue_resolves_a_letter_and_hinders_no_other_type():
    beta, hepatocyte = resolve_cell_type("beta", PANCREAS), resolve_cell_type("AT2", BLOOD)
    assert beta.term is not None
    assert hepatocyte.term is not None
    assert (beta.term.id, hepatocyte.term.id) == ("CL:0000169", "CL:0002063")
    assert resolve_cell_type("beta").term is None


def test_the_tissue_of_a_file_is_known_if_there_is_only_one():
    assert single_tissue(pd.DataFrame({"tissue": ["blood", "blood", None]})) == BLOOD
    assert single_tissue(pd.DataFrame({"tissue": ["blood", "lung"]})) == ""
    assert single_tissue(pd.DataFrame({"tissue_ontology_term_id": [PANCREAS] * 2})) == PANCREAS
    assert single_tissue(pd.DataFrame({"tissue": [None]})) == single_tissue(pd.DataFrame({"x": [1]})) == ""
