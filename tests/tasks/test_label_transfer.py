"""Label transfer from a reference study."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.cells.expression import read_expression
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.tasks.features import balanced_subsample
from okrcell.tasks.label_transfer import annotate_from_reference, remove_batch_shift


@pytest.fixture
def embedder(checkpoint):
    return Embedder(checkpoint)


def labels_of(adata):
    return adata.obs["cell_type"].to_numpy().astype(str)


def right(found, truth):
    return float(np.mean(np.array(found.names)[found.prediction.best_idx] == truth))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(1, 80))
def test_rare_types_are_kept_whole_and_no_type_twice_as_much_as_it_must(types, most):
    given = np.array(types)
    selected_cells = balanced_subsample(np.arange(len(given)), given, most, seed=0)
    assert len(selected_cells) == min(most, len(given)) == len(set(selected_cells.tolist()))
    before, after = np.bincount(given, minlength=5), np.bincount(given[selected_cells], minlength=5)
    cut = after < before
    assert not cut.any() or after[cut].min() >= after.max() - 1


def test_another_composition_is_not_taken_for_another_technology():
    rng = np.random.default_rng(0)
    centres = np.array([[3.0, 0.0], [0.0, 3.0], [-3.0, 0.0]])
    given = np.repeat([0, 1, 2], 100)
    query_labels = np.repeat([0, 1, 2], [200, 10, 0])
    reference, query = (centres[labels] + 0.3 * rng.normal(size=(len(labels), 2)) for labels in (given, query_labels))
    is_query = np.arange(300 + 210) >= 300
    start = np.zeros((510, 3))
    stays = remove_batch_shift(np.vstack([reference, query]).astype(np.float32), given, is_query, start)
    np.testing.assert_allclose(stays[is_query], query, atol=0.2)
    moved = remove_batch_shift(np.vstack([reference, query + 0.8]).astype(np.float32), given, is_query, start)
    assert np.abs((moved[is_query] - query).mean(axis=0)).max() < 0.3


def test_a_reference_names_cells_of_its_kind(blood, embedder):
    reference, query = blood[:400].copy(), blood[400:].copy()
    found = annotate_from_reference(
        read_expression(reference), labels_of(reference), read_expression(query), embedder, donors=np.arange(400) % 5
    )
    assert right(found, labels_of(query)) > 0.75
    np.testing.assert_allclose(found.probability.sum(axis=1), 1, rtol=1e-5)
    assert abs(found.prediction.confidence.mean() - right(found, labels_of(query))) < 0.15


def test_a_technology_that_reads_some_genes_twice_as_well_does_little_harm(blood, embedder):
    reference, query = blood[:400].copy(), blood[400:].copy()
    counts = np.expm1(query.X.toarray())
    counts[:, np.random.default_rng(0).random(query.n_vars) < 0.4] *= 3
    query.X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    found = annotate_from_reference(read_expression(reference), labels_of(reference), read_expression(query), embedder)
    assert right(found, labels_of(query)) > 0.7


def test_genes_that_only_one_of_them_measured_do_not_matter(blood, embedder):
    reference, query = blood[:300].copy(), blood[300:400, : blood.n_vars - 200].copy()
    whole = annotate_from_reference(read_expression(reference), labels_of(reference), read_expression(query), embedder)
    vectors = embedder.embed_cells(read_expression(reference))
    same = annotate_from_reference(
        read_expression(reference[:, : blood.n_vars - 200].copy()),
        labels_of(reference),
        read_expression(query),
        embedder,
        reference_vectors=vectors,
    )
    np.testing.assert_allclose(whole.probability, same.probability, atol=1e-3)


def test_one_cell_an_empty_one_and_unlabelled_ones_are_no_trouble(blood, embedder):
    reference = blood[:200].copy()
    labels = labels_of(reference)
    labels[:10] = ""
    one = annotate_from_reference(read_expression(reference), labels, read_expression(blood[300:301].copy()), embedder)
    assert one.probability.shape == (1, len(one.names))
    assert one.n_train_cells == 190
    gap = blood[300:320].copy()
    values = gap.X.toarray()
    values[4] = 0
    gap.X = values
    found = annotate_from_reference(read_expression(reference), labels, read_expression(gap), embedder)
    assert np.isnan(found.probability[4]).all()
    assert found.prediction.confidence[4] == 0
    without = np.delete(np.arange(20), 4)
    alone = annotate_from_reference(read_expression(reference), labels, read_expression(gap[without].copy()), embedder)
    np.testing.assert_allclose(found.probability[without], alone.probability, atol=1e-3)


def test_a_reference_with_one_label_gives_it_to_all(blood, embedder):
    reference = blood[:30].copy()
    found = annotate_from_reference(
        read_expression(reference), ["cell line X"] * 30, read_expression(blood[30:40].copy()), embedder
    )
    np.testing.assert_allclose(found.probability, 1)


def test_samples_that_share_too_few_genes_are_refused(blood, embedder):
    genes = blood.var_names
    with pytest.raises(InputError, match=r"share \d+ genes"):
        annotate_from_reference(
            read_expression(blood[:50, genes[:400]].copy()),
            labels_of(blood)[:50],
            read_expression(blood[50:60, genes[390:]].copy()),
            embedder,
        )


def test_labels_must_be_as_many_as_the_cells_of_the_reference(blood, embedder):
    few = read_expression(blood[:5].copy())
    with pytest.raises(InputError, match="Pass one per cell"):
        annotate_from_reference(few, ["B cell"], few, embedder)
