"""Ledger: durable storage of answers, one run at a time."""

import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.descriptions.llm_cache import (
    Budget,
    BudgetExceeded,
    CachedResponse,
    LLMRequest,
    NotBilled,
    RequestCache,
    RequestCost,
    Spending,
)
from okrcell.errors import InputError

NO_LIMIT = Budget()
WORST = RequestCost(1000, 0.5)


def request(key: str = "a") -> LLMRequest:
    return LLMRequest(key, "m", "short-1", "http://localhost", "[]")


def pay(ledger: RequestCache, key: str, paid: CachedResponse | None = None, budget: Budget = NO_LIMIT) -> None:
    with ledger.open_request(request(key), WORST, budget) as call:
        call.commit(paid or CachedResponse(f"answer to {key}", 10, 5, 0.01))


def test_an_answer_is_found_again_by_the_next_run(tmp_path):
    with RequestCache(tmp_path / "ledger") as ledger:
        assert ledger.get("a") is None
        pay(ledger, "a")
        assert ledger.get("a") == "answer to a"
        spent = ledger.spending()
    with RequestCache(tmp_path / "ledger") as ledger:
        assert ledger.get("a") == "answer to a"
        assert ledger.spending() == spent == Spending(1, 10, 5, 0.01)


def test_an_answer_is_on_disk_when_paid_returns(tmp_path):
    path = tmp_path / "ledger"
    with RequestCache(path) as ledger, ledger.open_request(request(), WORST, NO_LIMIT) as call:
        call.commit(CachedResponse("the whole answer", 1, 1))
        copy = tmp_path / "copy"
        for name in ("", "-wal"):
            (tmp_path / f"copy{name}").write_bytes((tmp_path / f"ledger{name}").read_bytes())
    with RequestCache(copy) as killed:
        assert killed.get("a") == "the whole answer"


def test_a_request_on_its_way_at_the_end_of_a_run_counts_as_perhaps_billed(tmp_path):
    with RequestCache(tmp_path / "ledger") as ledger, ledger.open_request(request(), WORST, NO_LIMIT):
        for name in ("", "-wal"):
            (tmp_path / f"copy{name}").write_bytes((tmp_path / f"ledger{name}").read_bytes())
        assert ledger.spending() == Spending()
    with RequestCache(tmp_path / "copy") as killed:
        assert killed.spending() == Spending(unconfirmed=WORST)
        assert killed.is_unconfirmed("a")


def test_only_what_may_have_been_billed_is_in_doubt(tmp_path):
    with RequestCache(tmp_path / "ledger") as ledger:
        for error in (NotBilled("refused"), ValueError("cut")):
            with pytest.raises(type(error)), ledger.open_request(request(str(error)), WORST, NO_LIMIT):
                raise error
        assert ledger.is_unconfirmed("cut")
        assert not ledger.is_unconfirmed("refused")
        assert ledger.spending() == Spending(unconfirmed=WORST)


def test_no_key_has_two_paid_answers(tmp_path):
    with RequestCache(tmp_path / "ledger") as ledger:
        pay(ledger, "a")
        with pytest.raises(InputError, match="UNIQUE"):
            pay(ledger, "a")
        assert ledger.get("a") == "answer to a"
        assert ledger.spending().calls == 1


def test_two_runs_cannot_hold_one_ledger(tmp_path):
    with RequestCache(tmp_path / "ledger") as ledger:
        with pytest.raises(InputError, match="in use by another run"):
            RequestCache(tmp_path / "ledger", wait=0.05)
        pay(ledger, "a")
    with RequestCache(tmp_path / "ledger", wait=0.05) as ledger:
        assert ledger.get("a")


def test_what_is_no_ledger_is_refused_and_left_as_it_is(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, and long enough to be read as one" * 50)
    other = tmp_path / "other.sqlite"
    disk = sqlite3.connect(other)
    disk.execute("CREATE TABLE cells (name)")
    disk.close()
    before = [file.read_bytes() for file in (text, other)]
    for path, message in (
        (text, "no ledger, or is damaged"),
        (other, "a database of another program"),
        (tmp_path / "nowhere" / "ledger", "no folder"),
        (tmp_path, "Cannot use"),
    ):
        with pytest.raises(InputError, match=message) as refused:
            RequestCache(path)
        assert "\n" not in str(refused.value)
    assert text.read_bytes() == before[0]
    disk = sqlite3.connect(other)
    assert disk.execute("SELECT name FROM sqlite_master").fetchall() == [("cells",)]
    disk.close()


@pytest.mark.parametrize("pragma", ["user_version = 3", "application_id = 7", "journal_mode = WAL"])
def test_not_a_byte_of_another_programs_database_is_changed(tmp_path, pragma):
    other = tmp_path / "other.sqlite"
    disk = sqlite3.connect(other)
    disk.execute(f"PRAGMA {pragma}")
    disk.execute("CREATE TABLE cells (name)")
    disk.commit()
    disk.close()
    before = other.read_bytes()
    with pytest.raises(InputError, match="a database of another program"):
        RequestCache(other)
    assert other.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["other.sqlite"]


def test_a_ledger_of_another_layout_is_not_touched(tmp_path):
    RequestCache(tmp_path / "ledger").close()
    disk = sqlite3.connect(tmp_path / "ledger")
    disk.execute("PRAGMA user_version = 7")
    disk.close()
    with pytest.raises(InputError, match="layout 7"):
        RequestCache(tmp_path / "ledger")


def test_a_damaged_ledger_is_one_line(tmp_path):
    path = tmp_path / "ledger"
    with RequestCache(path) as ledger:
        for number in range(50):
            pay(ledger, f"{number}", CachedResponse("long " * 500, 1, 1))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        RequestCache(path)


@given(
    limit=st.integers(0, 6000),
    fates=st.lists(st.tuples(st.sampled_from(["paid", "free", "lost"]), st.integers(1, 1000)), max_size=15),
)
def test_whatever_happens_no_more_than_the_budget_is_spent(limit, fates):
    budget = Budget(tokens=limit)
    truly_billed = 0
    with RequestCache(":memory:") as ledger:
        for number, (fate, tokens) in enumerate(fates):
            left = limit - ledger.spending().max_cost.tokens
            try:
                with ledger.open_request(request(str(number)), WORST, budget) as call:
                    if fate == "free":
                        raise NotBilled
                    truly_billed += tokens
                    if fate == "lost":
                        raise TimeoutError
                    call.commit(CachedResponse("", tokens, 0))
            except (NotBilled, TimeoutError):
                pass
            except BudgetExceeded:
                assert left < WORST.tokens
            assert truly_billed <= ledger.spending().max_cost.tokens <= limit


def test_the_budget_waits_for_what_is_on_its_way_before_it_ends_a_run(tmp_path):
    budget = Budget(tokens=1500)
    with RequestCache(tmp_path / "ledger") as ledger:
        with ledger.open_request(request("a"), WORST, budget) as call:
            second = threading.Thread(target=pay, args=(ledger, "b", None, budget))
            second.start()
            second.join(0.05)
            assert second.is_alive()
            call.commit(CachedResponse("", 100, 0))
        second.join(5)
        assert ledger.get("b")


def test_it_learns_what_answers_usually_take(tmp_path):
    with RequestCache(tmp_path / "ledger") as ledger:
        assert ledger.average_usage("m", "short-1").completion_tokens is None
        pay(ledger, "a", CachedResponse("", 1, 10))
        pay(ledger, "b", CachedResponse("", 1, 20))
        usual = ledger.average_usage("m", "short-1")
        assert (usual.characters_per_token, usual.completion_tokens) == (2.0, 15.0)
        assert ledger.average_usage("m", "essay-1").completion_tokens is None
