"""`tl.annotate`: zero-shot, few-shot and label transfer."""

import numpy as np
import pandas as pd
import pytest

import okrcell as okr
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder


@pytest.fixture
def model(checkpoint):
    return Embedder(checkpoint)


@pytest.fixture
def halves(blood):
    return blood[:350].copy(), blood[350:400].copy()


def test_a_reference_fills_the_slots_and_is_left_alone(halves, model, tmp_path):
    reference, query = halves
    before = reference.copy()
    okr.tl.annotate(query, model, reference=reference, donor_key="donor")
    assert set(query.obs["okrcell_cell_type"]) <= set(reference.obs["cell_type"])
    ids = dict(zip(query.obs["okrcell_cell_type"], query.obs["okrcell_cell_type_ontology_term_id"], strict=True))
    assert ids["B cell"] == "CL:0000236"
    scores = query.obsm["okrcell_scores"].to_numpy()
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(scores.max(axis=1), query.obs["okrcell_confidence"], rtol=1e-6)
    assert set(query.obs["okrcell_status"]) <= {"confident", "broad", "unknown"}
    record = query.uns["okrcell"]["annotate"]
    assert record["method"] == "reference, head"
    assert record["reference"]["cells"] == 350
    assert sum(record["examples"]) == 350
    assert list(reference.obs) == list(before.obs)
    assert not reference.uns
    assert not reference.obsm
    query.write_h5ad(tmp_path / "named.h5ad")


def test_labels_stay_as_their_author_wrote_them(halves, model):
    reference, query = halves
    fine = reference.obs["cell_type"].astype(str) + pd.Series(np.arange(350) % 2, index=reference.obs_names).map(
        {0: "/a", 1: "/b"}
    )
    reference.obs["own"] = fine.astype("category")
    okr.tl.annotate(query, model, reference=reference, label_key="own")
    assert query.obs["okrcell_cell_type"].str.endswith(("/a", "/b")).all()
    assert not query.obsm["okrcell_scores"].columns.str.contains("/").any()


def test_ids_beside_the_labels_are_believed(halves, model):
    reference, query = halves
    short = {name: f"type {place}" for place, name in enumerate(sorted(set(reference.obs["cell_type"])))}
    reference.obs["short"] = reference.obs["cell_type"].map(short)
    reference.obs["short_ontology_term_id"] = np.where(reference.obs["cell_type"] == "B cell", "CL:0000236", "")
    okr.tl.annotate(query, model, reference=reference, label_key="short")
    of_b = query.obs["okrcell_cell_type"] == short["B cell"]
    assert (query.obs.loc[of_b, "okrcell_cell_type_ontology_term_id"] == "CL:0000236").all()
    assert (query.obs.loc[~of_b, "okrcell_cell_type_ontology_term_id"] != "CL:0000236").all()


def test_placeholders_and_missing_labels_teach_nothing(halves, model):
    reference, query = halves
    labels = reference.obs["cell_type"].astype(object)
    labels.iloc[:5] = "unknown"
    labels.iloc[5:9] = np.nan
    reference.obs["cell_type"] = labels
    okr.tl.annotate(query, model, reference=reference)
    record = query.uns["okrcell"]["annotate"]
    assert record["learned_from"] == 341
    assert "unknown" not in record["candidates"]


def test_a_few_examples_name_every_cell_in_its_place(blood, model):
    adata = blood[:120].copy()
    is_example = adata.obs_names.isin(adata.obs.groupby("cell_type", observed=True).head(2).index)
    few = adata.obs["cell_type"].astype(str).where(is_example, "")
    adata.obs["few"] = few
    names = adata.obs_names.tolist()
    okr.tl.annotate(adata, model, examples="few")
    assert adata.obs_names.tolist() == names
    assert set(adata.obs["okrcell_cell_type"]) <= set(few) - {""}
    assert adata.uns["okrcell"]["annotate"]["method"] == "few-shot"
    assert (adata.obs["okrcell_cell_type"].astype(str) == adata.obs["cell_type"])[few != ""].mean() > 0.8
    first = adata.obsm["okrcell_scores"].copy()
    okr.tl.annotate(adata, model, examples="few")
    pd.testing.assert_frame_equal(adata.obsm["okrcell_scores"], first)


def test_a_cell_without_expression_is_unknown(halves, model):
    reference, query = halves
    values = query.X.toarray()
    values[3] = 0
    query.X = values
    okr.tl.annotate(query, model, reference=reference)
    assert query.obs["okrcell_cell_type"].iloc[3] == "unknown"
    assert query.obs["okrcell_status"].iloc[3] == "unknown"
    assert query.obs["okrcell_confidence"].iloc[3] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"examples": "cel_type"}, r"no column 'cel_type'; similar columns are cell_type.*--examples-key"),
        ({"examples": "nothing"}, "No cell has a label in 'nothing'"),
        (
            {"reference": True, "label_key": "celltype"},
            r"no column 'celltype'; similar columns are cell_type.*--label-key",
        ),
        ({"reference": True, "donor_key": "doner"}, r"no column 'doner'; similar columns are donor.*--donor-key"),
        ({"reference": True, "candidates": ["B cell"]}, "candidates and reference are given"),
        ({"method": "lora"}, "but reference is None"),
        ({"reference": True, "method": "magic"}, "'magic'"),
    ],
)
def test_mistakes_are_told_in_a_line(halves, model, changes, message):
    reference, query = halves
    query.obs["nothing"] = "unknown"
    if changes.get("reference"):
        changes = {**changes, "reference": reference}
    with pytest.raises(InputError, match=message) as raised:
        okr.tl.annotate(query, model, **changes)
    assert "\n" not in str(raised.value)
    assert not query.obsm


@pytest.mark.parametrize("wrong", ["measurement", "barcode", "one"])
def test_a_column_that_tells_no_types_apart_is_refused(blood, model, wrong):
    adata = blood[:40].copy()
    adata.obs["measurement"] = np.linspace(0, 1, 40)
    adata.obs["barcode"] = adata.obs_names
    adata.obs["one"] = "B cell"
    expected = "that is no grouping" if wrong != "one" else "every cell would get this label"
    with pytest.raises(InputError, match=expected):
        okr.tl.annotate(blood[:2].copy(), model, reference=adata, label_key=wrong)
    with pytest.raises(InputError, match=expected):
        okr.tl.annotate(adata, model, examples=wrong)


def test_the_record_names_labels_that_are_no_type(halves, model):
    reference, query = halves
    reference.obs["own"] = np.where(reference.obs["cell_type"] == "B cell", "wobbly B cell", "asdf qwer")
    okr.tl.annotate(query, model, reference=reference, label_key="own")
    query.obs["few"] = np.where(query.obs["cell_type"] == "B cell", "wobbly B cell", "asdf qwer")
    findings = [query.uns["okrcell"]["annotate"]["findings"]]
    okr.tl.annotate(query, model, examples="few")
    for found in (*findings, query.uns["okrcell"]["annotate"]["findings"]):
        assert "label 'asdf qwer': no known cell type; read as free text" in found
        assert "label 'wobbly B cell' -> CL:0000236 B cell, without 'wobbly'" in found
