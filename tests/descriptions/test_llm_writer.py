"""Language-model writer against a faulty server: no answer is lost, none is paid twice."""

import gzip
import json
import logging
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_endpoint import (
    GOOD,
    FakeEndpoint,
    completion,
    cuts_the_body,
    drips,
    drips_headers,
    fails,
    hangs_up,
    is_silent,
    says,
    sends,
)

from okrcell.descriptions.llm_cache import BudgetExceeded, RequestCache, RequestCost
from okrcell.descriptions.llm_client import EndpointError
from okrcell.descriptions.llm_prompt import WritingFailed
from okrcell.descriptions.llm_writer import MAX_CONSECUTIVE_FAILURES, EndpointSettings, EndpointWriter
from okrcell.errors import MissingExtraError, OkrcellError, SettingsError
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.settings import parse_settings

B_CELL = CellProfile(cell_type="B cell", cell_type_id="CL:0000236", tissue="blood", label="B cells")
DEFINITION = Evidence("A lymphocyte of B lineage.", "Cell Ontology", "CL:0000236", "2025", "CC BY 4.0", "definition")
KEY = "sk-0123456789abcdefSECRET"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in ("OKRCELL_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ledger(tmp_path):
    with RequestCache(tmp_path / "ledger.sqlite") as held:
        yield held


def settings_for(url: str, **changes) -> EndpointSettings:
    quick = {"model": "m", "base_url": url, "first_wait": 0.01, "retries": 3, "prompt": "short-1"}
    return EndpointSettings(**quick | changes)


def other(number: int) -> CellProfile:
    return CellProfile(label=f"cell {number}", tissue="lung")


def test_each_sentence_holds_the_evidence_it_cites(ledger: RequestCache):
    answer = {
        "sentences": [{"text": "It is a lymphocyte [3].", "evidence": [3, 1]}, {"text": "It flows.", "evidence": [2]}]
    }
    with FakeEndpoint(says(json.dumps(answer))) as server:
        written = EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [DEFINITION])
    first, second = written.sentences
    assert (first.text, second.text) == ("It is a lymphocyte.", "It flows.")
    assert first.evidence[0] is DEFINITION
    assert [piece.record for piece in (*first.evidence, *second.evidence)] == [
        "CL:0000236",
        "profile.cell_type",
        "profile.tissue",
    ]
    assert written.phrasings == ("It is a lymphocyte. It flows.", "B cell: It is a lymphocyte.")
    assert (written.writer, written.prompt, written.outcome) == ("endpoint", "short-1 m", "written")


def test_a_second_run_makes_no_call_and_needs_neither_client_nor_key(tmp_path, monkeypatch):
    with FakeEndpoint() as server:
        with RequestCache(tmp_path / "ledger") as ledger:
            first = EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [DEFINITION])
        monkeypatch.setitem(sys.modules, "openai", None)
        with RequestCache(tmp_path / "ledger") as ledger:
            assert EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [DEFINITION]) == first
            with pytest.raises(MissingExtraError, match="pip install"):
                EndpointWriter(settings_for(server.url), ledger).write(other(1), [])
            assert ledger.spending().unconfirmed == RequestCost()
        assert len(server.requests) == 1


def test_other_evidence_model_or_parameters_are_another_question(ledger: RequestCache):
    with FakeEndpoint() as server:
        for changes, evidence in (({}, [DEFINITION]), ({}, []), ({"model": "n"}, []), ({"temperature": 0}, [])):
            EndpointWriter(settings_for(server.url, **changes), ledger).write(B_CELL, evidence)
        assert len(set(server.keys)) == 4


@pytest.mark.parametrize(
    ("fault", "may_be_billed"),
    [
        (fails(429), False),
        (fails(500), False),
        (fails(503), False),
        (fails(504), True),
        (hangs_up, True),
        (cuts_the_body, True),
        (is_silent(0.6), True),
        (sends(completion(GOOD)[:-30]), True),
        (sends("<html>busy</html>"), True),
        (sends('{"error": {"message": "overloaded", "code": 503}}'), False),
    ],
    ids=["429", "500", "503", "504", "hung up", "cut body", "time-out", "truncated body", "no JSON", "error as 200"],
)
def test_after_a_fault_the_same_question_is_asked_again_under_the_same_key(ledger: RequestCache, fault, may_be_billed):
    with FakeEndpoint(fault) as server:
        writer = EndpointWriter(settings_for(server.url, timeout=0.3), ledger)
        assert writer.write(B_CELL, []).sentences
        assert len(server.requests) == 2
        assert len(set(server.keys)) == 1
        assert server.requests[0].body == server.requests[1].body
        writer.write(B_CELL, [])
        assert len(server.requests) == 2
    spent = ledger.spending()
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (1, 100, 20)
    assert bool(spent.unconfirmed.tokens) == may_be_billed


def test_a_provider_that_replays_takes_the_doubt_away(ledger: RequestCache):
    with FakeEndpoint(cuts_the_body, says(GOOD, Idempotent_Replayed="true")) as server:
        EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [])
    assert ledger.spending().max_cost == RequestCost(120)


def test_what_was_lost_is_not_asked_again_if_one_says_so(ledger: RequestCache):
    with FakeEndpoint(cuts_the_body) as server:
        writer = EndpointWriter(settings_for(server.url, when_lost="leave"), ledger)
        for _ in range(2):
            with pytest.raises(WritingFailed, match="not repeated"):
                writer.write(B_CELL, [])
        assert len(server.requests) == 1


@pytest.mark.parametrize("header", [{"Retry_After": "1"}, {"retry_after_ms": "700"}])
def test_a_server_that_asks_for_patience_gets_it(ledger: RequestCache, header):
    with FakeEndpoint(fails(429, **header)) as server:
        began = time.monotonic()
        EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [])
        assert time.monotonic() - began >= 0.7


def test_a_server_that_asks_for_an_hour_ends_the_run(ledger: RequestCache):
    with FakeEndpoint(fails(429, Retry_After="3600")) as server:
        with pytest.raises(EndpointError, match=r"3600 s.*run again later"):
            EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [])
        assert len(server.requests) == 1


WRONG = {
    "no JSON": ("B cells are nice.", "Invalid JSON"),
    "cut JSON": (GOOD[:-10], "Invalid JSON"),
    "other schema": ('{"text": "B cells are nice."}', "sentences"),
    "more than the schema": ('{"sentences": [{"text": "A.", "evidence": [1], "sure": true}]}', "sure"),
    "no evidence": ('{"sentences": [{"text": "A cell.", "evidence": []}]}', "evidence"),
    "no such evidence": ('{"sentences": [{"text": "A cell.", "evidence": [7]}]}', "numbered 1 to 2"),
    "evidence in words": ('{"sentences": [{"text": "A cell.", "evidence": ["1"]}]}', "evidence"),
    "no words": ('{"sentences": [{"text": "[1]", "evidence": [1]}]}', "no words"),
    "empty": ("", "empty"),
    "nothing": (None, "empty"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_once_and_then_given_up(tmp_path, content, message):
    with FakeEndpoint(then=says(content)) as server:
        for _ in range(2):
            with RequestCache(tmp_path / "ledger") as ledger:
                with pytest.raises(WritingFailed, match=message) as failed:
                    EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [])
                assert failed.value.permanent
                assert ledger.spending().calls == 2
        assert len(server.requests) == len(set(server.keys)) == 2
        first, second = (request.body["messages"][1]["content"] for request in server.requests)
        assert "refused" not in first
        assert message in second.removeprefix(first)


def test_an_answer_that_was_too_long_is_told_so(ledger: RequestCache):
    with FakeEndpoint(says(GOOD[:40], finish="length")) as server:
        assert EndpointWriter(settings_for(server.url), ledger).write(B_CELL, []).sentences
        assert "cut off" in server.requests[1].body["messages"][1]["content"]


def refuses(*forms: str):
    def behaviour(exchange):
        good = exchange.request_seen.form not in forms
        (says(GOOD) if good else fails(400, "response_format is not supported"))(exchange)

    return behaviour


@pytest.mark.parametrize("takes", ["json_object", "text"])
def test_a_server_without_schemas_is_asked_more_simply_and_that_is_remembered(tmp_path, takes):
    forms = ["json_schema", "json_object", "text"]
    with FakeEndpoint(then=refuses(*forms[: forms.index(takes)])) as server:
        for number in range(2):
            with RequestCache(tmp_path / "ledger") as ledger:
                EndpointWriter(settings_for(server.url), ledger).write(other(number), [])
                assert ledger.spending().unconfirmed == RequestCost()
        assert [request.form for request in server.requests] == [*forms[: forms.index(takes) + 1], takes]
        assert len(set(server.keys)) == len(server.keys)


def test_a_request_that_no_form_makes_good_is_a_failure_of_that_profile_only(ledger: RequestCache):
    with FakeEndpoint(fails(400, "too long"), fails(400), fails(400)) as server:
        writer = EndpointWriter(settings_for(server.url), ledger)
        with pytest.raises(WritingFailed, match="too long") as failed:
            writer.write(B_CELL, [])
        assert not failed.value.permanent
        assert writer.write(other(1), []).sentences
        assert server.requests[-1].form == "json_schema"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (fails(401, f"bad key {KEY}"), "OKRCELL_API_KEY"),
        (fails(402, "no balance"), "credit"),
        (fails(429, "insufficient_quota"), "credit"),
        (fails(404, f"no model m for {KEY}"), "Check model and base_url"),
        (fails(307, Location="http://127.0.0.1:9/elsewhere"), "does not answer"),
    ],
    ids=["key", "credit", "quota", "model", "redirect"],
)
def test_an_endpoint_that_cannot_be_used_ends_the_run_at_once(ledger: RequestCache, monkeypatch, fault, message):
    monkeypatch.setenv("OKRCELL_API_KEY", KEY)
    with FakeEndpoint(fault) as server:
        with pytest.raises(EndpointError, match=message) as failed:
            EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [])
        assert isinstance(failed.value, OkrcellError)
        assert KEY not in "".join(traceback.format_exception(failed.value))
        assert len(server.requests) == 1
    assert ledger.spending().max_cost == RequestCost()


def test_a_server_that_is_down_ends_the_run_after_some_profiles(ledger: RequestCache):
    with FakeEndpoint() as server:
        url = server.url
    writer = EndpointWriter(settings_for(url, retries=1, concurrency=1), ledger)
    for number in range(MAX_CONSECUTIVE_FAILURES):
        with pytest.raises(WritingFailed, match="no connection"):
            writer.write(other(number), [])
    with pytest.raises(EndpointError, match="none of the last 5 requests"):
        writer.write(other(9), [])
    assert ledger.spending().max_cost == RequestCost()


def test_threads_that_want_the_same_text_make_one_call(ledger: RequestCache):
    with FakeEndpoint() as server, ThreadPoolExecutor(8) as threads:
        writer = EndpointWriter(settings_for(server.url), ledger)
        written = list(threads.map(lambda _: writer.write(B_CELL, []), range(24)))
        assert len(server.requests) == 1
    assert len(set(written)) == 1


def test_the_budget_holds_over_runs_and_nothing_written_is_lost(tmp_path):
    with FakeEndpoint() as server:
        frugal = settings_for(server.url, max_tokens=200, budget_tokens=3000)

        def run(settings: EndpointSettings) -> int:
            with RequestCache(tmp_path / "ledger") as ledger, ThreadPoolExecutor(4) as threads:
                writer = EndpointWriter(settings, ledger)
                futures = [threads.submit(writer.write, other(number), []) for number in range(30)]
                errors = [future.exception() for future in futures]
                assert all(error is None or isinstance(error, BudgetExceeded) for error in errors)
                assert all("raise budget_tokens" in str(error) for error in errors if error)
                budget = settings.budget_tokens
                assert budget is None or ledger.spending().max_cost.tokens <= budget
                return sum(error is None for error in errors)

        done = run(frugal)
        assert 15 <= done < 30
        assert len(server.requests) == done
        assert run(frugal) == done
        assert len(server.requests) == done
        assert run(settings_for(server.url, max_tokens=200)) == 30
        assert len(server.requests) == 30


def test_money_is_counted_at_the_prices_given(ledger: RequestCache):
    with FakeEndpoint() as server:
        priced = settings_for(server.url, price_prompt=2.0, price_completion=10.0, budget_money=0.0405)
        writer = EndpointWriter(priced, ledger)
        writer.write(B_CELL, [])
        assert ledger.spending().money == pytest.approx((100 * 2 + 20 * 10) / 1e6)
        with pytest.raises(BudgetExceeded, match="raise budget_money"):
            EndpointWriter(priced.model_copy(update={"budget_money": 0.001}), ledger).write(other(1), [])


def test_the_estimate_says_how_many_calls_and_learns_from_answers(ledger: RequestCache):
    with FakeEndpoint() as server:
        writer = EndpointWriter(settings_for(server.url, price_prompt=1.0, price_completion=1.0), ledger)
        requests = [(other(number), []) for number in (0, 1, 2, 2)]
        before = writer.estimate([*requests, (CellProfile(), [])])
        assert (before.calls, before.cached, before.completion_tokens) == (3, 0, 3 * 350)
        assert before.money == pytest.approx(before.cost.tokens / 1e6)
        assert not server.requests
        writer.write(*requests[0])
        after = writer.estimate(requests)
        assert (after.calls, after.cached, after.completion_tokens) == (2, 1, 40)
        assert after.prompt_tokens == pytest.approx(200, rel=0.1)


def test_of_a_cell_of_which_nothing_is_known_nothing_is_asked(ledger: RequestCache):
    with FakeEndpoint() as server:
        with pytest.raises(WritingFailed, match="nothing is known"):
            EndpointWriter(settings_for(server.url), ledger).write(CellProfile(), [])
        assert not server.requests


@pytest.mark.parametrize("name", ["OKRCELL_API_KEY", "OPENAI_API_KEY"])
def test_the_key_is_sent_and_stands_nowhere_else(tmp_path, monkeypatch, caplog, name):
    monkeypatch.setenv(name, KEY)
    caplog.set_level(logging.DEBUG)
    echo = says(json.dumps({"sentences": [{"text": f"The key is {KEY}.", "evidence": [1]}]}))
    seen = []
    with FakeEndpoint(fails(500, f"key {KEY}"), echo, fails(400, KEY), fails(400, KEY), fails(400, KEY)) as server:
        ledger = RequestCache(tmp_path / "ledger")
        writer = EndpointWriter(settings_for(server.url), ledger)
        seen.append(repr(writer.write(B_CELL, [])))
        with pytest.raises(WritingFailed) as failed:
            writer.write(other(1), [])
        seen.extend(traceback.format_exception(failed.value))
        seen.extend((repr(writer), repr(vars(writer)), repr(writer.settings), repr(ledger)))
        files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        ledger.close()
        files += [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)
    assert files
    assert not any(KEY.encode() in content for content in files)
    assert KEY not in "".join((*seen, caplog.text))


@pytest.mark.parametrize("key", [KEY, "sk/0123456789/SECRET"])
@pytest.mark.parametrize("escaped", ["-", "/", "all", "twice"])
@pytest.mark.parametrize("status", [200, 400, 404])
def test_the_key_stands_nowhere_when_it_comes_back_escaped(tmp_path, monkeypatch, key, escaped, status):
    monkeypatch.setenv("OKRCELL_API_KEY", key)
    spelt = {
        "-": key.replace("-", "\\u002d"),
        "/": key.replace("/", "\\/"),
        "all": "".join(f"\\u{ord(letter):04X}" for letter in key),
        "twice": key.replace("S", "\\\\u0053"),
    }[escaped]
    answer = completion(json.dumps({"sentences": [{"text": "The key is HERE.", "evidence": [1]}]}))
    body = answer if status == 200 else json.dumps({"error": {"message": "The key is HERE."}})
    body = body.replace("HERE", spelt)
    with (
        FakeEndpoint(then=lambda exchange: exchange.send(status, body)) as server,
        RequestCache(tmp_path / "l") as ledger,
    ):
        writer = EndpointWriter(settings_for(server.url), ledger)
        try:
            seen = repr(writer.write(B_CELL, []))
        except (WritingFailed, EndpointError) as error:
            seen = "".join(traceback.format_exception(error))
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert "[key]" in seen
    for message in (seen, files.decode("utf-8", errors="replace")):
        for spelling in (key, spelt, spelt.replace("\\\\", "\\")):
            assert spelling not in message


@pytest.mark.parametrize("status", [400, 404])
def test_what_the_server_says_can_be_printed_and_saved(ledger: RequestCache, status):
    message = json.dumps({"error": {"message": "bad \ud800 thing \x1b[31mRED\x1b]0;title\x07\u202e."}})
    with FakeEndpoint(then=lambda exchange: exchange.send(status, message)) as server:
        writer = EndpointWriter(settings_for(server.url), ledger)
        with pytest.raises((WritingFailed, EndpointError), match="bad thing") as failed:
            writer.write(B_CELL, [])
    assert str(failed.value).isprintable()
    assert str(failed.value).encode()


@pytest.mark.parametrize("tokens", [10**30, 2**62, 10**9 + 1])
def test_a_use_that_cannot_be_is_not_believed(tmp_path, tokens):
    with FakeEndpoint(says(GOOD, usage=(tokens, 5))) as server:
        for _ in range(2):
            with RequestCache(tmp_path / "ledger") as ledger:
                EndpointWriter(settings_for(server.url), ledger).write(B_CELL, [])
                assert 0 < ledger.spending().prompt_tokens < 10_000


def test_a_server_that_asks_for_ages_is_told_of_in_one_line(ledger: RequestCache):
    with FakeEndpoint(fails(429, Retry_After="1e308")) as server:
        writer = EndpointWriter(settings_for(server.url), ledger)
        with pytest.raises(EndpointError, match="run again later") as failed:
            writer.write(B_CELL, [])
    assert "1e+308 s" in str(failed.value)


def test_a_key_is_not_sent_in_the_clear_over_a_network(ledger: RequestCache, monkeypatch):
    EndpointWriter(settings_for("http://192.0.2.1/v1"), ledger).check_client()
    monkeypatch.setenv("OKRCELL_API_KEY", KEY)
    with pytest.raises(SettingsError, match="unencrypted") as refused:
        EndpointWriter(settings_for("http://192.0.2.1/v1"), ledger).check_client()
    assert KEY not in str(refused.value)
    for url in ("https://192.0.2.1/v1", "http://localhost:1/v1", "http://[::1]:1/v1", "http://127.0.0.2/v1"):
        EndpointWriter(settings_for(url), ledger).check_client()


@pytest.mark.parametrize("url", [f"https://{KEY}@host/v1", f"https://u:{KEY}@host/v1", f"https://host/v1?key={KEY}"])
def test_an_address_that_holds_a_key_is_refused_without_repeating_it(ledger: RequestCache, url):
    with pytest.raises(SettingsError, match="OKRCELL_API_KEY") as refused:
        EndpointWriter(settings_for(url), ledger).check_client()
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": "localhost:8000"}, "web address"),
        ({"base_url": "http://host:port/"}, "no web address"),
        ({"budget_money": 1.0}, "price_prompt"),
        ({"prompt": "essay-9"}, "essay-1"),
        ({"api_key": KEY}, "unknown setting 'api_key'"),
    ],
)
def test_impossible_settings_are_one_line(changes, message):
    with pytest.raises(SettingsError, match=message) as refused:
        parse_settings(EndpointSettings, {"model": "m", "base_url": "http://localhost"} | changes, "endpoint.yaml")
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("status", [200, 500])
def test_a_response_that_drips_is_given_up(ledger: RequestCache, status):
    with FakeEndpoint(then=drips(status)) as endpoint:
        writer = EndpointWriter(settings_for(endpoint.url, timeout=0.1, retries=0), ledger)
        started = time.monotonic()
        with pytest.raises(WritingFailed, match=r"not complete after 0\.5 s"):
            writer.write(B_CELL, [DEFINITION])
    assert time.monotonic() - started < 10


def test_headers_that_drip_are_given_up(ledger: RequestCache):
    with FakeEndpoint(then=drips_headers()) as endpoint:
        writer = EndpointWriter(settings_for(endpoint.url, timeout=0.1, retries=0), ledger)
        with pytest.raises(WritingFailed, match=r"headers were not complete after 0\.5 s"):
            writer.write(B_CELL, [DEFINITION])


@pytest.mark.parametrize("status", [200, 400])
def test_a_response_beyond_bounds_is_given_up(ledger: RequestCache, monkeypatch, status):
    monkeypatch.setattr("okrcell.descriptions.llm_client.MAX_RESPONSE_BYTES", 10_000)
    with FakeEndpoint(then=lambda exchange: exchange.send(status, b" " * 20_000)) as endpoint:
        writer = EndpointWriter(settings_for(endpoint.url, retries=0), ledger)
        with pytest.raises(WritingFailed, match="more than 10,000 bytes"):
            writer.write(B_CELL, [DEFINITION])


def test_a_compressed_response_is_given_up(ledger: RequestCache):
    body = gzip.compress(completion(GOOD).encode())
    with FakeEndpoint(then=lambda exchange: exchange.send(200, body, Content_Encoding="gzip")) as endpoint:
        writer = EndpointWriter(settings_for(endpoint.url, retries=0), ledger)
        with pytest.raises(WritingFailed, match="is compressed"):
            writer.write(B_CELL, [DEFINITION])
    assert endpoint.requests[0].headers["accept-encoding"] == "identity"
