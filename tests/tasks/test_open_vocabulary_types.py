"""Open-vocabulary annotation."""

import numpy as np
import pytest
from signature_fakes import TABLES, SignatureModel

from okrcell.cells.expression import read_expression
from okrcell.errors import InputError
from okrcell.tasks.open_vocabulary import TissuePrior, annotate_open_vocabulary, ontology_utility

B_CELL, T_CELL, MONOCYTE, _ = TABLES
CD4, CD8 = "CL:0000624", "CL:0000625"
BLOOD, LIVER = "UBERON:0000178", "UBERON:0002107"


@pytest.fixture
def model(blood):
    return SignatureModel(blood)


def test_types_are_found_and_cells_named_by_their_genes(blood, model):
    found = annotate_open_vocabulary(read_expression(blood), model)
    ids = np.array([each.term_id for each in found.candidates])[found.prediction.best_idx]
    truth = blood.obs["cell_type"].to_numpy()
    assert (ids[truth == "B cell"] == B_CELL).mean() > 0.8
    assert (ids[truth == "CD14-positive monocyte"] == MONOCYTE).mean() > 0.8
    assert found.scores.shape == found.probability.shape == (blood.n_obs, len(found.candidates))
    np.testing.assert_allclose(found.probability.sum(axis=1), 1, rtol=1e-5)
    assert found.facts["types_considered"] == 4


def test_the_most_frequent_types_come_first(blood, model):
    subset = blood[blood.obs["cell_type"].isin(["B cell", "CD14-positive monocyte"])].copy()
    found = annotate_open_vocabulary(read_expression(subset), model, tissue=BLOOD)
    assert {each.term_id for each in found.candidates[:2]} == {B_CELL, MONOCYTE}
    assert np.isin(found.prediction.best_idx, [0, 1]).mean() > 0.8


def test_one_cell_is_named_and_the_same_each_time(blood, model):
    one = blood[blood.obs["cell_type"] == "B cell"][:1].copy()
    first, again = (annotate_open_vocabulary(read_expression(one), model) for _ in range(2))
    assert first.candidates[int(first.prediction.best_idx[0])].term_id == B_CELL
    np.testing.assert_array_equal(first.scores, again.scores)


def test_cells_without_expression_stay_where_they_are_and_are_unknown(blood, model):
    subset = blood[:60].copy()
    matrix = subset.X.tolil()
    matrix[[2, 7]] = 0
    subset.X = matrix.tocsr()
    expression = read_expression(subset)
    found = annotate_open_vocabulary(expression, model)
    assert np.flatnonzero(np.isnan(found.scores).any(axis=1)).tolist() == [2, 7]
    assert (found.prediction.status[[2, 7]] == "unknown").all()
    nothing = annotate_open_vocabulary(expression, model, vectors=np.full((60, 4), np.nan, np.float32))
    assert (nothing.prediction.status == "unknown").all()


def test_a_tissue_shifts_but_never_excludes(blood, model):
    model.facts = {"type_places": {MONOCYTE: {BLOOD: 40}, B_CELL: {LIVER: 1}}}
    found = annotate_open_vocabulary(read_expression(blood), model, tissue=BLOOD)
    assert B_CELL in [each.term_id for each in found.candidates]
    assert found.facts["tissues_as_prior"] == [BLOOD]


def test_each_cell_may_have_a_tissue_of_its_own():
    facts = {"type_places": {MONOCYTE: {BLOOD: 40}, B_CELL: {LIVER: 40}}}
    prior = TissuePrior.from_facts(facts, [B_CELL, MONOCYTE], [BLOOD, LIVER, ""], 3)
    shown = prior.at(slice(0, 3), np.array([0, 1]))
    assert (shown[0, 1] > shown[0, 0], shown[1, 0] > shown[1, 1]) == (True, True)
    assert shown[2, 0] == pytest.approx(shown[2, 1])
    with pytest.raises(InputError, match="Pass one per cell"):
        TissuePrior.from_facts({}, [B_CELL], [BLOOD], 3)


def test_a_type_too_fine_for_the_evidence_gives_way_to_its_parent():
    # CD4- and CD8-positive, alpha-beta T cells are two steps below the T cell, one below the intermediate term.
    types = [T_CELL, "CL:0000791", CD4, CD8, B_CELL]
    value = ontology_utility(types)
    np.testing.assert_allclose(np.diag(value), 1)
    np.testing.assert_allclose(value, value.T)
    assert value[2, 3] == value[0, 4] == 0
    parent = [term for term in types if value[2, types.index(term)] == 0.5]
    share = np.array([0.0, 0.1, 0.45, 0.4, 0.05])
    assert parent
    assert types[int((share @ value).argmax())] in parent


def test_a_model_without_signatures_tries_the_types_it_has_seen(blood):
    model = SignatureModel(blood, signatures=False)
    with pytest.raises(InputError, match="does not list the cell types it was trained on"):
        annotate_open_vocabulary(read_expression(blood[:5].copy()), model)
