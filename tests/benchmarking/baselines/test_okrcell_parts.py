"""Parts of okrcell are methods of their own."""

import numpy as np
import pytest

from okrcell.benchmarking.baselines import okrcell as methods
from okrcell.benchmarking.methods import METHODS, MethodContext
from okrcell.benchmarking.run import implementation_of
from okrcell.benchmarking.worker import load_implementation
from okrcell.cells.expression import read_expression
from okrcell.model.embedder import load
from okrcell.tasks.candidates import Candidate, parse_candidates
from okrcell.tasks.zero_shot import annotate_by_similarity, annotate_zero_shot

IDS = ["CL:0000236", "CL:0000623", "CL:0001054"]
TEXTS = ["natural killer cell", "a cell that makes antibodies", "monocyte"]
PARTS = ("okrcell_cosine", "okrcell_signatures", "okrcell_unsmoothed")


@pytest.fixture(scope="module")
def few(cells):
    return cells[:60].copy()


def label(name, few, entries, task="zero_shot"):
    method = load_implementation(METHODS[name].implementations[task], MethodContext())
    annotation = method(few, entries, 0)
    assert annotation.names == tuple(entries)
    return annotation


def test_parts_take_part_wherever_okrcell_takes_candidates():
    for name in PARTS:
        assert METHODS[name].kind == "control"
        assert not METHODS[name].slow
        for task in ("zero_shot", "free_text", "robustness", "unknown", "unseen_types"):
            assert implementation_of(METHODS[name], task), (name, task)
    assert METHODS["okrcell_encoder"].slow
    assert implementation_of(METHODS["okrcell_lora"], "annotation_dropout")


def test_each_part_gives_the_scores_of_that_part(few):
    model, expression, candidates = load(), read_expression(few), parse_candidates(IDS)
    vectors = model.embed_cells(expression)
    reduced = methods.without_similarity(model)
    expected = {
        "okrcell": annotate_zero_shot(expression, candidates, model),
        "okrcell_cosine": annotate_by_similarity(vectors, candidates, model, model.n_measured_genes(expression)),
        "okrcell_signatures": annotate_zero_shot(expression, candidates, reduced),
        "okrcell_unsmoothed": annotate_zero_shot(expression, candidates, model, smooth=False),
    }
    for name, prediction in expected.items():
        annotation = label(name, few, IDS)
        np.testing.assert_allclose(annotation.scores, prediction.probability, atol=1e-6)
        np.testing.assert_allclose(annotation.confidence, prediction.prediction.confidence, atol=1e-6)
    assert expected["okrcell_signatures"].scores == pytest.approx(
        annotate_zero_shot(expression, candidates, reduced, vectors=np.zeros_like(vectors)).scores, abs=1e-5
    )


def test_a_model_without_similarity_is_a_copy():
    model = load()
    before = model.facts["calibration"].get("similarity_weight")
    reduced = methods.without_similarity(model)
    assert reduced.facts["calibration"]["similarity_weight"] == 0
    assert reduced.facts["calibration"]["open_vocabulary"]["similarity"] == 0
    assert model.facts["calibration"].get("similarity_weight") == before


def test_a_name_is_read_as_free_text(few):
    model, expression = load(), read_expression(few)
    candidates = [Candidate(text, "", (text,)) for text in TEXTS]
    expected = annotate_zero_shot(expression, candidates, model)
    annotation = label("okrcell", few, TEXTS, "free_text")
    np.testing.assert_allclose(annotation.scores, expected.probability, atol=1e-6)
    # A free text has no term, so that a name is not scored as its id.
    assert methods._read_candidate("natural killer cell").term_id == ""
    assert methods._read_candidate("CL:0000623").term_id == "CL:0000623"


@pytest.mark.parametrize(
    ("name", "method"), [("okrcell_encoder", "encoder"), ("okrcell_lora", "lora"), ("okrcell", "head")]
)
def test_annotation_is_with_the_method_of_the_row(name, method, few, monkeypatch):
    seen = []

    def annotate(*_, **options):
        seen.append(options["method"])
        raise InterruptedError

    monkeypatch.setattr("okrcell.tasks.label_transfer.annotate_from_reference", annotate)
    annotator = load_implementation(METHODS[name].implementations["annotation"], MethodContext())
    with pytest.raises(InterruptedError):
        annotator(few, np.array(["B cell"] * 60), few, 0)
    assert seen == [method]
