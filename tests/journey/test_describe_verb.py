"""The verb describe, from a file to a page."""

import json

import anndata
import pytest

from okrcell.cli import main
from okrcell.tasks.candidates import parse_candidates


@pytest.fixture(scope="module")
def file(blood, tmp_path_factory):
    path = tmp_path_factory.mktemp("describe") / "cells.h5ad"
    adata = blood[:60].copy()
    adata.obs["leiden"] = ["0", "1"] * 30
    adata.write_h5ad(path)
    return path


@pytest.fixture(autouse=True)
def _no_knowledge_files(monkeypatch, tmp_path):
    monkeypatch.delenv("OKRCELL_KNOWLEDGE", raising=False)
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))
    # A type that the model has seen, for it takes seconds to read of them all.
    monkeypatch.setattr("okrcell.tasks.candidates.known_types", lambda _: tuple(parse_candidates(["monocyte"])))


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


def test_the_page_is_printed_and_what_was_not_asked_is_told(file, capsys):
    assert run("describe", file, "--groupby", "leiden", "--candidates", "T cell,B cell,monocyte") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("# Groups of leiden")
    assert printed.out.count("\n## ") == 2
    assert "accordion" in printed.err


def test_page_json_and_cells_are_written(file, tmp_path, capsys):
    words = ("describe", file, "--groupby", "leiden", "--candidates", "T cell,B cell", "-o")
    for name in ("page.md", "all.json", "cells.h5ad"):
        assert run(*words, tmp_path / name) == 0
        assert f"Wrote 2 descriptions to {tmp_path / name}." in capsys.readouterr().out
    assert list(json.loads((tmp_path / "all.json").read_text())["groups"]) == ["0", "1"]
    assert set(anndata.read_h5ad(tmp_path / "cells.h5ad").uns["okrcell_descriptions"]) == {"0", "1"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--groupby", "leidn"], "similar columns are leiden"),
        (["--groupby", "leiden", "-o", "page.txt"], "must end in .md, .json, .h5ad"),
        (["--groupby", "leiden", "-o", "nowhere/page.md"], "there is no folder nowhere"),
        (["--groupby", "leiden", "--genes", "0"], "genes must be at least 1"),
        (["--groupby", "leiden", "--seed", "-1"], "seed must not be negative"),
        (["--groupby", "leiden", "--knowledge", "nowhere"], "no folder of knowledge files"),
        ([], "run `okrcell cluster` first"),
    ],
)
def test_a_mistake_is_one_line(file, words, message, capsys):
    assert run("describe", file, *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
