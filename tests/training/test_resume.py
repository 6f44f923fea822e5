"""A run that is killed goes on to the same numbers, bit for bit."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from okrcell.errors import CheckpointError, InputError
from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.objective import ObjectiveSettings
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.state import (
    ResumePoint,
    StepRecord,
    TrainState,
    read_resume_point,
    restore_resume_point,
    save_resume_point,
)

RUN = """
import json, sys
from okrcell.settings import parse_settings
from okrcell.training.pretrain import pretrain
from okrcell.training.settings import PretrainSettings
pretrain(parse_settings(PretrainSettings, json.loads(sys.argv[1]), "test"), resume=sys.argv[2] == "resume")
"""
BASE_SETTINGS = {
    "schedule": {"steps": [14, 14], "warmup": 0.1, "decay": "cosine"},
    "stream": {"balance": 0.5, "min_gene_fraction": 0.3},
}
ROBUST = {
    "preset": "improved",
    "bank": {"size": 100, "momentum": 0.9},
    "reliability": {"recorded_from": 1, "visits_per_epoch": 0.2},
}
"""All that has a memory: twins, banks that wrap, and a table over seven epochs, so that stability has its say."""


def start(settings):
    resume = (settings.output / "latest").exists() or (settings.output / ".latest.old").exists()
    settings_json = json.dumps(settings.model_dump(mode="json"))
    return subprocess.Popen(
        [sys.executable, "-c", RUN, settings_json, "resume" if resume else "anew"], stderr=subprocess.PIPE, text=True
    )


def run_and_kill(settings, after):
    """Start or go on, and kill the process once ``after`` more lines are in its log; return how it ended."""
    log = settings.output / "log.jsonl"
    process = start(settings)
    try:
        deadline = time.monotonic() + 120
        begun = None
        while process.poll() is None and time.monotonic() < deadline:
            lines = log.read_text().count("\n") if log.exists() else 0
            begun = min(lines, lines if begun is None else begun)
            if lines >= begun + after:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.002)
    finally:
        process.kill()
    _, errors = process.communicate()
    return process.returncode, errors


def finish(settings):
    process = start(settings)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors


def compare(broken, unbroken):
    assert read_log(broken.output / "log.jsonl") == read_log(unbroken.log)
    one, other = (load_file(folder / "weights.safetensors") for folder in (broken.output / "model", unbroken.model))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    # What is remembered too: banks, twins, the table of trust, chance.
    one, other = (load_file(run / "latest" / "state.safetensors") for run in (broken.output, unbroken.log.parent))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    if unbroken.reliability is not None:
        table = pd.read_parquet(broken.output / "reliability.parquet")
        pd.testing.assert_frame_equal(table, pd.read_parquet(unbroken.reliability), check_exact=True)
        assert table["wrong"].any()


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param(ROBUST, id="robust"),
        pytest.param({}, id="control", marks=pytest.mark.slow),
        pytest.param({"preset": "faithful", "bank": {"size": 50}}, id="faithful", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_in_each_stage_ends_with_the_numbers_of_an_unbroken_one(run_settings, objective):
    changes = {**BASE_SETTINGS, "objective": objective, "noise": {"kind": "shuffled", "rate": 0.3}}
    unbroken = pretrain(run_settings(changes, output="unbroken"))
    broken = run_settings(changes, output="broken")
    rng = random.Random(5)
    for after in (rng.randint(5, 12), rng.randint(8, 13)):
        ended, errors = run_and_kill(broken, after)
        assert ended == -signal.SIGKILL, errors
        assert not (broken.output / "model").exists()
    finish(broken)
    compare(broken, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "latent"])
def test_a_run_killed_again_and_again_at_any_moment_ends_with_the_same_numbers(run_settings, kind):
    changes = {
        **BASE_SETTINGS,
        "model": {"cell_encoder": {"kind": kind}, "text_encoder": {"adapt": "last_block", "pooling": "first"}},
        "save_every": 2,
        "objective": {**ROBUST, "partners": {"same_type": "masked"}},
        "noise": {"kind": "shuffled", "rate": 0.3},
    }
    unbroken = pretrain(run_settings(changes, output="unbroken"))
    broken = run_settings(changes, output="broken")
    rng = random.Random(kind)
    for _ in range(8):
        ended, errors = run_and_kill(broken, rng.randint(1, 7))
        assert ended in (-signal.SIGKILL, 0), errors
    finish(broken)
    compare(broken, unbroken)


def taught(steps, seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    model[0].bias.requires_grad_(requires_grad=False)
    model.dim = 4
    optimiser = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=0.1)
    memory = TrainState(model, ObjectiveSettings(preset="faithful", bank={"size": 5}), 6, 3, torch.device("cpu"))
    teach(model, optimiser, memory, steps)
    return model, optimiser, memory


def teach(model, optimiser, memory, steps):
    for step in range(steps):
        model(torch.ones(2, 3)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        vectors, rows, r = torch.randn(2, 4), torch.tensor([step % 6, 5]), torch.rand(2)
        memory.update(
            StepRecord(PairEmbeddings(vectors, -vectors, rows), rows, r, r / 2, reliability_active=True), model, epoch=2
        )


def test_weights_optimiser_memory_and_chance_come_back_as_they_were(tmp_path):
    model, optimiser, memory = taught(5)
    save_resume_point(tmp_path / "latest", ResumePoint(5, {"seed": 0}, "abc"), model, optimiser, memory)
    teach(model, optimiser, memory, 4)
    other, its_optimiser, its_memory = taught(0)
    torch.manual_seed(99)
    restore_resume_point(tmp_path / "latest", other, its_optimiser, its_memory)
    teach(other, its_optimiser, its_memory, 4)
    assert read_resume_point(tmp_path / "latest") == ResumePoint(5, {"seed": 0}, "abc")
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    state, restored_state = memory.state_dict(), its_memory.state_dict()
    assert state.keys() == restored_state.keys()
    assert all(torch.equal(state[name], restored_state[name]) for name in state)


def test_a_position_of_another_model_is_refused(tmp_path):
    from okrcell.errors import CheckpointError

    save_resume_point(tmp_path / "latest", ResumePoint(5, {}, ""), *taught(2))
    other = torch.nn.Linear(7, 1)
    with pytest.raises(CheckpointError, match="is damaged"):
        restore_resume_point(tmp_path / "latest", other, torch.optim.AdamW(other.parameters()), taught(0)[2])


def test_a_position_without_its_memory_is_refused(tmp_path):
    from okrcell.errors import CheckpointError

    model, optimiser, memory = taught(2)
    save_resume_point(tmp_path / "latest", ResumePoint(2, {}, ""), model, optimiser, memory)
    path = tmp_path / "latest" / "state.safetensors"
    save_file({name: each for name, each in load_file(path).items() if name != "memory.bank.pushed"}, path)
    with pytest.raises(CheckpointError, match="is damaged"):
        restore_resume_point(tmp_path / "latest", *taught(0))


@pytest.mark.slow
def test_two_processes_share_a_run_and_it_is_resumed(run_settings, tmp_path):
    changes = {
        "compute": {"devices": 2, "strategy": "ddp"},
        "stream": {"batch_size": 16},
        "schedule": {"steps": [3, 3]},
        "objective": {**ROBUST, "bank": {"size": 40}},
    }
    settings = run_settings({**changes, "save_every": 2})
    # Each process starts the script anew, so there must be one.
    script = tmp_path / "run.py"
    script.write_text(RUN)
    settings_json = json.dumps(settings.model_dump(mode="json"))
    for how in ("anew", "resume"):
        command = [sys.executable, script, settings_json, how]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
        assert ended.returncode == 0, ended.stderr
    steps = [line["step"] for line in read_log(settings.output / "log.jsonl") if "total" in line]
    assert steps == list(range(6))


def test_a_run_killed_before_its_first_checkpoint_is_started_anew(run_settings):
    settings = run_settings({"schedule": {"steps": [1, 0]}})
    settings.output.mkdir()
    # What such runs leave: an empty log (before 0.2, the log was made first), and a draft of the checkpoint.
    (settings.output / "log.jsonl").touch()
    draft = settings.output / ".latest.0123abcd"
    draft.mkdir()
    with pytest.raises(CheckpointError, match=r"Start it anew, without --resume"):
        pretrain(settings, resume=True)
    assert pretrain(settings).steps == 1
    assert not draft.exists()
    (settings.output / "log.jsonl").write_text("a log of something else\n")
    for folder in ("latest", "model"):
        shutil.rmtree(settings.output / folder)
    with pytest.raises(InputError, match=r"contains a log\.jsonl but no run"):
        pretrain(settings)
