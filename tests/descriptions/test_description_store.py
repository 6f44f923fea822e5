"""Descriptions are equal after saving and loading."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from okrcell.descriptions.description import Description, Dropped, Sentence, load_descriptions, save_descriptions
from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.lists(words, max_size=3).map(tuple)
evidence = st.builds(
    Evidence,
    words,
    words,
    words,
    words,
    words,
    st.sampled_from(["name", "marker", "passage"]),
    terms=names,
    genes=names,
)
sentence = st.builds(Sentence, words, st.lists(evidence, max_size=3).map(tuple))
description = st.builds(
    Description,
    st.builds(CellProfile, cell_type=words, tissue=words, label=words),
    st.lists(sentence, max_size=3).map(tuple),
    st.lists(words, min_size=1, max_size=3).map(tuple),
    original=names,
    dropped=st.lists(st.builds(Dropped, words, words), max_size=2).map(tuple),
    similarity=st.none() | st.floats(-1, 1),
    outcome=st.sampled_from(["written", "original"]),
    remark=words,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(descriptions=st.lists(description, max_size=4), note=st.dictionaries(words, words, max_size=2))
def test_what_is_read_equals_what_was_saved(tmp_path, descriptions, note):
    save_descriptions(tmp_path / "d.parquet", descriptions, note)
    stored = load_descriptions(tmp_path / "d.parquet")
    assert list(stored.descriptions) == descriptions
    assert stored.receipt == note


def test_any_reader_of_parquet_finds_text_and_citations(tmp_path):
    piece = Evidence("A lymphocyte.", "Cell Ontology", "CL:0000236", "2026", "CC BY 4.0", "definition")
    one = Description(CellProfile("B cell"), (Sentence("It is a lymphocyte.", (piece,)),), ("It is a lymphocyte.",))
    save_descriptions(tmp_path / "d.parquet", [one], {})
    (row,) = pq.read_table(tmp_path / "d.parquet").to_pylist()
    assert row["text"] == "It is a lymphocyte."
    assert row["sentences"] == [{"text": "It is a lymphocyte.", "cites": [0]}]
    assert row["citations"][0]["record"] == "CL:0000236"
    assert row["citations"][0]["sha256"] == piece.sha256


def test_other_files_are_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="no file of descriptions"):
        load_descriptions(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as descriptions"):
        load_descriptions(tmp_path / "text.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="another kind of table"):
        load_descriptions(tmp_path / "other.parquet")


def test_a_file_cut_short_is_refused_in_one_line(tmp_path):
    one = Description(CellProfile("B cell"), (), ("B cell",))
    save_descriptions(tmp_path / "d.parquet", [one], json.loads('{"a": 1}'))
    whole = (tmp_path / "d.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load_descriptions(tmp_path / "d.parquet")
