"""Knowledge takes part in learning, and what is remembered stays that of measured cells."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from okrcell.errors import InputError, SettingsError
from okrcell.model.checkpoint import load_checkpoint
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.setup import RunInputs

B_CELL, T_CELL, PLASMA_CELL = "CL:0000236", "CL:0000084", "CL:0000786"
GENES = {B_CELL: "CD79A CD79B MS4A1 CD74", T_CELL: "CD3D CD3E IL32 CD7", PLASMA_CELL: "IGJ MZB1 SSR4 TNFRSF17"}
NAMED = ("CD79A", "MS4A1", "CD3D", "CD3E", "MZB1", "LYZ")
"""Genes whose names are written."""
WHOLE = {
    "preset": "improved",
    "type_weight": 1.0,
    "bank": {"size": 40},
    "reliability": {"recorded_from": 1, "visits_per_epoch": 0.1},
}


@pytest.fixture
def folder(tmp_path):
    """Marker tables that tell of three types, and names of genes."""
    place = tmp_path / "knowledge"
    place.mkdir()
    rows = [f"Human,{kind},{gene},positive,ASCT+B" for kind, genes in GENES.items() for gene in genes.split()]
    by_type = "\n".join(["species,CL_ID,marker,marker_type,resources", *rows])
    (place / "cellmarker_accordion_by_cl.csv.gz").write_text(by_type, encoding="utf-8")
    (place / "cellmarker_accordion_healthy.csv.gz").write_text(
        "species,CL_ID,marker,marker_type,Uberon_ID,resource\n", encoding="utf-8"
    )
    genes = [f"ENSG{number},{gene},the {gene} gene,{number}," for number, gene in enumerate(NAMED)]
    (place / "human_genes.csv.gz").write_text(
        "\n".join(["ensembl_id,Approved symbol,name,Entrez,refseq_summary", *genes]), encoding="utf-8"
    )
    return place


@pytest.fixture
def knowing(run_settings, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))

    def made(changes=None, output="run", **knowledge):
        knowledge_settings = {"folder": str(folder), "share": 0.25, "gene_start": False, **knowledge}
        return run_settings({"knowledge": knowledge_settings, **(changes or {})}, output)

    return made


def numbers(trained):
    return read_log(trained.log), load_file(trained.model / "weights.safetensors")


def test_knowledge_without_a_share_changes_nothing(run_settings, knowing):
    log, weights = numbers(pretrain(run_settings(output="none")))
    its_log, its_weights = numbers(pretrain(knowing(output="no share", share=0.0)))
    assert log == its_log
    assert all(torch.equal(weights[name], its_weights[name]) for name in weights)
    assert log != numbers(pretrain(knowing(output="with")))[0]


def test_what_is_remembered_is_of_measured_cells_alone(knowing):
    settings = knowing({"objective": WHOLE})
    ground = RunInputs.from_settings(settings)
    trained = pretrain(settings, inputs=ground)
    table = pd.read_parquet(trained.reliability)
    np.testing.assert_array_equal(
        np.sort(table["row"]), ground.partition.train[ground.pairs.has_text[ground.partition.train]]
    )
    assert all(np.isfinite(list(line.values())).all() for line in read_log(trained.log))


def test_a_broken_run_with_knowledge_goes_on_to_the_same_numbers(knowing, monkeypatch):
    from okrcell.training import pretrain as loop

    whole, broken = (knowing({"objective": WHOLE}, output=name) for name in ("whole", "broken"))
    save = loop.save_resume_point

    def saved(path, position, *rest):
        save(path, position, *rest)
        if position.step == 6:
            # What a run that was killed now would leave.
            shutil.copytree(whole.output, broken.output)

    monkeypatch.setattr(loop, "save_resume_point", saved)
    log, weights = numbers(pretrain(whole))
    its_log, its_weights = numbers(pretrain(broken, resume=True))
    assert log == its_log
    assert all(torch.equal(weights[name], its_weights[name]) for name in weights)


def test_a_run_does_not_go_on_with_other_knowledge(knowing, folder):
    pretrain(knowing())
    file = folder / "cellmarker_accordion_by_cl.csv.gz"
    file.write_text(file.read_text(encoding="utf-8") + "\nHuman,CL:0000236,CD19,positive,another", encoding="utf-8")
    with pytest.raises(InputError, match="knowledge files have changed"):
        pretrain(knowing(), resume=True)


def test_other_knowledge_needs_another_ground(knowing, run_settings):
    with pytest.raises(SettingsError, match="knowledge"):
        RunInputs.from_settings(run_settings()).check_compatible(knowing())


def test_genes_start_from_what_is_written_of_them(knowing, run_settings):
    ground = RunInputs.from_settings(knowing(gene_start=True))
    is_marker = np.isin(ground.vocabulary.symbol, NAMED)
    torch.manual_seed(0)
    one = ground.new_model(ground.settings.model).cell_encoder.tokens.gene.weight
    torch.manual_seed(1)
    other = ground.new_model(ground.settings.model).cell_encoder.tokens.gene.weight
    assert is_marker.sum() == 6
    assert torch.equal(one, other)
    torch.testing.assert_close(one[1:], torch.from_numpy(ground.gene_init))
    assert RunInputs.from_settings(run_settings()).gene_init is None


def test_types_left_out_as_cells_are_not_seen_and_their_words_are_learned(knowing):
    settings = knowing({"split": {"validation": 0.2, "leave_types": [T_CELL]}})
    ground = RunInputs.from_settings(settings)
    checkpoint = load_checkpoint(pretrain(settings, inputs=ground).model)
    seen = checkpoint.facts["seen"]["cell_types"]
    assert B_CELL in seen
    assert not {T_CELL, "CL:0000625", "CL:0000815"} & set(seen)
    assert T_CELL in ground.knowledge_pairs.types


def test_where_there_is_no_knowledge_it_is_said_what_is_missing(knowing, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cellmarker_accordion_by_cl"):
        pretrain(knowing(folder=str(tmp_path / "empty")))
