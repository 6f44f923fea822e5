"""`okrcell enrich` killed at random moments: no answer is lost, none is paid twice."""

import random
import subprocess
import sys
import time

import anndata
import numpy as np
import pandas as pd
import pytest
from fake_endpoint import Billing, FakeEndpoint

from okrcell.descriptions.description import load_descriptions
from okrcell.errors import InputError

pytestmark = pytest.mark.slow
KILLS, PROFILES, CONCURRENCY = 10, 120, 8


def test_enrich_killed_ten_times_ends_with_every_description_and_pays_no_call_twice(tmp_path):
    obs = pd.DataFrame({"cell_type": [f"kind {number}" for number in range(PROFILES)], "tissue": "blood"})
    anndata.AnnData(np.ones((PROFILES, 1), dtype=np.float32), obs=obs.set_axis(obs.index.astype(str))).write_h5ad(
        tmp_path / "cells.h5ad"
    )
    (tmp_path / "enrich.yaml").write_text("screening: {threshold: -1.0, sentences: false}\n")
    chance = random.Random(0)
    billing = Billing([chance.uniform(0.2, 0.6) for _ in range(97)], replays=True)
    with FakeEndpoint(then=billing) as server:
        command = [
            *(sys.executable, "-m", "okrcell", "enrich", "cells.h5ad", "-o", "d.parquet", "--sources", "ontologies"),
            *("--config", "enrich.yaml", "--llm", "m", "--base-url", server.url),
        ]
        for kill in range(KILLS):
            seen = len(server.requests)
            with subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                deadline = time.monotonic() + 60
                # Some kills come at any moment of the start, most while answers are on their way.
                while (
                    kill % 3 and len(server.requests) == seen and time.monotonic() < deadline and process.poll() is None
                ):
                    time.sleep(0.01)
                time.sleep(chance.uniform(0, 1.0))
                process.kill()
            try:
                assert len(load_descriptions(tmp_path / "d.parquet").descriptions) == PROFILES
            except InputError as error:
                assert "no file of descriptions" in str(error)  # none at all, or a whole one
        ended = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert max(billing.billed.values()) == 1
        assert len(billing.billed) == PROFILES
        repeated = len(server.keys) - len(set(server.keys))
        assert repeated <= KILLS * CONCURRENCY
        calls = len(server.keys)
        again = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert again.returncode == 0
        assert len(server.keys) == calls, "a second run makes no call"
    descriptions = load_descriptions(tmp_path / "d.parquet").descriptions
    assert [one.profile.label for one in descriptions] == obs["cell_type"].tolist()
    assert {one.outcome for one in descriptions} == {"written"}
    print(f"{repeated} requests repeated over {KILLS} kills, {calls} in all")
