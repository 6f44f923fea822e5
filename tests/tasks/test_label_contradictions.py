"""Labels that the markers of a whole group contradict, in real blood cells with the bundled model."""

import numpy as np
import pandas as pd
import pytest
from signature_fakes import SignatureModel

import okrcell as okr
from okrcell.cells.expression import read_expression
from okrcell.ontology.ontology import ontology
from okrcell.tasks.label_contradictions import (
    CONTRADICTION_THRESHOLD,
    OTHER_LINEAGE,
    SAME_LINEAGE,
    LabelGroups,
    audit_groups,
    group_table,
    same_lineage,
)
from okrcell.tasks.labels import StudyLabels, read_study_labels

MONOCYTE, B_CELL = "CD14-positive monocyte", "B cell"


@pytest.fixture(scope="module")
def model():
    return okr.load()


def audits_of(adata, model, names=None, obs=None):
    """Audit the labels of the cells, some of them renamed; by label as written."""
    table = pd.DataFrame(adata.obs if obs is None else obs)
    raw = table["cell_type"].astype(str).replace(names or {})
    labels = read_study_labels(table.assign(cell_type=raw))
    groups = LabelGroups.from_labels(labels, raw.to_numpy(dtype=object))
    return {audit.label: audit for audit in audit_groups(read_expression(adata), groups, model)}


def test_right_labels_of_blood_cells_are_not_contradicted(blood, model):
    audits = audits_of(blood, model)
    assert not [label for label, audit in audits.items() if audit.is_contradicted]
    judged = [audit for audit in audits.values() if not audit.remark]
    assert len(judged) == 9
    assert all(audit.own_score > 0 for audit in judged)


def test_exchanged_names_are_contradicted_and_the_other_labels_are_not(blood, model):
    audits = audits_of(blood, model, {MONOCYTE: B_CELL, B_CELL: MONOCYTE})
    assert {label for label, audit in audits.items() if audit.is_contradicted} == {MONOCYTE, B_CELL}
    assert audits[B_CELL].rival == MONOCYTE
    assert audits[MONOCYTE].rival == B_CELL
    assert audits[B_CELL].relation == OTHER_LINEAGE


def test_the_reason_names_genes_of_both_types(blood, model):
    audit = audits_of(blood, model, {MONOCYTE: B_CELL, B_CELL: MONOCYTE})[MONOCYTE]
    assert {"CD79A", "MS4A1"} <= set(audit.high_genes)
    assert {"LYZ", "CST3", "S100A9", "FCN1"} & set(audit.low_genes)
    assert audit.sentence.startswith(f"'{MONOCYTE}' (95 cells) looks like B cell: CD79A, MS4A1")


def test_exchanged_names_of_relatives_are_contradicted(blood, model):
    first, second = "natural killer cell", "regulatory T cell"
    audits = audits_of(blood, model, {first: second, second: first})
    assert {label for label, audit in audits.items() if audit.is_contradicted} == {first, second}
    assert audits[first].relation == SAME_LINEAGE


def test_the_name_of_a_type_that_the_study_lacks_is_contradicted(blood, model):
    audits = audits_of(blood, model, {B_CELL: "erythrocyte"})
    assert {label for label, audit in audits.items() if audit.is_contradicted} == {"erythrocyte"}
    assert B_CELL in {
        ontology("CL").term(term).name for term in ontology("CL").ancestors(audits["erythrocyte"].rival_id)
    }


def test_labels_of_one_type_are_judged_as_they_are_written(blood, model):
    obs = blood.obs.copy()
    obs["cell_type"] = obs["cell_type"].astype(str)
    obs.loc[obs["cell_type"] == MONOCYTE, "cell_type"] = "B lymphocytes"
    audits = audits_of(blood, model, obs=obs)
    assert audits["B lymphocytes"].term_id == audits[B_CELL].term_id
    assert audits["B lymphocytes"].is_contradicted
    assert not audits[B_CELL].is_contradicted


def test_broader_and_narrower_names_are_no_contradiction(blood, model):
    audits = audits_of(blood, model, {B_CELL: "lymphocyte", MONOCYTE: "classical monocyte"})
    assert not audits["lymphocyte"].is_contradicted
    assert not audits["classical monocyte"].is_contradicted


def test_a_label_without_a_signature_is_compared_by_its_nearest_ancestor(blood, model):
    term_id = "CL:0001201"  # CD19-positive B cell
    assert model.signatures.index_of([term_id])[0] < 0
    audits = audits_of(blood, model, {B_CELL: ontology("CL").term(term_id).name})
    audit = next(audit for audit in audits.values() if audit.term_id == term_id)
    assert not audit.remark
    assert not audit.is_contradicted


def test_a_group_that_cannot_be_judged_says_why(blood, model):
    audits = audits_of(blood, model, {MONOCYTE: "cluster seven"})
    assert audits["cluster seven"].remark == "its label is no known type"
    assert audits["naive thymus-derived CD4-positive, alpha-beta T cell"].remark == "fewer than 10 cells"
    assert np.isnan(audits["cluster seven"].contradiction)
    few_genes = blood[:, np.isin(blood.var_names, ["CD79A", "MS4A1", "LYZ", "CD3D"])]
    remarks = {audit.remark for audit in audits_of(few_genes, model).values() if audit.n_cells >= 10}
    assert remarks == {"the model has no signature of its type with 20 measured genes"}


def test_one_type_alone_is_not_judged(blood, model):
    cells = blood[(blood.obs["cell_type"] == B_CELL).to_numpy()]
    assert audits_of(cells, model)[B_CELL].remark == "there is no other type to compare with"


def test_a_model_without_signatures_judges_nothing(blood):
    audits = audits_of(blood, SignatureModel(blood, signatures=False))
    assert {audit.remark for audit in audits.values()} == {"the model has no signatures"}


def test_unlabelled_cells_and_cells_without_expression_change_nothing(blood, model):
    adata = blood.copy()
    empty = adata.X.tolil()
    empty[np.flatnonzero(adata.obs["cell_type"] == B_CELL)[:5]] = 0
    adata.X = empty.tocsr()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.loc[adata.obs["cell_type"] == "dendritic cell", "cell_type"] = "unknown"
    audits = audits_of(adata, model)
    assert "unknown" not in audits
    assert audits[B_CELL].n_cells == 95
    assert not audits[B_CELL].is_contradicted


def test_groups_are_the_labels_as_written():
    labels = StudyLabels(np.array([1, 0, -1, 1, 1]), ("CL:0000084", "CL:0000236"), ("T", "B"))
    groups = LabelGroups.from_labels(labels, np.array(["B", "T", "NA", "CD19+ B", " B "], dtype=object))
    assert groups.labels == ("T", "B", "CD19+ B")
    assert groups.term_ids == ("CL:0000084", "CL:0000236", "CL:0000236")
    assert groups.group_idx.tolist() == [1, 0, -1, 2, 1]


def test_the_most_contradicted_group_is_first_in_the_table(blood, model):
    audits = audits_of(blood, model, {MONOCYTE: B_CELL, B_CELL: MONOCYTE})
    table = group_table(list(audits.values()))
    assert table["contradiction"].dropna().is_monotonic_decreasing
    assert table["contradicted"].tolist() == (table["contradiction"] > CONTRADICTION_THRESHOLD).tolist()
    assert table["remark"].iloc[-1] == "fewer than 10 cells"
    assert (table["reason"] != "").sum() == 2


def test_lineages_are_those_of_blood_cells():
    t_cell, b_cell, monocyte, fibroblast = "CL:0000084", "CL:0000236", "CL:0000576", "CL:0000057"
    assert same_lineage(t_cell, b_cell)
    assert not same_lineage(b_cell, monocyte)
    assert not same_lineage(t_cell, fibroblast)


def test_labels_that_are_no_names_of_types_get_a_remark():
    obs = pd.DataFrame({"cell_type": ["B cell", "CD56+ NK", "cluster seven", "unknown", "CD56+ NK"]})
    labels = read_study_labels(obs)
    assert labels.remarks == (
        "label 'CD56+ NK' -> CL:0000623 natural killer cell, without 'cd56+'",
        "label 'cluster seven': no known cell type; read as free text",
    )
    with_ids = obs.assign(cell_type_ontology_term_id=["CL:0000236", "CL:0000623", "", "", "CL:0000623"])
    assert [remark[:21] for remark in read_study_labels(with_ids).remarks] == ["label 'cluster seven'"]


def test_plasma_cells_called_b_cells_are_contradicted(shared_data, model):
    from okrcell.cells.io import open_cells

    audit = audits_of(open_cells(shared_data / "evaluate" / "puram_hnscc.h5ad"), model)["B cell"]
    assert audit.is_contradicted
    assert audit.rival == "plasma cell"
    assert "XBP1" in audit.high_genes


def test_names_that_contradict_the_other_studies_are_contradicted(shared_data, model):
    from okrcell.cells.io import open_cells

    audits = audits_of(open_cells(shared_data / "pretrain" / "aj064_627g.h5ad"), model)
    assert audits["mast"].rival == "monocyte"
    assert audits["mono"].rival == "mast cell"
    assert {"TPSAB1", "CPA3"} <= set(audits["mast"].low_genes)
