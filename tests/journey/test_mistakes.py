"""A mistake is one clear line and exit status 2; nothing is half written."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scanpy as sc

import okrcell
import okrcell.cells.io
import okrcell.cli
from okrcell.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a good file and several bad ones."""
    folder = tmp_path_factory.mktemp("mistakes")
    good = sc.datasets.pbmc68k_reduced()[:30].raw.to_adata()
    good.write_h5ad(folder / "good.h5ad")
    whole = (folder / "good.h5ad").read_bytes()
    (folder / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    (folder / "words.h5ad").write_text("these are no cells")
    scaled = sc.datasets.pbmc68k_reduced()[:30].copy()
    del scaled.raw
    scaled.write_h5ad(folder / "scaled.h5ad")
    fly = good.copy()
    fly.var_names = [f"FBgn{number:07d}" for number in range(fly.n_vars)]
    fly.write_h5ad(folder / "fly.h5ad")
    mouse = good.copy()
    mouse.var_names = mouse.var_names.str.capitalize()
    mouse.write_h5ad(folder / "mouse.h5ad")
    (folder / "empty.txt").write_text("\n")
    for name in ("types.csv", "types.json", "cells.tsv", "out.standardised.tsv"):
        (folder / name).write_text("B cell\n")
    (folder / "link.html").symlink_to("scaled.h5ad")
    for name in ("pipe.h5ad", "pipe.yaml"):
        os.mkfifo(folder / name)
    (folder / "typo.yaml").write_text("corpus: c\noutput: o\nschedule: {learning_rat: 1}\n")
    return folder


MISTAKES = {
    "a missing file": (("annotate", "nothing.h5ad", "-o", "out.h5ad"), "nothing.h5ad"),
    "a file cut short": (("embed", "cut.h5ad", "-o", "out.h5ad"), "cut.h5ad"),
    "a file of something else": (("embed", "words.h5ad", "-o", "out.h5ad"), "words.h5ad"),
    "z-scores only": (("annotate", "scaled.h5ad", "-o", "out.h5ad"), "negative"),
    "genes of a fly": (("embed", "fly.h5ad", "-o", "out.h5ad"), "fly"),
    "genes of a mouse where only human ones are accepted": (
        ("embed", "mouse.h5ad", "-o", "out.h5ad", "--species", "human"),
        "only human genes are accepted",
    ),
    "two wishes for the genes of a mouse": (
        ("embed", "mouse.h5ad", "-o", "out.h5ad", "--species", "human", "--orthologs"),
        "Pass one of the two",
    ),
    "no such layer": (("embed", "good.h5ad", "-o", "out.h5ad", "--layer", "spliced"), "spliced"),
    "no candidate in the file": (("annotate", "good.h5ad", "-o", "out.h5ad", "--candidates", "empty.txt"), "empty.txt"),
    "a candidates file that is not there": (
        ("annotate", "good.h5ad", "-o", "out.h5ad", "--candidates", "c.txt"),
        "c.txt",
    ),
    "an id that is not in the ontology": (
        ("annotate", "good.h5ad", "-o", "out.h5ad", "--candidates", "CL:9999999"),
        "CL:9999999",
    ),
    "an empty sentence": (("find", "good.h5ad", " "), "empty"),
    "none of the best": (("find", "good.h5ad", "B cell", "--top", "0"), "--top"),
    "no such model": (("embed", "good.h5ad", "-o", "out.h5ad", "--model", "./nowhere"), "nowhere"),
    "a folder that is no model": (("embed", "good.h5ad", "-o", "out.h5ad", "--model", "."), "model.json"),
    "an output in no folder": (("embed", "good.h5ad", "-o", "no/out.h5ad"), "no/out.h5ad"),
    "an output that is no h5ad": (("embed", "good.h5ad", "-o", "out.txt"), "out.txt"),
    "the output is the input": (("embed", "good.h5ad", "-o", "good.h5ad"), "itself"),
    "the output is the reference": (
        ("annotate", "good.h5ad", "-o", "scaled.h5ad", "--reference", "scaled.h5ad", "--label-key", "louvain"),
        "itself",
    ),
    "the report is the reference": (
        ("annotate", "good.h5ad", "-o", "o.h5ad", "--report", "link.html", "--reference", "scaled.h5ad"),
        "itself",
    ),
    "the output is the list of candidates": (
        ("annotate", "good.h5ad", "-o", "types.csv", "--candidates", "types.csv"),
        "itself",
    ),
    "the page is the list of candidates": (
        ("describe", "good.h5ad", "-o", "types.json", "--candidates", "types.json"),
        "itself",
    ),
    "the table is the input": (("audit", "cells.tsv", "-o", "cells.tsv"), "itself"),
    "the decisions are the input": (("standardise", "out.standardised.tsv", "-o", "out.h5ad"), "itself"),
    "the descriptions are the input": (("enrich", "good.h5ad", "-o", "good.h5ad"), "itself"),
    "an input that is a pipe": (("embed", "pipe.h5ad", "-o", "out.h5ad"), "pipe or a device"),
    "settings that are a pipe": (("pretrain", "pipe.yaml"), "pipe.yaml"),
    "an unknown option": (("embed", "good.h5ad", "--outptu", "out.h5ad"), "--outptu"),
    "an unknown verb": (("anotate", "good.h5ad"), "anotate"),
    "no place for descriptions": (("enrich", "good.h5ad"), "-o"),
    "a knowledge source that is not there": (("enrich", "good.h5ad", "-o", "d.parquet", "--sources", "wiki"), "wiki"),
    "no folder of knowledge": (("enrich", "good.h5ad", "-o", "d.parquet", "--knowledge", "nowhere"), "nowhere"),
    "no folder of marker tables": (("annotate", "good.h5ad", "-o", "n.h5ad", "--knowledge", "nowhere"), "nowhere"),
    "a language model without an address": (("enrich", "good.h5ad", "-o", "d.parquet", "--llm", "m"), "base_url"),
    "an address that is none": (
        ("enrich", "good.h5ad", "-o", "d.parquet", "--llm", "m", "--base-url", "localhost"),
        "base_url",
    ),
    "no such knowledge file": (("knowledge", "fetch", "genes.csv"), "genes.csv"),
    "overrides that are not there": (
        ("standardise", "good.h5ad", "-o", "out.h5ad", "--overrides", "none.tsv"),
        "none.tsv",
    ),
    "a misspelt setting": (("pretrain", "typo.yaml"), "learning_rate"),
    "no settings file": (("pretrain", "none.yaml"), "none.yaml"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(mistake, folder, capsys, monkeypatch):
    words, named = MISTAKES[mistake]
    monkeypatch.chdir(folder)
    before = {path.name: path.stat().st_size for path in folder.iterdir()}
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(words)
    errors = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2
    assert len(errors) == 1, errors
    assert named in errors[0]
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == before


def test_the_shell_sees_status_2_and_no_traceback(folder):
    command = [sys.executable, "-m", "okrcell", "embed", "cut.h5ad", "-o", "out.h5ad"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("options", [{}, {"orthologs": True}])
def test_genes_of_a_mouse_are_mapped_and_the_record_says_so(folder, options):
    adata = okrcell.cells.io.open_cells(folder / "mouse.h5ad")
    okrcell.tl.embed(adata, **options)
    assert np.isfinite(adata.obsm["X_okrcell"]).all()
    record = adata.uns["okrcell"]["embed"]
    assert (record["species"], record["orthologs"]) == ("mouse", True)
    assert record["findings"][0].startswith("MOUSE: the genes are of mouse")


def test_a_species_that_is_none_of_the_known_ones_is_refused(folder):
    adata = okrcell.cells.io.open_cells(folder / "good.h5ad")
    with pytest.raises(InputError, match="species must be 'human' or None, but it is 'rat'"):
        okrcell.tl.embed(adata, species="rat")
    okrcell.tl.embed(adata, species="human")
    assert adata.uns["okrcell"]["embed"]["species"] == "human"
