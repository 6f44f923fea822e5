"""Zero-shot annotation by signature scores, similarity and neighbours."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from signature_fakes import score_candidates

import okrcell as okr
from example_signatures import B_CELL, HEPATOCYTE, MONOCYTE, NK_CELL, T_CELL, example_head
from okrcell.cells.expression import read_expression
from okrcell.cells.neighbors import knn_graph, similar_neighbors, smooth_over_knn
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.errors import CheckpointError
from okrcell.model.embedder import Embedder
from okrcell.model.sample_scores import SMOOTHING_WEIGHT, smooth_values, stored_candidate_vectors
from okrcell.tasks import zero_shot as module
from okrcell.tasks.candidates import candidate_vectors, parse_candidates
from okrcell.tasks.zero_shot import MIN_SMOOTHING_CELLS, annotate_by_similarity, annotate_zero_shot

FOUR = parse_candidates([B_CELL, T_CELL, MONOCYTE, NK_CELL])
CALIBRATION = {
    "evidence_temperature_by_genes": {"100": 4.0, "20000": 2.0},
    "smoothed_evidence_temperature_by_genes": {"100": 3.0, "20000": 1.5},
    "temperature_by_genes": {"100": 0.2, "20000": 0.1},
    "right": {"top": 0.8, "lead": 0.3, "bias": 0.1},
    "similarity_weight": 5.0,
}


def with_head(checkpoint, **calibration):
    head = example_head(checkpoint.vocabulary.symbol.tolist())
    facts = {**checkpoint.facts, "calibration": {**CALIBRATION, **calibration}}
    return Embedder(replace(checkpoint, signatures=head, facts=facts))


@pytest.fixture
def model(checkpoint):
    return with_head(checkpoint)


@pytest.fixture
def plain(checkpoint):
    return Embedder(replace(checkpoint, facts={**checkpoint.facts, "calibration": CALIBRATION}))


def annotated(adata, model, candidates=FOUR, **options):
    return annotate_zero_shot(read_expression(adata), candidates, model, **options)


def test_scores_are_evidence_and_weighed_similarity_drawn_to_neighbours(blood, model):
    expression = read_expression(blood)
    found = annotate_zero_shot(expression, FOUR, model)
    sample, _ = score_candidates(expression, FOUR, model)
    # Vectors of known types are stored; those of other texts are embedded.
    stored = model.signatures.vectors[model.signatures.index_of([candidate.term_id for candidate in FOUR])].numpy()
    similarity = model.embed_cells(expression) @ stored.T
    scores = sample.scores + 5 * similarity
    graph = similar_neighbors(scores, knn_graph(sample_pca(expression, N_COMPONENTS)))
    smoothed = smooth_over_knn(np.column_stack([scores, sample.margin]), graph, weight=SMOOTHING_WEIGHT)
    np.testing.assert_allclose(found.scores, smoothed[:, :4], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.margin, smoothed[:, 4], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.similarity, similarity, atol=1e-5)
    np.testing.assert_allclose(found.signature_scores, sample.scores, rtol=1e-4, atol=1e-4)
    assert found.smoothed
    unsmoothed = annotate_zero_shot(expression, FOUR, model, smooth=False)
    np.testing.assert_allclose(unsmoothed.scores, sample.scores + 5 * similarity, rtol=1e-4, atol=1e-4)
    assert not unsmoothed.smoothed
    assert unsmoothed.temperature > found.temperature


def test_values_are_smoothed_in_three_rounds_and_other_rows_are_left_alone():
    chain = sparse.csr_matrix(np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    values, rows = np.array([[1.0], [0], [9], [0]]), np.array([0, 1, 3])
    np.testing.assert_allclose(smooth_values(values, rows, chain).ravel(), [0.3735, 0.2765, 9, 0.0735], atol=1e-6)
    np.testing.assert_allclose(values.ravel(), [1, 0, 9, 0])


def test_probabilities_are_a_softmax_of_scores_over_the_temperature(blood, model):
    found = annotated(blood[:80], model)
    weight = np.exp((found.scores - found.scores.max(axis=1, keepdims=True)) / found.temperature)
    np.testing.assert_allclose(found.probability, weight / weight.sum(axis=1, keepdims=True), rtol=1e-4)
    np.testing.assert_array_equal(found.prediction.best_idx, found.scores.argmax(axis=1))


def test_neighbours_make_names_better_and_never_fewer(blood, model):
    truth = blood.obs["cell_type"].map(
        {
            "B cell": B_CELL,
            "CD14-positive monocyte": MONOCYTE,
            "natural killer cell": NK_CELL,
            "regulatory T cell": T_CELL,
        }
    )
    rows = np.flatnonzero(truth.notna())
    ids = np.array([candidate.term_id for candidate in FOUR])
    right = [
        (ids[annotated(blood, model, smooth=smooth).prediction.best_idx[rows]] == truth.to_numpy()[rows]).mean()
        for smooth in (False, True)
    ]
    assert right[0] > 0.8
    assert right[1] >= right[0] - 0.02


def test_in_a_small_sample_no_cell_is_drawn_anywhere(blood, model):
    few = annotated(blood[: MIN_SMOOTHING_CELLS - 1], model)
    assert not few.smoothed
    assert annotated(blood[:MIN_SMOOTHING_CELLS], model).smoothed


def test_a_model_without_signatures_has_the_similarity_alone(blood, plain):
    found = annotated(blood[:60], plain)
    cells = plain.embed_cells(read_expression(blood[:60]))
    np.testing.assert_allclose(found.scores, cells @ candidate_vectors(FOUR, plain).T, atol=1e-5)
    assert found.signature_scores is None
    assert found.margin is None
    assert found.signatures is None
    again = annotate_by_similarity(cells, FOUR, plain, plain.n_measured_genes(read_expression(blood[:60])))
    np.testing.assert_array_equal(found.scores, again.scores)
    np.testing.assert_array_equal(found.probability, again.probability)
    assert found.facts["compared_with"] == "the corpus"
    assert not found.facts["evidence_of_genes"]


def test_the_receipt_says_what_had_a_say(blood, model):
    together, alone = annotated(blood[:60], model), annotated(blood[:60], model, smooth=False)
    assert together.facts["evidence_of_genes"]
    assert together.facts["compared_with"] == "the sample, and the corpus"
    assert together.facts["smoothed_over_neighbours"]
    assert not alone.facts["smoothed_over_neighbours"]
    assert together.facts["temperature"] == together.temperature


@pytest.mark.parametrize("candidates", [FOUR, FOUR[:1]], ids=["four candidates", "one"])
@pytest.mark.parametrize("cells", [1, 2, 45])
@pytest.mark.parametrize("genes", [4, 200, 765])
def test_any_size_gives_each_cell_its_row(blood, model, candidates, cells, genes):
    found = annotated(blood[:cells, :genes].copy(), model, candidates)
    assert found.scores.shape == found.probability.shape == (cells, len(candidates))
    filled = ~np.isnan(found.margin)
    assert np.isfinite(found.scores[filled]).all()
    assert np.isnan(found.scores[~filled]).all()
    np.testing.assert_allclose(found.probability[filled].sum(axis=1), 1, rtol=1e-5)
    assert ((found.prediction.confidence >= 0) & (found.prediction.confidence <= 1)).all()
    assert set(found.prediction.status[~filled]) <= {"unknown"}


def test_empty_cells_are_unknown_and_change_no_name(blood, model):
    spoilt = blood[:60].copy()
    dense = spoilt.X.toarray()
    dense[[0, 41]] = 0
    spoilt.X = sparse.csr_matrix(dense)
    rest = np.setdiff1d(np.arange(60), [0, 41])
    found, without = annotated(spoilt, model), annotated(blood[:60][rest].copy(), model)
    assert np.isnan(found.scores[[0, 41]]).all()
    assert np.isnan(found.margin[[0, 41]]).all()
    assert found.prediction.status[[0, 41]].tolist() == ["unknown", "unknown"]
    assert not found.prediction.confidence[[0, 41]].any()
    np.testing.assert_allclose(found.scores[rest], without.scores, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("smooth", [False, True])
def test_the_order_of_cells_and_candidates_does_not_matter(blood, model, smooth):
    rows, columns = np.random.default_rng(0).permutation(200), [2, 0, 3, 1]
    first = annotated(blood[:200], model, smooth=smooth)
    second = annotated(blood[:200][rows], model, [FOUR[column] for column in columns], smooth=smooth)
    close = np.isclose(first.scores[np.ix_(rows, columns)], second.scores, rtol=1e-2, atol=1e-2)
    # Cells at equal distance may swap ranks among the neighbours.
    assert close.all(axis=1).mean() > (0.97 if smooth else 0.9999)


def test_one_seed_gives_the_same_numbers(blood, model):
    first, second = (annotated(blood, model, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.prediction.confidence, second.prediction.confidence)


def test_vectors_that_are_at_hand_are_not_made_again(blood, model, monkeypatch):
    whole = annotated(blood[:50], model)
    vectors = model.embed_cells(read_expression(blood[:50]))
    monkeypatch.setattr(Embedder, "embed_cells", lambda *_: pytest.fail("made again"))
    np.testing.assert_array_equal(annotated(blood[:50], model, vectors=vectors).scores, whole.scores)


def test_blocks_of_cells_give_the_same_answers(blood, model, monkeypatch):
    whole = annotated(blood[:100], model)
    monkeypatch.setattr(module, "CELL_CHUNK_SIZE", 17)
    parts = annotated(blood[:100], model)
    np.testing.assert_allclose(parts.probability, whole.probability, rtol=1e-6)
    np.testing.assert_array_equal(parts.prediction.status, whole.prediction.status)
    np.testing.assert_allclose(parts.prediction.confidence, whole.prediction.confidence, rtol=1e-6)


def test_where_no_candidate_fits_a_rival_leads_and_the_answer_is_less_sure(blood, checkpoint):
    model = with_head(checkpoint, right={"top": 0.2, "lead": 1.0, "bias": 0.0}, similarity_weight=0.0)
    is_monocyte = (blood.obs["cell_type"] == "CD14-positive monocyte").to_numpy()
    right, without = annotated(blood, model), annotated(blood, model, parse_candidates([B_CELL, HEPATOCYTE]))
    assert np.median(without.margin[is_monocyte]) < 0 < np.median(right.margin[is_monocyte])
    assert (
        np.median(without.prediction.confidence[is_monocyte])
        < 0.5
        < np.median(right.prediction.confidence[is_monocyte])
    )
    alone = annotated(blood, model, parse_candidates([HEPATOCYTE]))
    assert np.median(alone.prediction.confidence) < 0.5
    assert (alone.probability == 1).all()


@pytest.mark.parametrize(
    "damage",
    [
        {"similarity_weight": "much"},
        {"similarity_weight": None},
        {"similarity_weight": float("nan")},
        {"similarity_weight": [1.0]},
        {"right": {"top": 1.0}},
        {"smoothed_evidence_temperature_by_genes": {"many": 1.0}},
        {"smoothed_evidence_temperature_by_genes": [1.0]},
    ],
)
def test_a_damaged_calibration_is_one_line(blood, checkpoint, damage):
    with pytest.raises(CheckpointError, match="calibration is damaged") as raised:
        annotated(blood[:40], with_head(checkpoint, **damage))
    assert "\n" not in str(raised.value)


def test_a_head_without_calibration_still_names(blood, checkpoint):
    model = with_head(checkpoint)
    model.facts.pop("calibration")
    found = annotated(blood[:60], model)
    assert np.isfinite(found.probability).all()
    assert (found.prediction.confidence <= 1).all()


def test_annotate_writes_the_fused_scores_and_says_so(blood, model, tmp_path):
    adata = blood[:120].copy()
    okr.tl.annotate(adata, model, candidates=[candidate.name for candidate in FOUR])
    found = annotated(blood[:120], model)
    np.testing.assert_allclose(adata.obsm["okrcell_scores"].to_numpy(), found.scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(adata.obs["okrcell_confidence"], found.prediction.confidence, rtol=1e-4)
    receipt = adata.uns["okrcell"]["annotate"]
    assert receipt["evidence_of_genes"]
    assert receipt["smoothed_over_neighbours"]
    adata.write_h5ad(tmp_path / "named.h5ad")


def test_the_bundled_model_knows_the_vectors_of_its_types_by_heart_as_it_would_read_them():
    bundled = okr.load()
    candidates = parse_candidates([B_CELL, MONOCYTE, "a cell that makes antibodies"])
    stored = stored_candidate_vectors(
        [candidate.term_id for candidate in candidates], [candidate.texts for candidate in candidates], bundled
    )
    np.testing.assert_allclose(stored, candidate_vectors(candidates, bundled), atol=2e-3)
