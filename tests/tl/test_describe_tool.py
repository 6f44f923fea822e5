"""`tl.describe` and its Markdown and JSON."""

import json
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest

import okrcell as okr
from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.tasks.describe import vote_sentence
from okrcell.tasks.group_annotation import GroupVote, LikelyType
from okrcell.tl.annotate import annotate
from okrcell.tl.describe import describe, descriptions_json, descriptions_page

TYPES = ["T cell", "B cell", "natural killer cell", "monocyte", "dendritic cell"]


@pytest.fixture(scope="module", autouse=True)
def _no_knowledge_files(tmp_path_factory):
    """No knowledge files: only the ontologies are used, whatever this machine has."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("OKRCELL_KNOWLEDGE", raising=False)
        patched.setenv("OKRCELL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model():
    return okr.load()


@pytest.fixture(scope="module")
def cells(blood, model):
    """Blood in three groups and a few cells of none, described with five candidates; read, do not change."""
    adata = blood.copy()
    coarse = {"B cell": "B", "CD14-positive monocyte": "mono/other", "dendritic cell": "mono/other"}
    adata.obs["group"] = adata.obs["cell_type"].map(coarse).fillna("rest").where(np.arange(adata.n_obs) > 4)
    describe(adata, model, "group", candidates=TYPES)
    return adata


@pytest.fixture
def few(blood):
    return blood[:30].copy()


def description_of(adata, group):
    return adata.uns["okrcell_descriptions"][group]


def test_every_group_is_described_and_no_row_is_touched(cells, blood):
    assert sorted(cells.uns["okrcell_descriptions"]) == ["B", "mono|other", "rest"]
    counted = [description_of(cells, group)["cells"] for group in ("B", "mono|other", "rest")]
    assert counted == cells.obs["group"].value_counts().sort_index().tolist()
    assert cells.uns["okrcell"]["describe"]["cells_without_group"] == 5
    assert cells.obs_names.tolist() == blood.obs_names.tolist()


def test_b_cells_are_told_by_their_type_and_their_genes(cells):
    b = description_of(cells, "B")
    assert (b["cell_type"], b["cell_type_ontology_term_id"], b["status"]) == ("B cell", "CL:0000236", "confident")
    assert {"CD79A", "MS4A1"} <= set(b["genes"]["gene"])
    assert "lymphocyte of B lineage" in b["text"]


def test_every_sentence_names_its_evidence(cells):
    for each in cells.uns["okrcell_descriptions"].values():
        known = set(each["evidence"]["number"])
        assert (each["evidence"]["source"] != "").all()
        for numbers in each["sentences"]["evidence"]:
            assert {int(number) for number in numbers.split(", ")} <= known
        books = each["evidence"][~each["evidence"]["source"].isin(["these cells", "metadata"])]
        assert (books[["record", "snapshot", "licence", "text"]] != "").all().all()


def test_what_the_model_found_is_not_said_to_stand_in_the_file(cells):
    for each in cells.uns["okrcell_descriptions"].values():
        assert not each["evidence"]["record"].str.startswith("profile.cell_type").any()


def test_describe_and_annotate_agree_on_the_same_cells(cells, model):
    annotated = cells.copy()
    annotate(annotated, model, candidates=TYPES)
    obs = annotated.obs[cells.obs["group"] == "B"]
    described = description_of(cells, "B")
    types = described["types"].set_index("cell_type")
    nearest = obs["okrcell_cell_type"].astype(str).value_counts(normalize=True)
    np.testing.assert_allclose(types["share"], nearest[types.index], atol=1e-9)
    assert described["status"] == "confident"
    assert obs["okrcell_label"].astype(str).value_counts().idxmax() == described["cell_type"]


def test_it_can_be_written_to_a_file_and_read_again(cells, tmp_path):
    cells.write_h5ad(tmp_path / "described.h5ad")
    again = anndata.read_h5ad(tmp_path / "described.h5ad")
    assert descriptions_page(again) == descriptions_page(cells)
    pd.testing.assert_frame_equal(
        description_of(again, "B")["types"], description_of(cells, "B")["types"], check_dtype=False
    )


def test_the_page_has_a_chapter_a_group_and_the_json_has_everything(cells):
    page = descriptions_page(cells)
    assert next(line for line in page.splitlines() if line.startswith("## ")) == "## B: B cell (CL:0000236)"
    read = json.loads(descriptions_json(cells))
    assert list(read["groups"]) == ["B", "mono/other", "rest"]
    assert read["groups"]["B"]["genes"][0]["gene"] == description_of(cells, "B")["genes"]["gene"].iloc[0]
    with pytest.raises(InputError, match=r"Run okrcell\.tl\.describe first"):
        descriptions_page(anndata.AnnData(np.zeros((1, 1), dtype=np.float32)))


def test_one_group_has_no_other_to_differ_from(few, model):
    few.obs["group"] = "all"
    describe(few, model, "group", candidates=TYPES)
    assert len(description_of(few, "all")["genes"]) == 0
    assert "No gene of group all could be compared" in description_of(few, "all")["text"]


def test_no_sentence_stands_under_two_groups(few, model):
    few.obs["group"] = ["a", "b", "c"] * 10
    describe(few, model, "group", candidates=["monocyte"])
    sentences = [text for group in "abc" for text in description_of(few, group)["sentences"]["sentence"]]
    assert len(sentences) == len(set(sentences))
    assert "What is known of group b and also of group a is written there." in sentences
    assert description_of(few, "b")["sentences"]["evidence"].iloc[-1]


@pytest.mark.parametrize("status", ["confident", "broad"])
def test_a_type_is_likely_only_if_its_probability_is(status):
    types = (LikelyType("B cell", "CL:0000236", 0.6, 0.07, 0.3),)
    vote = GroupVote(50, status, "B cell", "CL:0000236", 0.6, types, probability=0.07)
    unlikely = vote_sentence("0", 50, vote, 90, "mini").text
    assert "most likely" not in unlikely
    assert "mean probability of only 0.07" in unlikely
    assert "is most likely" in vote_sentence("0", 50, replace(vote, probability=0.5), 90, "mini").text


def test_a_single_cell_and_a_single_candidate_are_enough(blood, model):
    one = blood[blood.obs["cell_type"] == "CD14-positive monocyte"][:1].copy()
    one.obs["group"] = 7
    describe(one, model, "group", candidates=["monocyte"])
    described = description_of(one, "7")
    assert described["types"]["share"].tolist() == [1.0]
    assert "no other candidate was given" in described["text"]


def test_cells_without_expression_say_nothing_and_spoil_nothing(few, model):
    few.obs["group"] = pd.Categorical(["empty"] * 3 + ["full"] * 27)
    rows = few.X.tolil()
    rows[:4] = 0
    few.X = rows.tocsr()
    describe(few, model, "group", candidates=TYPES)
    nothing, full = description_of(few, "empty"), description_of(few, "full")
    assert (nothing["status"], nothing["cell_type"], nothing["without_expression"]) == ("unknown", "unknown", 3)
    assert "its type is unknown" in nothing["text"]
    assert full["without_expression"] == 1
    assert np.isfinite(full["types"]["share"]).all()


def test_a_text_that_resembles_no_cell_type_is_not_believed(few, model):
    few.obs["group"] = ["a", "b"] * 15
    describe(few, model, "group", candidates=["a thing that glows in the dark"])
    described = description_of(few, "a")
    assert (described["status"], described["cell_type"]) == ("unknown", "unknown")
    assert described["types"]["cell_type"].tolist() == ["a thing that glows in the dark"]


def test_candidates_that_are_all_wrong_are_not_believed(cells, model):
    adata = cells.copy()
    describe(adata, model, "group", candidates=["hepatocyte", "cholangiocyte", "fibroblast"])
    for each in adata.uns["okrcell_descriptions"].values():
        assert (each["status"], each["cell_type"]) == ("unknown", "unknown")
        assert "is unknown" in each["text"]
        assert len(each["types"]) > 0
    assert "B cell" in description_of(adata, "B")["text"]


class Tables:
    """A marker table that knows three genes of regulatory T cells, and three of T cells."""

    name = "tables"
    snapshot = "today"

    def __init__(self, **genes):
        self._genes = {f"CL:{number[2:]}": of for number, of in genes.items()}

    def evidence_for(self, term_id):
        of = self._genes.get(term_id, ())
        return (Evidence(", ".join(of), "A table", term_id, "today", "CC0", "marker", (term_id,), of),) if of else ()

    def passages(self):
        return iter(())


def test_a_type_whose_marker_genes_are_missing_is_not_believed(blood, model, monkeypatch):
    tables = Tables(CL0000815=("CD79A", "MS4A1", "FCER1A"), CL0000084=("CD3D", "CD3E", "CD3G"))
    monkeypatch.setattr("okrcell.knowledge.registry.open_sources", lambda *_, **__: (tables,))
    adata = blood[:200].copy()
    adata.obs["group"] = np.where(adata.obs["cell_type"].str.contains("T cell"), "T", "others")
    describe(adata, model, "group", candidates=["regulatory T cell", "monocyte"])
    t = description_of(adata, "T")
    assert t["types"]["cell_type"].iloc[0] == "regulatory T cell"
    assert (t["status"], t["cell_type"]) == ("broad", "T cell")
    assert "contradict it" in t["text"]
    assert "CD3D, CD3E and CD3G mark group T too" in t["text"]


def test_without_any_type_that_markers_bear_out_it_is_left_open(blood, model, monkeypatch):
    tables = Tables(CL0000815=("CD79A", "MS4A1", "FCER1A"))
    monkeypatch.setattr("okrcell.knowledge.registry.open_sources", lambda *_, **__: (tables,))
    adata = blood[:200].copy()
    adata.obs["group"] = np.where(adata.obs["cell_type"].str.contains("T cell"), "T", "others")
    describe(adata, model, "group", candidates=["regulatory T cell", "monocyte"])
    t = description_of(adata, "T")
    assert (t["status"], t["cell_type"], t["cell_type_ontology_term_id"]) == ("unknown", "unknown", "")
    assert "is unknown" in t["text"]


def test_a_missing_column_names_near_ones(few, model):
    with pytest.raises(InputError, match=r"no column 'cel_type' in obs\. Did you mean cell_type"):
        describe(few, model, "cel_type")
    with pytest.raises(InputError, match=r"Run okrcell\.tl\.cluster first"):
        describe(few, model)


def test_a_measurement_is_no_grouping(few, model):
    few.obs["score"] = np.linspace(0, 1, 30)
    with pytest.raises(InputError, match="no grouping"):
        describe(few, model, "score")
    few.obs["nothing"] = np.nan
    with pytest.raises(InputError, match="puts no cell into a group"):
        describe(few, model, "nothing")


def test_clusters_numbered_with_gaps_keep_their_numbers(few, model):
    few.obs["leiden"] = [0.0, 1.0, np.nan] * 10
    describe(few, model, "leiden", candidates=TYPES)
    assert list(few.uns["okrcell_descriptions"]) == ["0", "1"]


def test_the_same_cells_give_the_same_words(few, model):
    few.obs["group"] = ["a", "b"] * 15
    again = few.copy()
    describe(few, model, "group", candidates=TYPES)
    describe(again, model, "group", candidates=TYPES)
    assert descriptions_page(few) == descriptions_page(again)


def test_markup_in_names_is_shown_on_the_page_and_not_rendered(cells):
    hostile = "<img src=x onerror=alert(1)>|[B](javascript:x)\n# B\x1b[2J"
    named = cells.copy()
    record, groups = named.uns["okrcell"]["describe"], dict(named.uns["okrcell_descriptions"])
    groups[hostile] = {**groups["B"], "cell_type": hostile, "text": hostile}
    named.uns["okrcell"] = {**named.uns["okrcell"], "describe": {**record, "groups": [hostile], "groupby": hostile}}
    named.uns["okrcell_descriptions"] = groups
    page = descriptions_page(named)
    assert len([line for line in page.splitlines() if line.startswith("#")]) == 2
    assert "\x1b" not in page and "](j" not in page
    assert page.count("<img") == page.count("\\<img") == 4
