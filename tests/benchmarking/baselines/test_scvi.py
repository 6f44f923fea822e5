"""scVI and scANVI, run for real; takes minutes."""

import numpy as np
import pytest

from okrcell.benchmarking.baselines import scvi

pytestmark = [pytest.mark.bench, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    pytest.importorskip("scvi", reason="scvi-tools is not installed (extra: baselines)")
    monkeypatch.setattr(scvi, "MAX_STEPS", 60)


def test_one_seed_gives_the_same_ten_numbers_a_cell(with_an_empty_cell):
    with_an_empty_cell.obs["batch"] = ["one"] * 350 + ["two"] * 350
    first, again = scvi.embed_scvi(with_an_empty_cell, "batch", 1), scvi.embed_scvi(with_an_empty_cell, "batch", 1)
    assert first.shape == (700, 10)
    assert np.isnan(first[3]).all()
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(
        np.delete(first, 3, axis=0), np.delete(scvi.embed_scvi(with_an_empty_cell, "batch", 2), 3, axis=0)
    )


def test_it_is_what_the_package_gives_by_hand(cells):
    import scvi as package

    by_hand = cells[:, np.asarray(cells.X.sum(axis=0)).ravel() > 0].copy()
    by_hand.obs["batch"] = "all"
    package.settings.seed = 3
    package.model.SCVI.setup_anndata(by_hand, batch_key="batch")
    model = package.model.SCVI(by_hand)
    model.train(
        max_epochs=10, batch_size=128, train_size=1.0, accelerator="cpu", enable_progress_bar=False, logger=False
    )
    np.testing.assert_allclose(scvi.embed_scvi(cells, None, 3), model.get_latent_representation(), atol=1e-4)


def test_nothing_is_left_in_the_working_folder(cells, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scvi.embed_scvi(cells, None, 0)
    assert not list(tmp_path.iterdir())


def test_scanvi_names_the_query_by_the_reference(cells, types):
    annotation = scvi.annotate_scanvi(cells[::2].copy(), types[::2], cells[1::2].copy(), 0)
    assert np.mean(annotation.label == types[1::2]) > 0.5
    np.testing.assert_allclose(annotation.scores.sum(axis=1), 1, atol=1e-3)
    assert set(annotation.names) == set(types)


def test_scanvi_goes_on_from_one_model_for_each_draw(cells, types):
    labels = np.where(np.arange(len(types)) % 10 == 0, types, "")
    annotations = list(scvi.few_shot_scanvi(cells, [labels, np.roll(labels, 0)], 0))
    assert len(annotations) == 2
    assert np.mean(annotations[0].label == types) > 0.4
