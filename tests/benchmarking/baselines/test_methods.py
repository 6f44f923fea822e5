"""The list of methods, and okrcell's own among them."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from okrcell.benchmarking.baselines import okrcell as baseline
from okrcell.benchmarking.methods import METHODS, MethodContext
from okrcell.model.checkpoint import save_checkpoint

TASKS = {"clustering", "integration", "annotation", "few_shot", "zero_shot", "open_types", "retrieval", "free_text"}
PACKAGES_APART = {"harmonypy", "scanorama", "scvi", "celltypist", "singler", "scranpy", "peft"}


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_answers_with_is_there_without_its_package(name):
    for task, implementation in METHODS[name].implementations.items():
        assert task in TASKS
        module, _, attribute = implementation.partition(":")
        assert callable(getattr(import_module(module), attribute))
    assert set(METHODS[name].packages) <= PACKAGES_APART


def test_every_task_has_us_and_a_baseline_or_a_control():
    # No baseline reads free text.
    for task in TASKS - {"retrieval", "free_text"}:
        assert {METHODS[name].kind for name in METHODS if task in METHODS[name].implementations} >= {"ours", "baseline"}
    assert METHODS["okrcell_cosine"].kind == "control"
    assert METHODS["okrcell"].implementations.keys() == TASKS


@pytest.fixture
def tiny(checkpoint, tmp_path):
    save_checkpoint(checkpoint, tmp_path / "model", card="# Tiny")
    return MethodContext(model=str(tmp_path / "model"))


OKRCELL_METHODS = {
    "tools": (
        (baseline.ClusterEmbedding, baseline.IntegratedEmbedding),
        baseline.OkrcellReferenceAnnotator,
        baseline.OkrcellFewShotAnnotator,
    ),
    "vectors": ((baseline.RawEmbedding,), baseline.LinearProbeAnnotator, baseline.FewShotLinearProbeAnnotator),
}


@pytest.mark.parametrize(
    ("embeddings", "reference_annotator", "few_shot_annotator"), OKRCELL_METHODS.values(), ids=OKRCELL_METHODS
)
def test_our_own_answers_have_the_form_of_all_others(
    embeddings, reference_annotator, few_shot_annotator, tiny, with_an_empty_cell, types
):
    cells, types = with_an_empty_cell[:200].copy(), types[:200]
    cells.obs["batch"] = ["one"] * 100 + ["two"] * 100
    for embedding in embeddings:
        vectors = embedding(tiny)(cells, "batch", 0)
        assert np.isnan(vectors[3]).all()
        assert np.isfinite(np.delete(vectors, 3, axis=0)).all()
    reference = reference_annotator(tiny)(cells[100:].copy(), types[100:], cells, 0)
    labels = np.where(np.arange(len(types)) % 20 == 1, types, "")
    (examples,) = few_shot_annotator(tiny)(cells, [labels], 0)
    for annotation in (reference, examples):
        assert annotation.label[3] == ""
        assert set(np.delete(annotation.label, 3)) <= set(annotation.names)
        assert np.isnan(annotation.scores[3]).all()
        np.testing.assert_allclose(np.nansum(np.delete(annotation.scores, 3, axis=0), axis=1), 1, atol=1e-4)


def test_our_zero_shot_answers_in_the_order_of_the_candidates(tiny, with_an_empty_cell):
    candidates = ["CL:0000236", "CL:0000084", "CL:0000623"]
    annotation = baseline.OkrcellZeroShotAnnotator(tiny)(with_an_empty_cell, candidates, 0)
    assert annotation.names == tuple(candidates)
    assert annotation.label[3] == ""
    assert annotation.probabilities
    np.testing.assert_allclose(
        annotation.confidence, np.where(annotation.label != "", annotation.scores.max(axis=1), np.nan), rtol=1e-5
    )
    expressed = np.delete(np.arange(with_an_empty_cell.n_obs), 3)
    assert list(annotation.label[expressed]) == [candidates[i] for i in annotation.scores[expressed].argmax(axis=1)]


def test_without_candidates_we_name_types_of_the_ontology(checkpoint, tmp_path, with_an_empty_cell):
    seen = ["CL:0000236", "CL:0000084", "CL:0000623"]
    save_checkpoint(replace(checkpoint, facts={"seen": {"cell_types": seen}}), tmp_path / "model", card="# Tiny")
    annotation = baseline.OkrcellOpenAnnotator(MethodContext(model=str(tmp_path / "model")))(
        with_an_empty_cell, "blood", 0
    )
    assert annotation.label[3] == ""
    assert set(np.delete(annotation.label, 3)) <= set(annotation.names) >= set(seen)
    assert np.isnan(annotation.confidence[3])


def test_cells_and_texts_are_compared_by_cosine(tiny, with_an_empty_cell):
    similarity = baseline.OkrcellTextMatcher(tiny)(with_an_empty_cell, ["B cell", "T cell of blood"], 0)
    assert similarity.shape == (700, 2)
    assert np.isnan(similarity[3]).all()
    assert np.nanmax(np.abs(similarity)) <= 1 + 1e-5
