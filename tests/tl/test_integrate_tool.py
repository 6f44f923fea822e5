"""`tl.integrate` and `okrcell integrate`."""

import matplotlib as mpl
import numpy as np
import pytest

from okrcell import pl
from okrcell.errors import InputError
from okrcell.model.embedder import load
from okrcell.tl.embed import embed
from okrcell.tl.integrate import integrate

mpl.use("Agg")


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def embedded(blood, model):
    adata = blood[:300].copy()
    embed(adata, model)
    return adata


def test_every_cell_has_a_place_and_the_receipt_tells_of_the_batches(embedded, model):
    adata = embedded.copy()
    integrate(adata, model, "donor")
    assert adata.obsm["X_okrcell_integrated"].shape == (300, 15)
    assert np.isfinite(adata.obsm["X_okrcell_integrated"]).all()
    receipt = adata.uns["okrcell"]["integrate"]
    assert receipt["batches"] == [f"donor{number}" for number in range(7)]
    assert sum(receipt["cells"]) == 300
    assert np.all((receipt["shared"] > 0.5) & (receipt["shared"] <= 1))
    assert receipt["apart"] == []


def test_cells_whose_batch_is_missing_are_a_batch(embedded, model):
    adata = embedded.copy()
    adata.obs["lane"] = np.where(np.arange(300) < 100, None, "a")
    integrate(adata, model, "lane")
    receipt = adata.uns["okrcell"]["integrate"]
    assert dict(zip(receipt["batches"], receipt["cells"], strict=True)) == {"(no batch)": 100, "a": 200}


def test_numbers_may_name_batches(embedded, model):
    adata = embedded[:80].copy()
    adata.obs["run"] = np.arange(80) % 2
    integrate(adata, model, "run")
    assert adata.uns["okrcell"]["integrate"]["batches"] == ["0", "1"]


def test_a_column_that_is_not_there_is_told_with_those_near_to_it(embedded, model):
    with pytest.raises(InputError, match="similar columns are donor"):
        integrate(embedded.copy(), model, "doner")


def test_a_file_of_one_cell_works(embedded, model):
    adata = embedded[:1].copy()
    integrate(adata, model, "donor")
    assert np.isfinite(adata.obsm["X_okrcell_integrated"]).all()


def test_answers_survive_a_file(embedded, model, tmp_path):
    import anndata as ad

    adata = embedded[:60].copy()
    integrate(adata, model, "donor")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert list(again.uns["okrcell"]["integrate"]["batches"]) == adata.uns["okrcell"]["integrate"]["batches"]


def test_the_picture_shows_batch_and_type_before_and_after(embedded, model, monkeypatch, tmp_path):
    adata = embedded.copy()
    integrate(adata, model, "donor")
    monkeypatch.setattr("okrcell.cells.neighbors.embed_2d", lambda points: points[:, :2])
    axes = pl.integration(adata, save=tmp_path / "panel.png")
    assert [ax.get_title(loc="left") for ax in axes] == [
        "donor, before integration",
        "donor, after integration",
        "cell_type, before integration",
        "cell_type, after integration",
    ]
    with pytest.raises(InputError, match="no column 'kind'"):
        pl.integration(adata, label_key="kind")
    del adata.obs["donor"]
    with pytest.raises(InputError, match="no column 'donor'"):
        pl.integration(adata)


def test_a_picture_needs_an_integration(embedded):
    with pytest.raises(InputError, match=r"Run okr.tl.integrate"):
        pl.integration(embedded)


def test_the_verbs_do_the_same(blood, tmp_path, capsys):
    import anndata as ad

    from okrcell.cli import main

    blood[:120].copy().write_h5ad(tmp_path / "cells.h5ad")
    cells, one, two = (str(tmp_path / f"{name}.h5ad") for name in ("cells", "one", "two"))
    for words in (
        ["integrate", cells, "-o", one, "--batch-key", "donor"],
        ["cluster", one, "-o", two, "--use-rep", "X_okrcell_integrated"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    output = capsys.readouterr().out
    assert "donor6" in output
    assert "its number of clusters is the most persistent" in output
    written = ad.read_h5ad(tmp_path / "two.h5ad")
    assert written.obs["okrcell_cluster"].notna().all()
    assert {"integrate", "cluster"} <= set(written.uns["okrcell"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["integrate", "--batch-key", "doner"], "similar columns are donor"),
        (["cluster", "--resolution", "0"], "above zero"),
        (["cluster", "--seed", "-1"], "must not be negative"),
        (["cluster", "--use-rep", "X_pca"], "no X_pca in obsm"),
    ],
)
def test_a_slip_on_the_command_line_is_one_line(blood, tmp_path, capsys, words, message):
    from okrcell.cli import main

    blood[:20].copy().write_h5ad(tmp_path / "cells.h5ad")
    verb, *options = words
    with pytest.raises(SystemExit) as ended:
        main([verb, str(tmp_path / "cells.h5ad"), "-o", str(tmp_path / "out.h5ad"), *options])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out.h5ad").exists()


def test_a_batch_for_each_cell_is_refused(blood, model):
    adata = blood[:30].copy()
    adata.obs["barcode"] = adata.obs_names
    with pytest.raises(InputError, match="that is no grouping"):
        integrate(adata, model, "barcode")
