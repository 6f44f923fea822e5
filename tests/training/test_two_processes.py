"""Two processes with a half of the pairs each learn what one process learns from all of them."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
import two_devices
from safetensors.torch import load_file

from okrcell.errors import SettingsError
from okrcell.training import setup as start

OBJECTIVES = {
    "info_nce": {"preset": "control"},
    "siglip": {"preset": "control", "alignment": "sigmoid"},
    "faithful": {"preset": "faithful", "bank": {"size": 50, "momentum": 0.7}, "type_weight": 0.5},
    "improved": {
        "preset": "improved",
        "bank": {"size": 50, "momentum": 0.7, "positive_key": "momentum"},
        "reliability": {"embeddings": "ema", "recorded_from": 1},
    },
}
OF_EACH_DEVICE = ("loss.gene", "loss.cell", "loss.cell_type", "loss.total")
"""Parts of which a device knows its own cells' only: their mean over devices is what one device finds."""
CHANGES = {
    "stream": {"batch_size": 12, "seed": 4},
    "model": {"cell_encoder": {"dropout": 0.0}},
    "schedule": {"steps": [3, 2]},
}


def begun(rank, folder):
    """Start one of the two at once, instead of letting the first start the second."""
    place = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(folder)}
    command = [sys.executable, two_devices.__file__, folder]
    return subprocess.Popen(command, env={**os.environ, **place, **meeting}, stderr=subprocess.PIPE, text=True)


def free_port(folder):
    """Find a door where they can meet, the same for both."""
    note = folder / "port"
    if not note.exists():
        with socket.create_server(("127.0.0.1", 0)) as server:
            note.write_text(str(server.getsockname()[1]))
    return note.read_text()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What the two processes found, by objective; all of it in one start of theirs."""
    folder, found = tmp_path_factory.mktemp("two"), {}

    def of(name, run_settings):
        if not found:
            run_configs = {
                each: run_settings({**CHANGES, "objective": chosen, "compute": {"devices": 2, "strategy": "ddp"}})
                for each, chosen in OBJECTIVES.items()
            }
            run_values = {each: settings.model_dump(mode="json") for each, settings in run_configs.items()}
            (folder / "runs.json").write_text(json.dumps(run_values))
            both = [begun(rank, folder) for rank in (0, 1)]
            for process in both:
                _, errors = process.communicate(timeout=600)
                assert process.returncode == 0, errors
            for each in OBJECTIVES:
                found[each] = [load_file(folder / f"{each}.{rank}.safetensors") for rank in (0, 1)]
        return found[name]

    return of


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_processes_give_the_gradients_of_one(runs, run_settings, name):
    halves = runs(name, run_settings)
    _, whole = two_devices.taken(run_settings({**CHANGES, "objective": OBJECTIVES[name]}))
    # The halves are uneven: in hidden genes, and in pairs that have a text.
    for what in ("hidden", "paired"):
        assert any(
            halves[0][f"{step}.{what}"] != halves[1][f"{step}.{what}"] for step in range(len(two_devices.MOMENTS))
        )
    for key, expected in whole.items():
        one, other = (half[key] for half in halves)
        if ".gradient." in key or key.startswith("memory."):
            assert torch.equal(one, other), key
            assert torch.allclose(one, expected, rtol=1e-3, atol=1e-5), key
        elif key.endswith(OF_EACH_DEVICE):
            assert torch.allclose((one + other) / 2, expected, rtol=1e-4, atol=1e-5), key
        elif ".loss." in key:
            assert torch.allclose(one, expected, rtol=1e-4, atol=1e-5), key
    assert any(".gradient." in key and bool(tensor.any()) for key, tensor in whole.items())


def test_pairs_of_both_processes_are_remembered(runs, run_settings):
    for half in runs("faithful", run_settings):
        assert half["memory.bank.pushed"] == sum(
            each[f"{step}.paired"]
            for each in runs("faithful", run_settings)
            for step in range(len(two_devices.MOMENTS))
        )
        assert (half["memory.table.visits"].sum(dim=0) > 12).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("objective", [{"preset": "faithful"}, {"preset": "control", "bank": {"size": 9}}])
def test_what_is_remembered_is_not_left_to_each_device_alone(run_settings, monkeypatch, objective):
    class Two:
        world_size = 2

        def __init__(self, **_):
            pass

        def launch(self):
            pass

    monkeypatch.setattr(start, "Fabric", Two)
    apart = {"compute": {"gather": False}}
    with pytest.raises(SettingsError, match=r"compute\.gather is false"):
        start.launch_fabric(run_settings({**apart, "objective": objective}))
    assert start.launch_fabric(run_settings(apart)).world_size == 2
    assert start.launch_fabric(run_settings({"objective": objective})).world_size == 2
