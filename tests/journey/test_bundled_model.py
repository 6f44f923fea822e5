"""The bundled model: size, training data, and accuracy no worse than at release."""

import anndata
import numpy as np
import pytest
from safetensors.torch import load_file

import okrcell as okr
from okrcell.cells.io import open_cells
from okrcell.metrics.annotation import annotation_scores
from okrcell.model.embedder import bundled_model
from okrcell.ontology.ontology import ontology

TRUTH = "cell_type_ontology_term_id"
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def model():
    return okr.load()


def vectors(adata, model):
    okr.tl.embed(adata, model)
    return adata.obsm["X_okrcell"]


def test_a_cell_has_one_vector_alone_among_others_and_in_any_order(blood, model):
    cells = blood[:60].copy()
    together = vectors(cells.copy(), model)
    order = np.random.default_rng(0).permutation(60)
    assert np.abs(vectors(cells[order].copy(), model) - together[order]).max() <= TOLERANCE
    for row in (0, 17, 59):
        assert np.abs(vectors(cells[[row]].copy(), model) - together[row]).max() <= TOLERANCE


def test_candidates_of_another_organ_are_not_believed_and_a_better_type_is_named(blood, model):
    cells = blood[:300].copy()
    okr.tl.annotate(cells, model, candidates=["hepatocyte", "cholangiocyte", "hepatic stellate cell", "Kupffer cell"])
    assert (cells.obs["okrcell_label"] == "unknown").mean() > 0.9
    outside = " ".join(cells.uns["okrcell"]["annotate"]["outside_types"])
    assert "monocyte" in outside or "B cell" in outside or "T cell" in outside


def test_words_that_resemble_no_type_are_never_confident(blood, model):
    cells = blood[:100].copy()
    okr.tl.annotate(cells, model, candidates=["asdf qwer"])
    assert set(cells.obs["okrcell_label"]) == {"unknown"}


def test_it_is_small_tells_what_it_has_seen_and_holds_tensors_only(model):
    folder = bundled_model()
    assert sum(file.stat().st_size for file in folder.rglob("*")) <= 30e6
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors", ".tsv", ".md"}
    assert len(load_file(folder / "weights.safetensors")) > 10
    assert model.facts["seen"]["studies"]
    assert model.facts["calibration"]["temperature_by_genes"]


def test_the_cells_of_the_demo_were_not_learned_from(model):
    assert not [study for study in model.facts["seen"]["studies"] if "68k" in study]


def test_no_evaluation_set_was_learned_from(model, shared_data):
    held_out = {file.stem for file in (shared_data / "evaluate").glob("*.h5ad")}
    assert held_out
    assert not held_out & set(model.facts["seen"]["studies"])


def scores_among_own_types(adata, truth, model):
    """Annotate with the ids that occur in ``truth`` as candidates, and compare."""
    okr.tl.annotate(adata, model, candidates=sorted(set(truth)))
    return annotation_scores(truth, adata.obs[f"okrcell_{TRUTH}"].to_numpy(dtype=str))


def test_cells_of_scanpy_are_annotated_no_worse_than_at_release(blood, model):
    cell_ontology = ontology("CL")
    truth = blood.obs["cell_type"].map(lambda name: cell_ontology.find(name).id).to_numpy(dtype=str)
    scores = scores_among_own_types(blood.copy(), truth, model)
    # At release: accuracy 0.737, macro-F1 0.637; with signatures from all marker tables 0.757 and 0.651.
    assert scores.accuracy >= 0.72
    assert scores.macro_f1 >= 0.62


def test_blood_is_annotated_from_ontology_ids_with_every_row_in_its_place(shared_data, model):
    file = shared_data / "evaluate" / "pbmc3k.h5ad"
    before = anndata.read_h5ad(file)
    adata = open_cells(file)
    scores = scores_among_own_types(adata, before.obs[TRUTH].to_numpy(dtype=str), model)
    assert adata.obs_names.tolist() == before.obs_names.tolist()
    # At release: accuracy 0.835, macro-F1 0.879.
    assert scores.accuracy >= 0.82
    assert scores.macro_f1 >= 0.86
