"""`tl.explain` and its Markdown and JSON, for groups and for single cells."""

import importlib.util
import json
from pathlib import Path

import anndata
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import okrcell as okr
from okrcell.cli import main
from okrcell.errors import InputError
from okrcell.tl.explain import explain, explanations_json, explanations_page

mpl.use("Agg")
TYPES = ["B cell", "T cell", "monocyte"]
GENES = ["gene", "speaks", "contribution", "relative", "expected", "runner_up_expected", "inside", "outside", "source"]


@pytest.fixture(scope="module", autouse=True)
def _no_knowledge_files(tmp_path_factory):
    """No knowledge files: only the ontologies are used, whatever this machine has."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("OKRCELL_KNOWLEDGE", raising=False)
        patched.setenv("OKRCELL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model(blood):
    """The model with hand-written signatures that the tests of `tasks` use."""
    file = Path(__file__).parents[1] / "tasks" / "signature_fakes.py"
    fakes = importlib.util.spec_from_file_location("signature_fakes", file)
    loaded = importlib.util.module_from_spec(fakes)
    fakes.loader.exec_module(loaded)
    return loaded.SignatureModel(blood)


@pytest.fixture(scope="module")
def cells(blood, model):
    """Blood annotated among three candidates and explained by cell type; do not change."""
    adata = blood[:200].copy()
    okr.tl.annotate(adata, model, candidates=TYPES)
    explain(adata, model)
    return adata


@pytest.fixture
def few(blood):
    return blood[:40].copy()


def test_each_answer_is_explained_by_its_genes(cells):
    explanations = cells.uns["okrcell_explanations"]
    assert sorted(explanations) == sorted(TYPES)
    b = explanations["B cell"]
    assert (b["cell_type"], b["cell_type_ontology_term_id"], b["share"]) == ("B cell", "CL:0000236", 1.0)
    assert b["runner_up"] in TYPES[1:]
    assert b["score"] > b["runner_up_score"]
    genes = b["genes"]
    assert list(genes.columns) == [*GENES, "evidence"]
    assert {"CD79A", "MS4A1", "HLA-DRA"} <= set(genes.loc[genes["speaks"] == "for", "gene"])
    assert set(genes["source"]) <= {"marker tables", "cells of the corpus", "both"}
    assert ((genes["contribution"] > 0) == (genes["speaks"] == "for")).all()


def test_strict_refuses_a_candidate_that_is_no_type(cells, few, model):
    for adata in (cells, few):
        with pytest.raises(InputError, match="'asdf qwer'"):
            explain(adata, model, candidates=[*TYPES, "asdf qwer"], strict=True)
    assert "okrcell_scores" not in few.obsm


def test_rows_and_answers_stay_as_they_were(cells, blood, model):
    assert cells.obs_names.tolist() == blood.obs_names[:200].tolist()
    before = cells.obs["okrcell_cell_type"].tolist()
    again = cells.copy()
    explain(again, model, "cell_type")
    assert again.obs["okrcell_cell_type"].tolist() == before
    assert again.uns["okrcell"]["annotate"]["time"] == cells.uns["okrcell"]["annotate"]["time"]
    assert sum(each["cells"] for each in again.uns["okrcell_explanations"].values()) == 200


def test_single_cells_are_explained_by_name_and_in_the_order_asked(cells, model):
    adata = cells.copy()
    names = adata.obs_names[[7, 3]].tolist()
    explain(adata, model, cells=names, top=3)
    receipt = adata.uns["okrcell"]["explain"]
    assert (receipt["explained"], receipt["groupby"], receipt["cells_left_out"]) == (names, "", 198)
    for name in names:
        each = adata.uns["okrcell_explanations"][name]
        assert (each["cells"], each["cell_type"]) == (1, adata.obs.loc[name, "okrcell_cell_type"])
        assert set(each["genes"]["inside"]) <= {0.0, 1.0}
        assert len(each["genes"]) <= 3


def test_cells_without_names_are_named_first(few, model):
    explain(few, model, candidates=TYPES)
    assert few.uns["okrcell"]["annotate"]["candidates"] == TYPES
    explain(few, model, candidates=["B cell", "monocyte"])
    assert few.uns["okrcell"]["annotate"]["candidates"] == ["B cell", "monocyte"]


def test_other_candidates_or_another_model_name_anew(few, model, monkeypatch):
    explain(few, model, candidates=TYPES)
    few.uns["okrcell"]["annotate"]["weights_sha256"] = "another"
    explain(few, model, candidates=TYPES)
    assert few.uns["okrcell"]["annotate"]["weights_sha256"] == model.fingerprint


def test_a_cell_without_expression_and_one_alone_are_no_trouble(few, model):
    matrix = few.X.tolil()
    matrix[5] = 0
    few.X = matrix.tocsr()
    one = few[5:6].copy()
    for adata in (few, one):
        explain(adata, model, cells=[few.obs_names[5]], candidates=["B cell"])
        each = adata.uns["okrcell_explanations"][few.obs_names[5]]
        assert (each["cell_type"], each["without_expression"], len(each["genes"])) == ("unknown", 1, 0)
    assert "No cell has expression" in explanations_page(one)


def test_explanations_survive_a_file(cells, model, tmp_path):
    adata = cells.copy()
    adata.obs["group"] = np.where(adata.obs["okrcell_cell_type"] == "B cell", "B/plasma", "rest")
    explain(adata, model, "group")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert sorted(again.uns["okrcell_explanations"]) == ["B|plasma", "rest"]
    pd.testing.assert_frame_equal(
        again.uns["okrcell_explanations"]["rest"]["genes"],
        adata.uns["okrcell_explanations"]["rest"]["genes"],
        check_dtype=False,
    )
    assert explanations_page(again) == explanations_page(adata)
    explain(again, model)
    assert "## B cell" in explanations_page(again)


def test_the_page_and_the_json_tell_the_same(cells):
    page, whole = explanations_page(cells), json.loads(explanations_json(cells))
    assert list(whole["explanations"]) == whole["receipt"]["explained"]
    assert all(f"## {name}" in page for name in whole["explanations"])
    assert "| CD79A | for |" in page
    assert whole["explanations"]["B cell"]["genes"][0]["gene"] in page


def test_records_are_quoted_where_tables_are_at_hand(few, model, shared_knowledge):
    explain(few, model, candidates=TYPES, knowledge=shared_knowledge)
    b = few.uns["okrcell_explanations"]["B cell"]
    known = b["genes"].set_index("gene").loc["MS4A1", "evidence"]
    records = b["evidence"].set_index("number")
    assert all("MS4A1" in records.loc[int(number), "text"] for number in known.split(", "))
    assert (records[["source", "record", "snapshot", "licence"]] != "").all().all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"groupby": "no such column"}, "There is no column 'no such column'"),
        ({"groupby": "cell_type", "cells": ["a"]}, "are both given"),
        ({"cells": "AAAC-1"}, "must be a list of names"),
        ({"cells": []}, "is an empty list"),
        ({"cells": ["no such cell"]}, "There is no cell 'no such cell'"),
        ({"top": 0}, "top must be at least 1"),
        ({"knowledge": "/no/such/folder"}, "no folder of knowledge files"),
    ],
)
def test_a_mistake_is_told_before_anything_is_named(few, model, given, words):
    with pytest.raises(InputError, match=words):
        explain(few, model, **given)
    assert "okrcell" not in few.uns


def test_too_many_cells_or_one_twice_are_refused(few, model):
    with pytest.raises(InputError, match="at most 1,000"):
        explain(few, model, cells=[str(number) for number in range(1001)])
    with pytest.raises(InputError, match="named twice"):
        explain(few, model, cells=[few.obs_names[0]] * 2)
    few.obs_names = ["same"] * few.n_obs
    with pytest.raises(InputError, match="belongs to several cells"):
        explain(few, model, cells=["same"])


def test_names_from_a_reference_are_not_explained_by_words(few, model):
    okr.tl.annotate(few, model, candidates=TYPES)
    few.uns["okrcell"]["annotate"]["method"] = "reference, head"
    with pytest.raises(InputError, match=r"Pass candidates=\[...\]"):
        explain(few, model)


def test_nothing_explained_has_no_page_and_no_picture(few):
    for ask in (explanations_page, explanations_json, okr.pl.explanation):
        with pytest.raises(InputError, match="explain"):
            ask(few)


def test_the_picture_has_a_bar_for_each_gene_to_the_side_it_speaks_for(cells, tmp_path):
    ax = okr.pl.explanation(cells, "B cell", top=5, save=tmp_path / "why.png")
    genes = cells.uns["okrcell_explanations"]["B cell"]["genes"].head(5)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == sorted(genes["contribution"], reverse=True)
    assert [label.get_text() for label in ax.get_yticklabels()] == genes.sort_values(
        "contribution", ascending=False, kind="stable"
    )["gene"].tolist()
    assert (tmp_path / "why.png").stat().st_size > 10_000
    assert "B cell" in ax.get_title(loc="left")


def test_the_picture_names_the_groups_that_there_are(cells):
    with pytest.raises(InputError, match="There are several explanations: B cell"):
        okr.pl.explanation(cells)
    with pytest.raises(InputError, match="There is no explanation of 'hepatocyte'"):
        okr.pl.explanation(cells, "hepatocyte")
    with pytest.raises(InputError, match="top must be at least 1"):
        okr.pl.explanation(cells, "B cell", top=0)


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


def test_the_verb_writes_a_page_a_json_or_a_file_of_cells(few, model, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("okrcell.cli.cells.load_model", lambda path: model)
    few.write_h5ad(tmp_path / "cells.h5ad")
    for ending in ("md", "json", "h5ad"):
        output = tmp_path / f"why.{ending}"
        assert run("explain", tmp_path / "cells.h5ad", "--candidates", "B cell,T cell", "-o", output) == 0
    assert "## B cell" in (tmp_path / "why.md").read_text()
    assert set(json.loads((tmp_path / "why.json").read_text())["explanations"]) == {"B cell", "T cell"}
    assert "okrcell_explanations" in anndata.read_h5ad(tmp_path / "why.h5ad").uns
    capsys.readouterr()
    assert run("explain", tmp_path / "why.h5ad", "--cell", few.obs_names[2], "--top", 2) == 0
    assert f"## {few.obs_names[2]}: " in capsys.readouterr().out


@pytest.mark.parametrize("output", ["why.pdf", "no/such/folder/why.md", "."])
def test_the_verb_refuses_an_output_that_cannot_be_written(few, tmp_path, output, capsys):
    few.write_h5ad(tmp_path / "cells.h5ad")
    assert run("explain", tmp_path / "cells.h5ad", "-o", tmp_path / output) == 2
    assert capsys.readouterr().err.count("\n") == 1
