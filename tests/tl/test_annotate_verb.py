"""`okrcell annotate` with a reference file or a column of examples."""

import anndata
import numpy as np
import pytest

from okrcell.cli import main
from okrcell.model.checkpoint import save_checkpoint


@pytest.fixture
def folder(blood, checkpoint, tmp_path):
    save_checkpoint(checkpoint, tmp_path / "model", card="# tiny\n")
    blood[:200].copy().write_h5ad(tmp_path / "reference.h5ad")
    query = blood[200:260].copy()
    query.obs["few"] = np.where(np.arange(60) < 20, query.obs["cell_type"], "")
    query.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path


def run(monkeypatch, *words):
    """Run the command line and return its exit status."""
    monkeypatch.setattr("sys.argv", ["okrcell", *map(str, words)])
    try:
        main()
    except SystemExit as left:
        return left.code or 0
    return 0


@pytest.mark.parametrize(
    ("options", "method"),
    [
        (("--reference", "reference.h5ad", "--label-key", "cell_type"), "reference, head"),
        (("--examples-key", "few", "--seed", "3"), "few-shot"),
    ],
)
def test_a_reference_or_examples_name_a_file(folder, monkeypatch, capsys, options, method):
    monkeypatch.chdir(folder)
    assert run(monkeypatch, "annotate", "cells.h5ad", "-o", "named.h5ad", "--model", "model", *options) == 0
    before, after = anndata.read_h5ad("cells.h5ad"), anndata.read_h5ad("named.h5ad")
    assert after.obs_names.tolist() == before.obs_names.tolist()
    assert after.uns["okrcell"]["annotate"]["method"] == method
    assert after.obs["okrcell_confidence"].between(0, 1).all()
    assert "Wrote 60 cells" in capsys.readouterr().out


def test_a_mistaken_column_is_one_line_and_status_two(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = ("annotate", "cells.h5ad", "-o", "named.h5ad", "--model", "model")
    assert run(monkeypatch, *words, "--examples-key", "fews") == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert "similar columns are few" in errors[0]
    assert run(monkeypatch, *words, "--reference", "nothing.h5ad") == 2
    assert not (folder / "named.h5ad").exists()
