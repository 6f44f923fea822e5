"""What the model that ships with okrcell promises."""

import anndata
import numpy as np
import pytest
from safetensors.torch import load_file

import okrcell as okr
from okrcell.cells.io import open_cells
from okrcell.model.embedder import bundled_model

TRUTH = "cell_type_ontology_term_id"
SAME = 1e-6


@pytest.fixture(scope="module")
def model():
    return okr.load()


def vectors(adata, model):
    okr.tl.embed(adata, model)
    return adata.obsm["X_okrcell"]


def test_a_cell_has_one_vector_alone_among_others_and_in_any_order(blood, model):
    some = blood[:60].copy()
    together = vectors(some.copy(), model)
    order = np.random.default_rng(0).permutation(60)
    assert np.abs(vectors(some[order].copy(), model) - together[order]).max() <= SAME
    for place in (0, 17, 59):
        assert np.abs(vectors(some[[place]].copy(), model) - together[place]).max() <= SAME


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
    kept_back = {file.stem for file in (shared_data / "evaluate").glob("*.h5ad")}
    assert kept_back
    assert not kept_back & set(model.facts["seen"]["studies"])


@pytest.mark.slow
def test_blood_is_named_from_ontology_ids_with_every_row_in_its_place(shared_data, model):
    file = shared_data / "evaluate" / "pbmc3k.h5ad"
    before = anndata.read_h5ad(file)
    adata = open_cells(file)
    truth = before.obs[TRUTH].astype(str)
    okr.tl.annotate(adata, model, candidates=sorted(set(truth)))
    assert adata.obs_names.tolist() == before.obs_names.tolist()
    assert (adata.obs[f"okrcell_{TRUTH}"].astype(str) == truth.to_numpy()).mean() >= 0.60
