"""Baselines that annotate cells without a reference: marker genes, and label transfer from public cells."""

import gzip

import anndata as ad
import numpy as np
import pytest

from okrcell.benchmarking.baselines import marker_genes
from okrcell.benchmarking.baselines.label_transfer import PretrainingLabelTransfer
from okrcell.benchmarking.baselines.marker_genes import (
    MarkerAnnotator,
    SmoothedMarkerAnnotator,
    marker_scores,
    read_marker_table,
)
from okrcell.benchmarking.methods import MethodContext, log_normalize
from okrcell.errors import InputError

B, T, NK, MONOCYTE, ACINAR = "CL:0000236", "CL:0000084", "CL:0000623", "CL:0000576", "CL:0002064"
GENES = {
    B: "CD79A MS4A1 CD79B",
    T: "CD3D CD3E IL32",
    NK: "GNLY NKG7 PRF1",
    MONOCYTE: "LYZ S100A8 CST3",
    ACINAR: "PRSS1",
}
TABLE = "cellmarker_accordion_by_cl.csv.gz"


@pytest.fixture
def knowledge(tmp_path):
    """A small table of the accordion's form."""
    lines = ["species,CL_ID,CL_celltype,marker,marker_type,n_resources,resources,EC,SP"]
    lines += [
        f"Human,{term},x,{gene},positive,2,PanglaoDB|ScType,2,1" for term in GENES for gene in GENES[term].split()
    ]
    lines += [f"Human,{B},x,LYZ,positive,1,CELLxGENE,1,1", f"Human,{B},x,CD3D,negative,1,ScType,1,1"]
    lines += [f"Mouse,{B},x,Cd19,positive,1,ScType,1,1"]
    (tmp_path / TABLE).write_bytes(gzip.compress("\n".join(lines).encode()))
    return tmp_path


def test_resources_made_from_benchmarked_atlases_have_no_say(knowledge):
    markers = read_marker_table(knowledge / TABLE)
    assert markers[B] == {"CD79A": 2, "MS4A1": 2, "CD79B": 2, "CD3D": -1}


def test_a_score_is_the_weighted_sum_of_z_scores():
    log_expr = ad.AnnData(np.array([[0, 1.0], [2, 1], [4, 4]], dtype=np.float32))
    from scipy import sparse

    log_expr.X = sparse.csr_matrix(log_expr.X)
    log_expr.var_names = ["A", "B"]
    z = (log_expr.X.toarray() - [2, 2]) / [np.sqrt(8 / 3), np.sqrt(2)]
    scores = marker_scores(log_expr, ["x", "y"], {"x": {"A": 3, "B": -4, "absent": 9}})
    np.testing.assert_allclose(scores[:, 0], (3 * z[:, 0] - 4 * z[:, 1]) / 5, rtol=1e-6)
    assert np.isnan(scores[:, 1]).all()


@pytest.mark.parametrize("annotator", [MarkerAnnotator, SmoothedMarkerAnnotator])
def test_markers_name_most_cells_and_never_by_what_nothing_is_known_of(annotator, knowledge, with_an_empty_cell, types):
    candidates = [B, NK, MONOCYTE, T, "CL:0000115", ACINAR]
    annotation = annotator(MethodContext(knowledge=knowledge))(with_an_empty_cell, candidates, 0)
    assert annotation.names == tuple(candidates)
    assert annotation.label[3] == ""
    assert np.isnan(annotation.scores[3]).all()
    assert "CL:0000115" not in annotation.label
    expressed = np.arange(len(types)) != 3
    for name, term in (("B cell", B), ("natural killer cell", NK), ("CD14-positive monocyte", MONOCYTE)):
        assert np.mean(annotation.label[(types == name) & expressed] == term) > 0.7


def test_mouse_cells_are_scored_by_the_human_orthologs(knowledge, cells):
    mouse = cells.copy()
    mouse.var_names = [name.capitalize() for name in cells.var_names]
    translated = marker_genes.human_genes(mouse)
    assert {"CD79A", "MS4A1", "CD3D", "LYZ", "NKG7"} & set(translated.var_names) >= {"CD79A", "MS4A1", "CD3D", "NKG7"}
    assert marker_genes.human_genes(cells) is cells
    candidates = [B, T, NK]
    human = MarkerAnnotator(MethodContext(knowledge=knowledge))(cells, candidates, 0).label
    assert np.mean(MarkerAnnotator(MethodContext(knowledge=knowledge))(mouse, candidates, 0).label == human) > 0.7


def test_without_any_marker_there_is_no_answer(knowledge, cells):
    annotation = MarkerAnnotator(MethodContext(knowledge=knowledge))(cells, ["CL:0000115", "CL:0000057"], 0)
    assert set(annotation.label) == {""}


@pytest.mark.parametrize("annotator", [marker_genes.OpenMarkerAnnotator, marker_genes.SmoothedOpenMarkerAnnotator])
def test_openly_every_type_of_enough_markers_is_a_candidate(
    annotator, knowledge, with_an_empty_cell, types, monkeypatch
):
    monkeypatch.setattr(marker_genes, "MIN_MARKERS", 2)
    monkeypatch.setattr(marker_genes, "MIN_CANDIDATES", 1)
    annotation = annotator(MethodContext(knowledge=knowledge))(with_an_empty_cell, "blood", 0)
    # Of acinar cells one marker is known, which would stand for every cell that happens to have it.
    assert set(annotation.names) == {B, T, NK, MONOCYTE}
    monkeypatch.setattr(marker_genes, "MIN_MARKERS", 30)
    monkeypatch.setattr(marker_genes, "MIN_CANDIDATES", 4)
    assert set(annotator(MethodContext(knowledge=knowledge))(with_an_empty_cell, "blood", 0).names) == {
        B,
        T,
        NK,
        MONOCYTE,
    }
    assert annotation.label[3] == ""
    is_b_cell = (types == "B cell") & (np.arange(len(types)) != 3)
    assert np.mean(annotation.label[is_b_cell] == B) > 0.7


@pytest.fixture
def public(tmp_path, blood):
    """A folder of data whose only study is half of the blood cells, with their ids; T cells are annotation by their kind."""
    ids = {"B cell": B, "natural killer cell": NK, "CD14-positive monocyte": "CL:0001054"}
    study = blood[::2].copy()
    term = study.obs["cell_type"].map(ids).fillna("")
    term[study.obs["cell_type"].str.contains("T cell").to_numpy()] = "CL:0000625"
    study.obs["cell_type_ontology_term_id"] = term.astype(str).to_numpy(dtype=object)
    (tmp_path / "pretrain").mkdir()
    study.write_h5ad(tmp_path / "pretrain" / "study.h5ad")
    return tmp_path


def test_labels_are_transferred_to_the_candidate_that_they_are_a_kind_of(public, cells, types):
    candidates = [T, B, MONOCYTE, ACINAR, NK]
    annotation = PretrainingLabelTransfer(MethodContext(data=public))(cells[1::2].copy(), candidates, 0)
    truth = types[1::2]
    assert annotation.names == tuple(candidates)
    for name, term in (("B cell", B), ("natural killer cell", NK), ("CD14-positive monocyte", MONOCYTE)):
        assert np.mean(annotation.label[truth == name] == term) > 0.7
    assert ACINAR not in annotation.label
    np.testing.assert_allclose(annotation.scores.sum(axis=1), 1, atol=1e-4)


def test_nothing_to_learn_from_is_one_line(tmp_path, cells):
    with pytest.raises(InputError, match="give the data folder"):
        PretrainingLabelTransfer(MethodContext(data=tmp_path))
    assert log_normalize(cells).shape == cells.shape
