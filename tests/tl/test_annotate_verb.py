"""`okrcell annotate` with a reference file or a column of examples."""

import csv
from pathlib import Path

import anndata
import numpy as np
import pytest

from okrcell.cli import main
from okrcell.cli._results import ANNOTATION_COLUMNS
from okrcell.model.checkpoint import save_checkpoint


@pytest.fixture
def folder(blood, checkpoint, tmp_path):
    save_checkpoint(checkpoint, tmp_path / "model", card="# tiny\n")
    blood[:200].copy().write_h5ad(tmp_path / "reference.h5ad")
    query = blood[200:260].copy()
    query.obs["few"] = np.where(np.arange(60) < 20, query.obs["cell_type"], "")
    query.obs_names = ['=1+1, "quoted"', *query.obs_names[1:]]
    query.obsm["X_umap"] = np.random.default_rng(0).normal(size=(60, 2))
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


@pytest.mark.parametrize(("name", "separator"), [("named.csv", ","), ("named.tsv", "\t")])
def test_a_table_has_the_cells_and_the_columns_that_were_written(folder, monkeypatch, capsys, name, separator):
    monkeypatch.chdir(folder)
    words = ("annotate", "cells.h5ad", "--model", "model", "--candidates", "B cell,T cell", "-o")
    assert run(monkeypatch, *words, name) == 0
    printed = capsys.readouterr().out.splitlines()
    assert run(monkeypatch, *words, "named.h5ad") == 0
    obs = anndata.read_h5ad("named.h5ad").obs
    with Path(name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=separator))
    assert [row["cell"].removeprefix("'") for row in rows] == obs.index.tolist()
    assert rows[0]["cell"].startswith("'=")  # no formula for a spreadsheet
    for column in ANNOTATION_COLUMNS:
        assert column in printed[-1]
        if column != "okrcell_confidence":
            assert [row[column] for row in rows] == obs[column].astype(str).tolist()
    np.testing.assert_allclose([float(row["okrcell_confidence"]) for row in rows], obs["okrcell_confidence"], rtol=1e-5)


def test_counts_are_printed_largest_first_and_remarks_after_them(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert (
        run(monkeypatch, "annotate", "cells.h5ad", "--model", "model", "--candidates", "B cell,T cell", "-o", "a.h5ad")
        == 0
    )
    printed = capsys.readouterr()
    counts = [int(line.split()[0].replace(",", "")) for line in printed.out.splitlines() if line.startswith("  ")]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == 60
    assert "genes" in printed.err
    assert "genes" not in printed.out


def test_a_report_of_the_run_is_written_beside_the_cells(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = (
        "annotate",
        "cells.h5ad",
        "--model",
        "model",
        "--candidates",
        "B cell,T cell",
        "-o",
        "named.h5ad",
        "--report",
    )
    assert run(monkeypatch, *words, "report.html") == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Cell types of cells.h5ad" in page
    assert "CL:0000236" in page
    assert "Wrote the report report.html." in capsys.readouterr().out
    for name in ("report.pdf", "nowhere/report.html"):
        assert run(monkeypatch, *words, name) == 2
        assert name in capsys.readouterr().err


def test_a_search_prints_a_header(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert run(monkeypatch, "find", "cells.h5ad", "B cell", "--model", "model", "--top", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t")[:3] == ["match", "cell", "cell_type"]
    assert len(lines) == 4


@pytest.mark.parametrize("name", ["out.csv", "out.tsv"])
@pytest.mark.parametrize(
    ("words", "slot"),
    [(("embed",), "X_okrcell"), (("integrate", "--batch-key", "donor"), "X_okrcell_integrated")],
)
def test_vectors_are_written_as_a_table(folder, monkeypatch, capsys, words, slot, name):
    monkeypatch.chdir(folder)
    verb, *options = words
    for output in (name, "out.h5ad"):
        assert run(monkeypatch, verb, "cells.h5ad", "-o", output, "--model", "model", *options) == 0
    vectors = anndata.read_h5ad("out.h5ad").obsm[slot]
    with Path(name).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, delimiter="," if name.endswith("csv") else "\t")
    assert header == ["cell", *(f"{slot}-{i}" for i in range(vectors.shape[1]))]
    assert rows[0][0] == """'=1+1, "quoted\""""
    assert [row[0] for row in rows[1:]] == anndata.read_h5ad("cells.h5ad").obs_names[1:].tolist()
    np.testing.assert_array_equal(np.array([row[1:] for row in rows], dtype=np.float32), vectors)
    assert f"columns cell, {slot}-0 to {slot}-{vectors.shape[1] - 1}." in capsys.readouterr().out
