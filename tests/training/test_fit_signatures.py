"""A run leaves a model that knows which genes a text predicts."""

import shutil

import numpy as np
import pytest
import torch

import okrcell as okr
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import Embedder
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain

B_CELL, T_CELL, PLASMA_CELL = "CL:0000236", "CL:0000084", "CL:0000786"
GENES = {B_CELL: "CD79A CD79B MS4A1 CD74", T_CELL: "CD3D CD3E IL32 CD7", PLASMA_CELL: "IGJ MZB1 SSR4 TNFRSF17"}


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """Marker tables that tell of three types."""
    place = tmp_path_factory.mktemp("knowledge")
    rows = [f"Human,{kind},{gene},positive,ASCT+B" for kind, genes in GENES.items() for gene in genes.split()]
    (place / "cellmarker_accordion_by_cl.csv.gz").write_text(
        "\n".join(["species,CL_ID,marker,marker_type,resources", *rows]), encoding="utf-8"
    )
    (place / "cellmarker_accordion_healthy.csv.gz").write_text(
        "species,CL_ID,marker,marker_type,Uberon_ID,resource\n", encoding="utf-8"
    )
    return place


@pytest.fixture
def learning(run_settings, books, tmp_path, monkeypatch):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))

    def made(output="run", **changes):
        knowledge = {"folder": str(books), "share": 0.0, "gene_start": False}
        settings = {"signatures": True, "knowledge": knowledge, "split": {"validation": 0.01, "studies": ["second"]}}
        return run_settings({**settings, **changes}, output)

    return made


def test_a_run_with_signatures_leaves_them_with_what_they_are_worth(learning, blood):
    model = Embedder(load_checkpoint(pretrain(learning()).model))
    head = model.signatures
    assert head is not None
    assert {B_CELL, T_CELL, PLASMA_CELL} <= set(head.types)
    symbols = model.vocabulary.symbol
    knowledge = head.knowledge.toarray()
    for kind, genes in GENES.items():
        markers = set(symbols[np.flatnonzero(knowledge[head.types.index(kind)] > 0)].tolist())
        written = {{"IGJ": "JCHAIN"}.get(gene, gene) for gene in genes.split()}
        assert markers == written & set(symbols.tolist())
    assert head.cells[head.types.index(B_CELL)].nnz > 20
    # Plasma cells were in no study.
    assert head.cells[head.types.index(PLASMA_CELL)].nnz == 0
    calibration = model.facts["calibration"]
    assert calibration["studies"] == ["first", "second"]
    assert calibration["similarity_learned_on"] == ["second"]
    assert calibration["labels_in_doubt"] == []
    assert str(len(symbols)) in calibration["evidence_temperature_by_genes"]
    assert calibration["similarity_weight"] >= 0
    assert {"top", "lead", "bias"} == set(calibration["right_by_genes"][str(len(symbols))])
    named = blood[::7].copy()
    okr.tl.annotate(named, model, candidates=["B cell", "monocyte", "natural killer cell", "T cell"])
    receipt = named.uns["okrcell"]["annotate"]
    assert receipt["evidence_of_genes"]
    assert receipt["smoothed_over_neighbours"]
    assert (named.obs["okrcell_cell_type"] == "B cell")[named.obs["cell_type"] == "B cell"].mean() > 0.8


def test_the_card_says_where_each_weight_comes_from_and_under_which_licence(learning, books, tmp_path):
    place = shutil.copytree(books, tmp_path / "books")
    table = place / "cellmarker_accordion_by_cl.csv.gz"
    table.write_text(
        table.read_text() + "\n" + "\n".join(f"Human,{B_CELL},{gene},positive,Abcam" for gene in ("LYZ", "CD74"))
    )
    knowledge = {"folder": str(place), "share": 0.0, "gene_start": False}
    settings = {"calibrate": False, "schedule": {"steps": [1, 0]}}
    chosen, every = (
        pretrain(learning(name, **settings, knowledge={**knowledge, "markers": name})).model for name in ("open", "all")
    )
    for folder, names, remark in (
        (chosen, ["ASCT+B"], "All of them are openly licensed."),
        (every, ["ASCT+B", "Abcam"], "Not openly licensed: Abcam. Ask them"),
    ):
        loaded, card = load_checkpoint(folder), (folder / "README.md").read_text()
        head, sources = loaded.signatures, loaded.facts["signature_sources"]
        assert [source["name"] for source in sources] == names
        masks = head.knowledge_sources
        assert [source["weights"] for source in sources] == [int((masks >> i & 1).sum()) for i in range(len(names))]
        assert f"and {head.knowledge.nnz:,} computed from these" in card
        assert f"| ASCT+B | {sources[0]['weights']:,} | CC BY 4.0 (HuBMAP) | accordion " in card
        assert remark in card
    lyz = loaded.vocabulary.symbol.tolist().index("LYZ")
    assert load_checkpoint(chosen).signatures.knowledge[:, [lyz]].nnz == 0
    assert head.knowledge[:, [lyz]].nnz == 1
    tissues = [load_checkpoint(folder).facts["type_places"][B_CELL][""] for folder in (chosen, every)]
    assert tissues[1] - tissues[0] == 1


def test_signatures_do_not_change_what_the_encoders_learn_and_are_the_same_each_time(learning):
    with_them, again, without = (
        pretrain(learning(name, signatures=wanted)) for name, wanted in (("a", True), ("b", True), ("c", False))
    )
    assert read_log(with_them.log) == read_log(without.log)
    one, other, none = (load_checkpoint(run.model) for run in (with_them, again, without))
    state, plain = one.model.state_dict(), none.model.state_dict()
    assert all(torch.equal(state[name], plain[name]) for name in state)
    assert none.signatures is None
    assert one.facts["signatures_sha256"] == other.facts["signatures_sha256"]
    assert one.facts["calibration"] == other.facts["calibration"]


def test_types_left_out_as_cells_are_known_from_books_alone(learning):
    run = pretrain(learning(split={"validation": 0.1, "leave_types": [B_CELL]}))
    head = load_checkpoint(run.model).signatures
    assert head.cells[head.types.index(B_CELL)].nnz == 0
    assert head.knowledge[head.types.index(B_CELL)].nnz > 0


def test_without_marker_tables_the_cells_alone_are_remembered(learning):
    head = load_checkpoint(pretrain(learning(knowledge=None)).model).signatures
    assert head.knowledge.nnz == 0
    assert PLASMA_CELL not in head.types
    assert (np.diff(head.cells.indptr) > 0).all()
