"""A model is not evaluated on cells that it was trained on."""

import json
from pathlib import Path

import pytest

from okrcell.benchmarking.datasets import leakage
from okrcell.benchmarking.datasets.datasets import cards, load_dataset
from okrcell.benchmarking.datasets.leakage import check_leakage, count_shared_cells, seen_in_training
from okrcell.data.corpus import Corpus
from okrcell.data.prepare import prepare
from okrcell.errors import InputError

CARDS = [cards()["segerstolpe"], cards()["kang_ifnb"]]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"studies": ["baron", "E-MTAB-5061"]}, ["the study E-MTAB-5061 (set segerstolpe)"]),
        ({"studies": ["kang_ifnb"]}, ["the study kang_ifnb (set kang_ifnb)"]),
        ({"donors": ["islets | segerstolpe_2"]}, ["the donor islets | segerstolpe_2 (set segerstolpe)"]),
        ({"donors": ["gse96583 | 1015"]}, ["the donor gse96583 | 1015 (set kang_ifnb)"]),
        ({"studies": ["baron", "wang_ileum"], "donors": ["baron | 1015"]}, []),
        ({}, []),
    ],
)
def test_studies_and_donors_are_known_by_any_of_their_names(seen, expected):
    assert seen_in_training(seen, CARDS) == expected


def test_the_bundled_model_has_seen_none_of_the_sets():
    check_leakage({"okrcell": None}, list(cards().values()), None, None)


def test_a_model_that_has_seen_a_study_is_refused_with_the_list(monkeypatch):
    class Checkpoint:
        facts = {"seen": {"studies": ["xin_pancreas", "pbmc3k"]}}  # noqa: RUF012

    monkeypatch.setattr(leakage, "load_checkpoint", lambda _: Checkpoint)
    with pytest.raises(
        InputError, match=r"was trained on the study pbmc3k .*; mine was trained on the study xin_pancreas"
    ):
        check_leakage({"mine": "folder"}, list(cards().values()), None, None)


def test_the_very_same_cells_are_found_in_a_corpus(shared_data: Path, tmp_path):
    dataset = load_dataset("wang", shared_data)
    copied = dataset.cells[:40].copy()
    copied.obs_names = [f"renamed{i}" for i in range(40)]
    copied.obs["cell_type"] = "T cell"
    copied.write_h5ad(tmp_path / "harmless.h5ad")
    prepare([tmp_path / "harmless.h5ad"], tmp_path / "corpus")
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text())
    counts = count_shared_cells(Corpus.open(tmp_path / "corpus"), [cards()["wang"], cards()["xin"]], shared_data)
    assert counts == ["40 cells of wang"]
    with pytest.raises(InputError, match="the corpus holds 40 cells of wang"):
        check_leakage({}, [cards()["wang"]], shared_data, tmp_path / "corpus")
