"""A writer killed at any moment loses nothing and pays nothing twice."""

import multiprocessing
import random
import signal
import sqlite3
import time

import pytest
from fake_endpoint import Billing, FakeEndpoint
from writing_process import CONCURRENCY, write_all

from okrcell.descriptions.llm_cache import RequestCache

KILLS = 10
COUNT = 150


def killed_until_done(server: FakeEndpoint, path, when_lost: str) -> None:
    """Start the writer, kill it at a random moment, ten times; then let it end."""
    processes = multiprocessing.get_context("forkserver")
    loaded = ["writing_process", "openai", "okrcell.descriptions.llm_writer", "okrcell.descriptions.llm_client"]
    processes.set_forkserver_preload(loaded)
    chance = random.Random(0)
    for kill in range(KILLS):
        process = processes.Process(target=write_all, args=(server.url, str(path), COUNT, when_lost))
        seen = len(server.requests)
        process.start()
        deadline = time.monotonic() + 30
        # Some kills come at any moment of the start, most while answers are on their way.
        while kill % 4 and len(server.requests) == seen and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.06 if kill % 4 else 0.2))
        assert process.is_alive(), "it was done, or failed, before it could be killed"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    last = processes.Process(target=write_all, args=(server.url, str(path), COUNT, when_lost))
    last.start()
    last.join(60)
    assert last.exitcode == 0


def answers_in(path) -> dict[str, str]:
    with RequestCache(path):
        pass  # takes in what a write-ahead log holds
    disk = sqlite3.connect(path)
    found = dict(disk.execute("SELECT key, answer FROM call WHERE state = 'answered'").fetchall())
    disk.close()
    return found


@pytest.mark.parametrize(
    ("replays", "when_lost"),
    [(True, "ask_again"), (False, "ask_again"), (False, "leave")],
    ids=["keys heeded", "keys ignored", "keys ignored and nothing asked again"],
)
def test_ten_kills_lose_nothing_and_pay_nothing_twice(tmp_path, replays, when_lost):
    path = tmp_path / "ledger.sqlite"
    chance = random.Random(1)
    billing = Billing([chance.uniform(0.002, 0.03) for _ in range(97)], replays)
    with FakeEndpoint(then=billing) as server:
        killed_until_done(server, path, when_lost)
        repeated = len(server.keys) - len(set(server.keys))
        paid_twice = sum(times - 1 for times in billing.billed.values())
        answered = set(answers_in(path))
        assert answered <= set(server.keys)
        if when_lost == "leave":
            assert repeated == paid_twice == 0
            assert COUNT - KILLS * CONCURRENCY <= len(answered) < COUNT
        else:
            assert len(answered) == len(set(server.keys)) == COUNT
            assert paid_twice <= (0 if replays else repeated)
            assert 0 < repeated <= KILLS * CONCURRENCY
        requests_before = len(server.keys)
        write_all(server.url, str(path), COUNT, when_lost)
        assert len(server.keys) == requests_before, "a second run makes no call"
        with RequestCache(path) as ledger:
            spent = ledger.spending()
        assert spent.calls == len(answered)
        # Every billed request is in the ledger, as answered or as doubtful.
        assert sum(billing.billed.values()) * 120 <= spent.max_cost.tokens
