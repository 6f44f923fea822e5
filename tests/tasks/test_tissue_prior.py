"""Tissue of cells, and the prior of types."""

import pandas as pd

from okrcell.tasks.open_vocabulary import MAX_TISSUES, read_tissues


def test_words_and_ids_are_read_cell_by_cell():
    obs = pd.DataFrame(
        {
            "tissue": pd.Categorical(["blood", "blood", None, "a place nobody knows"]),
            "tissue_ontology_term_id": ["", "UBERON:0002107", "UBERON:0002371", ""],
        }
    )
    assert read_tissues(obs).tolist() == ["UBERON:0000178", "UBERON:0002107", "UBERON:0002371", ""]


def test_without_a_column_no_tissue_is_told():
    assert read_tissues(pd.DataFrame(index=["a", "b"])).tolist() == ["", ""]
    assert read_tissues(pd.DataFrame({"tissue": []})).tolist() == []


def test_a_column_with_a_value_for_each_cell_names_no_tissues():
    assert set(read_tissues(pd.DataFrame({"tissue": [f"spot {number}" for number in range(MAX_TISSUES + 1)]}))) == {""}
