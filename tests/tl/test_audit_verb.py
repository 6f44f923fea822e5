"""`tl.audit` and `okrcell audit` on AnnData, files and corpora."""

import json
import shutil

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import okrcell as okr
from okrcell.cli import main
from okrcell.data.prepare import prepare
from okrcell.errors import InputError
from okrcell.pl.audit import audit as draw
from okrcell.tl.audit import audit


def run(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(str(ended.value.code or 0))


@pytest.fixture(scope="module")
def embedded(blood):
    """Blood cells with stored embeddings."""
    adata = blood.copy()
    okr.tl.embed(adata)
    return adata


@pytest.fixture
def spoilt(embedded):
    """Blood cells in which a tenth of the monocytes and B cells have swapped labels."""
    adata = embedded.copy()
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    wrong = np.zeros(len(labels), dtype=bool)
    for one, other in (("CD14-positive monocyte", "B cell"), ("B cell", "CD14-positive monocyte")):
        wrong[np.flatnonzero(adata.obs["cell_type"] == one)[::10]] = True
        labels[wrong & (adata.obs["cell_type"] == one).to_numpy()] = other
    adata.obs["cell_type"] = labels
    return adata, wrong


def test_exchanged_labels_are_found_in_real_cells(spoilt, embedded):
    adata, wrong = spoilt
    audit(adata)
    assert roc_auc_score(wrong, -adata.obs["okrcell_label_trust"]) > 0.95
    likely = adata.obs["okrcell_likely_cell_type"].astype(str)[wrong]
    assert (likely == embedded.obs["cell_type"].astype(str)[wrong]).mean() > 0.8
    assert adata.obs["okrcell_label_doubtful"][wrong].mean() > 0.8
    assert adata.obs["okrcell_label_trust"].between(0, 1).all()


def test_the_answers_and_their_receipt_survive_a_file(spoilt, tmp_path):
    adata, _ = spoilt
    audit(adata, batch_key="donor")
    adata.write_h5ad(tmp_path / "out.h5ad")
    again = ad.read_h5ad(tmp_path / "out.h5ad")
    written = again.uns["okrcell"]["audit"]
    assert written["label_key"] == "cell_type"
    assert written["batch_key"] == "donor"
    assert written["doubtful"] == again.obs["okrcell_label_doubtful"].sum()
    assert json.loads(written["settings"])["rounds"] == 2


@pytest.fixture
def exchanged(embedded):
    """Blood cells in which all monocytes and all B cells have each other's label."""
    adata = embedded.copy()
    names = {"CD14-positive monocyte": "B cell", "B cell": "CD14-positive monocyte"}
    adata.obs["cell_type"] = adata.obs["cell_type"].replace(names)
    return adata, adata.obs["cell_type"].isin(list(names)).to_numpy()


def test_names_that_are_wrong_for_all_their_cells_are_contradicted(exchanged, tmp_path):
    adata, wrong = exchanged
    audit(adata)
    assert (adata.obs["okrcell_label_contradicted"].to_numpy() == wrong).all()
    assert adata.obs["okrcell_label_doubtful"][wrong].mean() < 0.1
    adata.write_h5ad(tmp_path / "out.h5ad")
    written = ad.read_h5ad(tmp_path / "out.h5ad").uns["okrcell"]["audit"]
    assert written["contradicted"] == 2
    groups = written["groups"]
    assert groups["cell_type"][groups["contradicted"]].tolist() == ["B cell", "CD14-positive monocyte"]
    assert groups["rival"].tolist()[:2] == ["CD14-positive monocyte", "B cell"]


def test_the_command_names_contradicted_labels_with_their_genes(exchanged, tmp_path, capsys):
    adata, wrong = exchanged
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert run("audit", tmp_path / "cells.h5ad", "--top", "0") == 0
    out = capsys.readouterr().out
    assert f"2 of 9 labels are contradicted by the markers of all their cells ({wrong.sum()} cells; not counted" in out
    assert "'CD14-positive monocyte' (95 cells) looks like B cell: CD79A, MS4A1" in out
    groups = pd.read_csv(tmp_path / "cells.audit.groups.tsv", sep="\t", keep_default_na=False)
    assert groups["contradicted"].sum() == 2
    assert len(groups) == adata.obs["cell_type"].nunique()
    table = read(tmp_path / "cells.audit.tsv").sort_values("row")
    assert (table["contradicted"].to_numpy() == wrong).all()
    assert json.loads((tmp_path / "cells.audit.json").read_text())["contradicted"] == 2


def test_the_command_says_how_labels_were_read(blood, tmp_path, capsys):
    adata = blood[:60].copy()
    names = {"B cell": "CD19+ CD5+ B", "natural killer cell": "cluster seven"}
    adata.obs["cell_type"] = adata.obs["cell_type"].replace(names)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert run("audit", tmp_path / "cells.h5ad", "--top", "0") == 0
    lines = capsys.readouterr().err
    assert "label 'cluster seven': no known cell type" in lines
    assert "label 'CD19+ CD5+ B' -> CL:" in lines


def test_cells_without_label_or_expression_are_answered_as_such(embedded):
    adata = embedded[:200].copy()
    del adata.obsm["X_okrcell"]
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object)
    adata.obs.iloc[5, adata.obs.columns.get_loc("cell_type")] = "unknown"
    empty = adata.X.tolil()
    empty[6] = 0
    adata.X = empty.tocsr()
    audit(adata)
    assert adata.obs["okrcell_label_trust"].iloc[[5, 6]].isna().all()
    assert adata.obs["okrcell_likely_cell_type"].iloc[6] == "unknown"
    assert adata.obs["okrcell_likely_cell_type"].iloc[5] != "unknown"
    assert adata.obs["okrcell_label_trust"].notna().sum() == 198


def test_a_missing_column_is_named_before_anything_is_embedded(blood):
    with pytest.raises(InputError, match=r"no column 'labels'; it has cell_type, tissue, donor.*label_key"):
        audit(blood[:5].copy(), label_key="labels")
    with pytest.raises(InputError, match="no column 'batch'"):
        audit(blood[:50].copy(), batch_key="batch")


def test_the_picture_shows_doubtful_labels(spoilt, tmp_path):
    adata, _ = spoilt
    audit(adata)
    left, right = draw(adata, save=tmp_path / "audit.png")
    assert (tmp_path / "audit.png").stat().st_size > 10_000
    doubtful = int(adata.obs["okrcell_label_doubtful"].sum())
    assert left.figure.get_suptitle().startswith(f"{doubtful} of 700 labels")
    assert sum(int(text.get_text()) for text in right.texts) == doubtful


def test_nothing_doubtful_can_be_drawn_too(embedded, tmp_path):
    adata = embedded[:20].copy()
    adata.obs["okrcell_label_trust"] = 1.0
    adata.obs["okrcell_label_doubtful"] = False
    adata.obs["okrcell_likely_cell_type"] = adata.obs["cell_type"]
    _, right = draw(adata, save=tmp_path / "audit.png")
    assert [text.get_text() for text in right.texts] == ["none"]


def test_a_picture_before_the_audit_is_refused(blood):
    with pytest.raises(InputError, match=r"okr\.tl\.audit"):
        draw(blood)


@pytest.fixture(scope="module")
def small(blood, tmp_path_factory):
    """A corpus of two studies with the table that was made of it; five cells have no label, one no expression."""
    folder = tmp_path_factory.mktemp("small")
    adata = blood[:160].copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object)
    adata.obs.iloc[:5, adata.obs.columns.get_loc("cell_type")] = "unknown"
    empty = adata.X.tolil()
    empty[9] = 0
    adata.X = empty.tocsr()
    files = [folder / "first.h5ad", folder / "second.h5ad"]
    for file, part in zip(files, (adata[:80], adata[80:]), strict=True):
        part.copy().write_h5ad(file)
    prepare(files, folder / "corpus")
    assert run("audit", folder / "corpus", "-o", folder / "audit.tsv", "--top", "2") == 0
    return folder


def read(path):
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values={"trust": [""], "likely_share": [""]})


def test_a_corpus_is_sorted_from_the_least_trusted_label(small):
    table = read(small / "audit.tsv")
    assert sorted(table["row"]) == list(range(160))
    assert table["trust"].dropna().is_monotonic_increasing
    assert table["trust"].isna().sum() == 6
    assert table["likely_share"].isna().sum() == 1
    assert set(table["study"]) == {"first", "second"}
    assert set(table["relation"]) <= {"same", "broader", "narrower", "other", ""}
    groups = pd.read_csv(small / "audit.groups.tsv", sep="\t", keep_default_na=False)
    assert set(groups["study"]) == {"first", "second"}
    assert groups["cells"].sum() == 155


def test_picture_and_receipt_lie_beside_the_table(small):
    table, receipt = read(small / "audit.tsv"), json.loads((small / "audit.json").read_text())
    assert receipt["verb"] == "audit"
    assert set(receipt["weight_of_words"]) == {"first", "second"}
    assert receipt["labelled"] == 154
    assert receipt["doubtful"] == table["doubtful"].sum()
    assert (small / "audit.png").exists()


def test_a_corpus_and_its_files_are_looked_over_alike(small, tmp_path, capsys):
    assert run("audit", small / "second.h5ad", "-o", tmp_path / "file.parquet") == 0
    corpus = read(small / "audit.tsv").query("study == 'second'").set_index("row").sort_index()
    file = pd.read_parquet(tmp_path / "file.parquet").set_index("row").sort_index()
    np.testing.assert_allclose(corpus["trust"], file["trust"], atol=1e-3)
    assert (corpus["likely_cell_type"].to_numpy() == file["likely_cell_type"].to_numpy()).mean() > 0.98
    assert f"{file['doubtful'].sum()} of 80 labels are doubtful" in capsys.readouterr().out


def test_without_an_output_the_table_lies_beside_the_cells(small, tmp_path):
    shutil.copy(small / "second.h5ad", tmp_path / "cells.h5ad")
    assert run("audit", tmp_path / "cells.h5ad", "--top", "0") == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "cells.h5ad",
        "cells.audit.tsv",
        "cells.audit.groups.tsv",
        "cells.audit.png",
        "cells.audit.json",
    }


def test_a_run_lends_its_trust(small, tmp_path, capsys):
    rows = {"row": np.arange(50), "study": "first", "epoch_1": np.linspace(0, 1, 50), "epoch_2": np.nan}
    pd.DataFrame(rows).to_parquet(tmp_path / "reliability.parquet")
    assert run("audit", small / "corpus", "-o", tmp_path / "audit.parquet", "--run", tmp_path) == 0
    table = pd.read_parquet(tmp_path / "audit.parquet")
    assert table["row"].tolist()[:3] == [0, 1, 2]
    assert table["trust"].notna().sum() == 50
    assert "labels are wrong" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def folder(blood, tmp_path_factory):
    """One valid file, and files that cannot be audited."""
    folder = tmp_path_factory.mktemp("mistakes")
    good = blood[:30].copy()
    good.write_h5ad(folder / "good.h5ad")
    one = good.copy()
    one.obs["cell_type"] = "B cell"
    one.write_h5ad(folder / "one.h5ad")
    one.obs["cell_type"] = "unknown"
    one.write_h5ad(folder / "unknown.h5ad")
    (folder / "empty").mkdir()
    (folder / "is.tsv").mkdir()
    return folder


MISTAKES = {
    "no such file": (("audit", "nothing.h5ad"), "nothing.h5ad"),
    "a folder that is no corpus": (("audit", "empty"), "corpus.json"),
    "no such column": (("audit", "good.h5ad", "--label-key", "labels"), "--label-key"),
    "no such batch": (("audit", "good.h5ad", "--batch-key", "batch"), "batch"),
    "one label only": (("audit", "one.h5ad"), "B cell"),
    "no label at all": (("audit", "unknown.h5ad"), "No cell has a label"),
    "an output in no folder": (("audit", "good.h5ad", "-o", "no/out.tsv"), "no/out.tsv"),
    "an output that is no table": (("audit", "good.h5ad", "-o", "out.h5ad"), "out.h5ad"),
    "an output that is a folder": (("audit", "good.h5ad", "-o", "is.tsv"), "is.tsv"),
    "less than none": (("audit", "good.h5ad", "--top", "-1"), "--top"),
    "a run for a file": (("audit", "good.h5ad", "--run", "empty"), "--run"),
    "no such model": (("audit", "good.h5ad", "--model", "./nowhere"), "nowhere"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(mistake, folder, capsys, monkeypatch):
    words, named = MISTAKES[mistake]
    monkeypatch.chdir(folder)
    before = {path.name for path in folder.iterdir()}
    assert run(*words) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1, errors
    assert named in errors[0]
    assert {path.name for path in folder.iterdir()} == before


def test_a_run_without_a_table_is_refused(small, tmp_path, capsys):
    assert run("audit", small / "corpus", "-o", tmp_path / "a.tsv", "--run", tmp_path) == 2
    assert "reliability.parquet" in capsys.readouterr().err
    assert not (tmp_path / "a.tsv").exists()
