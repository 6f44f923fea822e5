"""A run that is killed goes on to the same numbers, bit for bit."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.resume import Position, load_position, restore_position, save_position

RUN = """
import json, sys
from okrcell.settings import parse_settings
from okrcell.training.pretrain import pretrain
from okrcell.training.settings import PretrainSettings
pretrain(parse_settings(PretrainSettings, json.loads(sys.argv[1]), "test"), resume=sys.argv[2] == "resume")
"""
SOME = {
    "schedule": {"steps": [14, 14], "warmup": 0.1, "decay": "cosine"},
    "stream": {"balance": 0.5, "fewest_genes": 0.3},
}


def start(settings):
    resume = (settings.output / "latest").exists() or (settings.output / ".latest.old").exists()
    told = json.dumps(settings.model_dump(mode="json"))
    return subprocess.Popen(
        [sys.executable, "-c", RUN, told, "resume" if resume else "anew"], stderr=subprocess.PIPE, text=True
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


def test_a_run_killed_in_each_stage_ends_with_the_numbers_of_an_unbroken_one(run_settings):
    unbroken = pretrain(run_settings(SOME, output="unbroken"))
    broken = run_settings(SOME, output="broken")
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
        **SOME,
        "model": {"cell_encoder": {"kind": kind}, "text_encoder": {"adapt": "last_block", "pooling": "first"}},
        "save_every": 2,
        "objective": {"partners": "masked"},
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
    optimiser = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=0.1)
    teach(model, optimiser, steps)
    return model, optimiser


def teach(model, optimiser, steps):
    for _ in range(steps):
        model(torch.ones(2, 3)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()


def test_weights_optimiser_and_chance_come_back_as_they_were(tmp_path):
    model, optimiser = taught(5)
    save_position(tmp_path / "latest", Position(5, {"seed": 0}, "abc"), model, optimiser)
    teach(model, optimiser, 4)
    other, its_optimiser = taught(0)
    torch.manual_seed(99)
    restore_position(tmp_path / "latest", other, its_optimiser)
    teach(other, its_optimiser, 4)
    assert load_position(tmp_path / "latest") == Position(5, {"seed": 0}, "abc")
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_position_of_another_model_is_refused(tmp_path):
    from okrcell.errors import CheckpointError

    save_position(tmp_path / "latest", Position(5, {}, ""), *taught(2))
    other = torch.nn.Linear(7, 1)
    with pytest.raises(CheckpointError, match="is damaged"):
        restore_position(tmp_path / "latest", other, torch.optim.AdamW(other.parameters()))


@pytest.mark.slow
def test_two_processes_share_a_run_and_it_is_resumed(run_settings, tmp_path):
    changes = {
        "compute": {"devices": 2, "strategy": "ddp"},
        "stream": {"batch_size": 16},
        "schedule": {"steps": [3, 3]},
    }
    settings = run_settings({**changes, "save_every": 2})
    # Each process starts the script anew, so there must be one.
    script = tmp_path / "run.py"
    script.write_text(RUN)
    told = json.dumps(settings.model_dump(mode="json"))
    for how in ("anew", "resume"):
        command = [sys.executable, script, told, how]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
        assert ended.returncode == 0, ended.stderr
    steps = [line["step"] for line in read_log(settings.output / "log.jsonl") if "total" in line]
    assert steps == list(range(6))
