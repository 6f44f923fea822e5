"""Description pipeline: evidence, writing, screening, storage and failures."""

import gzip
import threading
import time
from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd
import pytest
from fake_endpoint import FakeEndpoint, fails, says

import okrcell as okr
import okrcell.cli
from okrcell.data.dataset import TextSettings, text_probabilities
from okrcell.descriptions.description import Description, load_descriptions
from okrcell.descriptions.enrich import (
    DescriptionRequest,
    EnrichSettings,
    build_original,
    load_enrich_settings,
    write_descriptions,
)
from okrcell.descriptions.llm_cache import BudgetExceeded
from okrcell.descriptions.llm_prompt import WritingFailed
from okrcell.descriptions.screening import ScreeningSettings
from okrcell.errors import InputError, SettingsError
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.storage import file_lock

MANY = [DescriptionRequest(CellProfile(f"cell {number}", label=f"cell {number}"), ()) for number in range(40)]


class Slow:
    """Writer with decreasing delays that fails for selected profiles."""

    name = "slow"

    def __init__(self, fails: dict[str, Exception] | None = None) -> None:
        self.fails = fails or {}
        self.running = self.max_cost = 0
        self.wrote: list[str] = []
        self._lock = threading.Lock()

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        with self._lock:
            self.running += 1
            self.max_cost = max(self.max_cost, self.running)
        time.sleep(0.004 if profile.cell_type.endswith("0") else 0.001)
        with self._lock:
            self.running -= 1
            self.wrote.append(profile.cell_type)
        if profile.cell_type in self.fails:
            raise self.fails[profile.cell_type]
        return Description(profile, (), (f"It is {profile.cell_type}.",))


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_descriptions_come_in_the_order_of_the_requests_however_many_are_written_at_once(at_once):
    writer, calls = Slow(), []
    texts = write_descriptions(MANY, writer, n_workers=at_once, progress=lambda done, of: calls.append((done, of)))
    assert [text.profile for text in texts] == [request.profile for request in MANY]
    assert writer.max_cost <= at_once
    assert calls[-1] == (40, 40)


@pytest.mark.parametrize(("lasting", "outcome"), [(True, "original"), (False, "failed")])
def test_a_text_that_cannot_be_had_is_replaced_by_the_original_with_the_reason(lasting, outcome):
    writer = Slow({"cell 7": WritingFailed("two answers could not be used", lasting)})
    texts = write_descriptions(MANY, writer, n_workers=4)
    assert texts[7].outcome == outcome
    assert texts[7].remark == "two answers could not be used"
    assert texts[7].phrasings == build_original(MANY[7].profile).phrasings
    assert [text.outcome for text in texts].count("written") == 39


def test_when_the_budget_ends_what_is_under_way_is_waited_for():
    writer = Slow({"cell 12": BudgetExceeded("no more")})
    with pytest.raises(BudgetExceeded):
        write_descriptions(MANY, writer, n_workers=8)
    assert writer.running == 0
    assert len(writer.wrote) < 40


def cells(**columns: list[str]) -> anndata.AnnData:
    obs = pd.DataFrame(columns).set_axis([f"c{number}" for number in range(len(next(iter(columns.values()))))])
    return anndata.AnnData(np.ones((len(obs), 1), dtype=np.float32), obs=obs)


BLOOD = {"cell_type": ["B cell", "NK cell", "B cell", "CD14+ Mono"], "tissue": ["blood"] * 4}


def test_equal_profiles_share_one_description():
    done = okr.enrich(cells(**BLOOD), settings=EnrichSettings(sources=("ontologies",)))
    assert [one.profile.cell_type for one in done.descriptions] == [
        "B cell",
        "natural killer cell",
        "CD14-positive monocyte",
    ]
    assert done.output is None
    assert all(sentence.evidence for one in done.descriptions for sentence in one.sentences)


def test_a_second_run_keeps_what_is_there_and_writes_only_what_is_new(tmp_path):
    settings = EnrichSettings(sources=("ontologies",))
    first = okr.enrich(cells(**BLOOD), tmp_path / "d.parquet", settings)
    before = (tmp_path / "d.parquet").stat().st_mtime_ns
    again = okr.enrich(cells(**BLOOD), tmp_path / "d.parquet", settings)
    assert (first.reused, again.reused) == (0, 3)
    assert again.descriptions == first.descriptions == load_descriptions(tmp_path / "d.parquet").descriptions
    assert (tmp_path / "d.parquet").stat().st_mtime_ns == before
    more = cells(cell_type=[*BLOOD["cell_type"], "T cell"], tissue=["blood"] * 5)
    assert okr.enrich(more, tmp_path / "d.parquet", settings).reused == 3
    assert len(load_descriptions(tmp_path / "d.parquet").descriptions) == 4


def test_a_second_study_is_added_to_the_same_file(tmp_path):
    settings = EnrichSettings(sources=("ontologies",))
    okr.enrich(cells(**BLOOD), tmp_path / "d.parquet", settings)
    assert okr.enrich(cells(cell_type=["neuron"], tissue=["brain"]), tmp_path / "d.parquet", settings).reused == 0
    assert okr.enrich(cells(**BLOOD), tmp_path / "d.parquet", settings).reused == 3
    assert len(load_descriptions(tmp_path / "d.parquet").descriptions) == 4


@pytest.mark.parametrize(
    ("name", "message"), [("none/d.parquet", "no folder"), ("folder", "it is a folder"), ("text", "no desc")]
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("mine")
    with pytest.raises(InputError, match=message):
        okr.enrich(cells(cluster=["nothing is known"]), tmp_path / name)
    assert (tmp_path / "text").read_text() == "mine"


def test_other_settings_write_everything_anew(tmp_path):
    okr.enrich(cells(**BLOOD), tmp_path / "d.parquet", EnrichSettings(sources=("ontologies",)))
    other = EnrichSettings(sources=("ontologies",), leaks=True)
    assert okr.enrich(cells(**BLOOD), tmp_path / "d.parquet", other).reused == 0


def test_cells_of_which_nothing_is_known_are_refused():
    with pytest.raises(InputError, match="There is nothing to describe"):
        okr.enrich(cells(cluster=["1", "2"]))


def test_missing_sources_are_named(tmp_path):
    (tmp_path / "cl_terms.json.gz").write_bytes(gzip.compress(b"[]"))
    done = okr.enrich(cells(**BLOOD), knowledge=tmp_path)
    assert done.sources == ("ontologies", "descriptions")
    assert "cellmarker2_raw.csv.gz" in done.absent["cellmarker2"]


def test_settings_on_the_command_line_win_over_the_file(tmp_path):
    (tmp_path / "e.yaml").write_text("writer: endpoint\nendpoint: {model: a, base_url: 'http://localhost:1/v1'}\n")
    settings = load_enrich_settings(tmp_path / "e.yaml", endpoint={"model": "b"}, writer=None)
    assert settings.endpoint is not None
    assert (settings.writer, settings.endpoint.model) == ("endpoint", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [("writr: template", "did you mean 'writer'"), ("- a", "mapping"), ("writer: [", "YAML")],
)
def test_a_slip_in_the_settings_file_is_named(tmp_path, text, message):
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_enrich_settings(tmp_path / "e.yaml", endpoint={})


ANSWER = (
    '{"sentences": [{"text": "The cell was taken from blood.", "evidence": [2]},'
    ' {"text": "It expresses FOXP3 in the kidney.", "evidence": [2]}]}'
)


def by_endpoint(url: str, **more: object) -> EnrichSettings:
    endpoint = {"model": "m", "base_url": url, "prompt": "short-1", "retries": 0, "first_wait": 0.01}
    return load_enrich_settings(
        None, endpoint=endpoint, writer="endpoint", sources=("ontologies",), screening={"threshold": -1.0}, **more
    )


def test_a_language_model_writes_and_what_its_evidence_does_not_bear_is_dropped_with_the_reason(tmp_path):
    estimates = []
    with FakeEndpoint(then=says(ANSWER)) as server:
        settings = by_endpoint(server.url)
        done = okr.enrich(cells(**BLOOD), tmp_path / "d.parquet", settings, confirm=estimates.append)
        calls = len(server.requests)
        again = okr.enrich(cells(**BLOOD), tmp_path / "e.parquet", settings, ledger=tmp_path / "d.ledger")
        assert len(server.requests) == calls == 3
    assert estimates[0].calls == 3
    for one in done.descriptions:
        assert [sentence.text for sentence in one.sentences] == ["The cell was taken from blood."]
        assert [dropped.text for dropped in one.dropped] == ["It expresses FOXP3 in the kidney."]
        assert "FOXP3" in one.dropped[0].reason or "kidney" in one.dropped[0].reason
        assert not any("FOXP3" in text for text in one.phrasings)
        assert one.original == build_original(one.profile).phrasings
        assert one.similarity is not None
        assert one.prompt == "short-1 m"
    assert again.descriptions == done.descriptions


def test_what_could_not_be_had_is_asked_for_again_by_the_next_run(tmp_path):
    with FakeEndpoint(fails(500, "out of order"), then=says(ANSWER)) as server:
        settings = by_endpoint(server.url)
        first = okr.enrich(cells(cell_type=["B cell"], tissue=["blood"]), tmp_path / "d.parquet", settings)
        second = okr.enrich(cells(cell_type=["B cell"], tissue=["blood"]), tmp_path / "d.parquet", settings)
    assert first.failed is not None
    assert first.failed[0] == 1
    assert first.failed[1]
    assert second.failed is None
    assert second.descriptions[0].outcome == "written"


def test_a_language_model_without_a_name_is_asked_for():
    with pytest.raises(SettingsError, match="--llm"):
        okr.enrich(cells(**BLOOD), settings=EnrichSettings(writer="endpoint", sources=("ontologies",)))


def test_the_sources_of_real_knowledge_are_cited(shared_knowledge):
    done = okr.enrich(
        cells(**BLOOD),
        settings=EnrichSettings(sources=("ontologies", "descriptions", "accordion", "gene_summaries")),
        knowledge=shared_knowledge,
    )
    b_cell = done.descriptions[0]
    assert "MS4A1" in b_cell.phrasings[0]
    assert {piece.source for message in b_cell.sentences for piece in message.evidence} >= {
        "Cell Ontology", "Cell Marker Accordion", "RefSeq", "metadata",
    }  # fmt: skip
    assert all(message.evidence for one in done.descriptions for message in one.sentences)
    assert all(piece.snapshot and piece.licence for one in done.descriptions for message in one.sentences
               for piece in message.evidence if piece.source != "metadata")  # fmt: skip


def test_with_drop_a_refused_text_leaves_its_reasons_and_nothing_to_draw(tmp_path):
    with FakeEndpoint(
        then=says('{"sentences": [{"text": "It expresses FOXP3 in the kidney.", "evidence": [2]}]}')
    ) as server:
        settings = by_endpoint(server.url)
        settings = settings.model_copy(update={"screening": ScreeningSettings(threshold=-1, on_reject="drop")})
        (one,) = okr.enrich(
            cells(cell_type=["B cell"], tissue=["blood"]), tmp_path / "d.parquet", settings
        ).descriptions
    assert (one.outcome, one.phrasings, one.writer) == ("dropped", (), "endpoint")
    assert [dropped.text for dropped in one.dropped] == ["It expresses FOXP3 in the kidney."]
    assert one.original
    assert load_descriptions(tmp_path / "d.parquet").descriptions == (one,)
    assert text_probabilities(one, TextSettings()) == {}


def test_a_server_that_is_down_is_told_with_status_2_and_the_work_left_is_named(tmp_path, capsys):
    cells(**BLOOD).write_h5ad(tmp_path / "cells.h5ad")
    words = ["enrich", str(tmp_path / "cells.h5ad"), "-o", str(tmp_path / "d.parquet"), "--sources", "ontologies"]
    (tmp_path / "e.yaml").write_text("endpoint: {retries: 0, first_wait: 0.01}\n")
    with FakeEndpoint() as server:
        address = server.url
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main([*words, "--config", str(tmp_path / "e.yaml"), "--llm", "m", "--base-url", address])
    assert ended.value.code == 2
    assert "3 of them failed in this run" in capsys.readouterr().err


def test_an_estimate_sends_nothing_and_writes_nothing(tmp_path, capsys):
    cells(**BLOOD).write_h5ad(tmp_path / "cells.h5ad")
    words = ["enrich", str(tmp_path / "cells.h5ad"), "-o", str(tmp_path / "d.parquet"), "--sources", "ontologies"]
    with FakeEndpoint() as server:
        with pytest.raises(SystemExit) as ended:
            okrcell.cli.main([*words, "--llm", "m", "--base-url", server.url, "--estimate"])
        assert not server.requests
    assert ended.value.code == 0
    assert "3 calls" in capsys.readouterr().err
    assert not (tmp_path / "d.parquet").exists()
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main([*words, "--estimate"])
    assert ended.value.code == 2


def test_a_second_run_into_one_file_says_so(tmp_path, capsys):
    cells(**BLOOD).write_h5ad(tmp_path / "cells.h5ad")
    words = ["enrich", str(tmp_path / "cells.h5ad"), "-o", str(tmp_path / "d.parquet"), "--sources", "ontologies"]
    with file_lock(tmp_path / "d.parquet"), pytest.raises(SystemExit) as ended:
        okrcell.cli.main(words)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert "Another process is writing" in errors and errors.count("\n") == 1
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(words)
    assert ended.value.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad", "d.parquet"]


@pytest.mark.parametrize("url", ["ftp://anna:s3cret@host/v1", "https://anna:s3cret@host:port/v1", "anna:s3cret@host"])
def test_a_password_in_the_address_of_a_model_is_not_repeated(url, tmp_path, capsys):
    cells(**BLOOD).write_h5ad(tmp_path / "cells.h5ad")
    words = ["enrich", str(tmp_path / "cells.h5ad"), "-o", str(tmp_path / "d.parquet"), "--llm", "m", "--base-url", url]
    with pytest.raises(SystemExit) as ended:
        okrcell.cli.main(words)
    errors = capsys.readouterr().err
    assert ended.value.code == 2
    assert "web address" in errors and "s3cret" not in errors
