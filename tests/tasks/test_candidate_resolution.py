"""Candidates are resolved to terms, and what they were resolved to is told."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from okrcell.cli import main
from okrcell.descriptions.metadata_text import label_texts
from okrcell.errors import InputError
from okrcell.tasks.candidates import parse_candidates, resolve_candidates
from okrcell.tasks.labels import read_column_labels
from okrcell.tasks.retrieval import resolve_query

README_NAMES = {
    "CD4 T cell": "CL:0000624", "CD8 T cell": "CL:0000625", "B cell": "CL:0000236", "NK cell": "CL:0000623",
    "CD14 monocyte": "CL:0001054", "FCGR3A monocyte": "CL:0002396", "dendritic cell": "CL:0000451",
    "megakaryocyte": "CL:0000556",
}  # fmt: skip


@pytest.fixture
def blood_path(tmp_path):
    obs = pd.DataFrame({"tissue": "blood"}, index=[f"c{i}" for i in range(4)])
    var = pd.DataFrame(index=["CD3D", "MS4A1", "CD14"])
    path = tmp_path / "cells.h5ad"
    ad.AnnData(np.ones((4, 3), dtype=np.float32), obs=obs, var=var).write_h5ad(path)
    return path


def test_everyday_names_keep_their_spelling_and_get_the_id_and_its_texts():
    candidates = parse_candidates(list(README_NAMES))
    assert {candidate.name: candidate.term_id for candidate in candidates} == README_NAMES
    assert all(candidate.texts == label_texts(candidate.term_id) for candidate in candidates)


def test_each_name_that_is_resolved_to_another_or_to_nothing_is_told_and_logged(caplog):
    with caplog.at_level(logging.INFO, "okrcell"):
        remarks = resolve_candidates(["B cell", "CL:0000084", "CD8 T cell", "asdf qwer", "T cel"]).remarks
    assert remarks == (
        "CD8 T cell -> CL:0000625 CD8-positive, alpha-beta T cell",
        "asdf qwer: no known cell type; read as free text",
        "T cel: no known cell type (did you mean T cell?); read as free text",
    )
    assert [record.getMessage() for record in caplog.records if "candidates" in record.name] == list(remarks)


def test_strict_refuses_names_that_are_not_resolved():
    with pytest.raises(InputError, match=r"2 of 3 .*'asdf qwer', 'T cel' \(did you mean T cell\?\)"):
        parse_candidates(["B cell", "asdf qwer", "T cel"], strict=True)
    assert len(parse_candidates(["B cell", "CD8 T cell"], strict=True)) == 2


def test_names_of_one_type_are_merged_and_told():
    resolved = resolve_candidates(["B lymphocyte", "T cell", "B cells"])
    assert [candidate.name for candidate in resolved.candidates] == ["B lymphocyte", "T cell"]
    assert "B cells: the same type as the candidate B lymphocyte, CL:0000236; used once" in resolved.remarks


def test_a_dropped_qualifier_makes_no_two_candidates_the_same_type():
    resolved = resolve_candidates(["hepatocyte", "wobbly hepatocyte"])
    assert [candidate.term_id for candidate in resolved.candidates] == ["CL:0000182", ""]
    assert any("only the broader hepatocyte" in remark for remark in resolved.remarks)
    (alone,) = resolve_candidates(["wobbly hepatocyte"]).candidates
    assert (alone.name, alone.term_id) == ("wobbly hepatocyte", "CL:0000182")
    both = resolve_candidates(["wobbly hepatocyte", "frobbed hepatocyte"]).candidates
    assert [candidate.term_id for candidate in both] == ["", ""]


def test_numbers_and_placeholders_are_left_out_with_a_word():
    entries = ["nan", "0", np.int64(1), float("nan"), None, pd.NA, "unknown", "B cell"]
    resolved = resolve_candidates(entries)
    assert [candidate.name for candidate in resolved.candidates] == ["B cell"]
    assert [remark.split(":")[0] for remark in resolved.remarks] == ["nan", "0", "1", "missing value", "unknown"]
    with pytest.raises(InputError, match="0, 1 names no cell type"):
        parse_candidates(["0", "1"])


@pytest.mark.parametrize("entries", [["UBERON:0000178"], ["B cell", "GO:0008150"], [["B cell"]], {"B cell": 1}, 5])
def test_what_is_no_list_of_cell_types_is_refused(entries):
    with pytest.raises(InputError):
        parse_candidates(entries)


def test_the_tissue_of_the_cells_resolves_a_letter():
    (beta,) = parse_candidates(["beta"], "UBERON:0000006")
    assert beta.term_id == "CL:0000169"


def test_a_query_is_resolved_unless_it_would_lose_a_word():
    assert resolve_query("CD8 T cell").texts == label_texts("CL:0000625")
    assert resolve_query("wobbly hepatocyte").texts == ("wobbly hepatocyte",)
    assert resolve_query("a lymphocyte that makes antibodies").remark == ""
    assert "did you mean T cell" in resolve_query("T cel").remark


@pytest.mark.parametrize("text", ["wobbly hepatocyte", "T cel", "a lymphocyte that makes antibodies"])
def test_a_strict_query_is_refused_if_it_names_no_type(text):
    with pytest.raises(InputError, match="names no known cell type"):
        resolve_query(text, strict=True)
    assert resolve_query("CD8 T cell", strict=True) == resolve_query("CD8 T cell")


@pytest.mark.parametrize("command", ["annotate", "describe", "explain"])
def test_strict_and_ids_of_other_ontologies_end_the_command_before_the_work(command, blood_path, tmp_path, capsys):
    options = ["--groupby", "tissue"] if command == "describe" else []
    for candidates, message in (
        ("T cel,B cell --strict", "did you mean T cell?"),
        ("GO:0008150", "not an id of the Cell"),
    ):
        names, *strict = candidates.split(" --")
        arguments = [command, str(blood_path), "-o", str(tmp_path / "out.h5ad"), "--candidates", names, *options]
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *(f"--{option}" for option in strict)])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out.h5ad").exists()


def test_strict_ends_a_search_before_the_work(blood_path, capsys, monkeypatch):
    monkeypatch.setattr("okrcell.cli.cells.load_model", lambda path: pytest.fail("the model was loaded"))
    with pytest.raises(SystemExit):
        main(["find", str(blood_path), "T cel", "--strict"])
    assert "did you mean T cell?" in capsys.readouterr().err


def test_labels_that_lose_a_word_or_name_nothing_are_told():
    labels = ["wobbly hepatocyte", "B cell", "asdf qwer", "short", "unknown", "CD8 T cell"]
    obs = pd.DataFrame({"own": labels, "own_ontology_term_id": ["", "", "", "CL:0000182", "", ""]})
    assert read_column_labels(obs, "own", "--label-key").remarks == (
        "label 'asdf qwer': no known cell type; read as free text",
        "label 'wobbly hepatocyte' -> CL:0000182 hepatocyte, without 'wobbly'",
    )


def test_many_labels_without_a_type_get_a_count():
    obs = pd.DataFrame({"own": [f"cluster {number}" for number in range(25)]})
    remarks = read_column_labels(obs, "own", "--label-key").remarks
    assert len(remarks) == 11
    assert remarks[-1] == "and 15 more labels that are no names of known cell types"
