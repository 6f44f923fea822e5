"""Progress of long calls: a bar on a terminal, quiet elsewhere, silenced by False, or a function of the caller."""

import io
import json
import sys
import time

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import okrcell as okr
from okrcell import progress
from okrcell.cli import main
from okrcell.progress import command_progress, progress_bar


class Stderr(io.StringIO):
    """A stderr that is a terminal or not, and keeps what is written."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def stderr(monkeypatch):
    def replace_stderr(is_terminal):
        stream = Stderr(is_terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    monkeypatch.setenv("TERM", "xterm")
    return replace_stderr


@pytest.fixture(scope="module")
def model():
    return okr.load()


@pytest.mark.parametrize(
    ("progress", "is_terminal", "shown"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True), (True, True, True)],
)
def test_a_bar_is_shown_on_a_terminal_unless_told_otherwise(stderr, progress, is_terminal, shown):
    stream = stderr(is_terminal)
    with progress_bar("Embedding", progress) as report:
        report(3, 10)
        report(10, 10, "detail")
    assert ("Embedding" in stream.getvalue()) == shown
    assert ("10/10" in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown


def test_a_command_writes_a_line_a_minute_where_stderr_is_no_terminal(stderr, monkeypatch):
    stream = stderr(is_terminal=False)
    with command_progress("Annotating") as report:
        report(1, 2)
    assert stream.getvalue() == ""  # shorter than a minute
    monkeypatch.setattr(progress, "LINE_INTERVAL", 0.02)
    with command_progress("Annotating") as report:
        report(1000, 2000)
        time.sleep(0.2)
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 2
    assert set(lines) == {"Annotating: 1,000 of 2,000, 0 min"}


def test_a_command_shows_a_bar_on_a_terminal(stderr):
    stream = stderr(is_terminal=True)
    with command_progress("Annotating") as report:
        report(3, 10)
    assert "3/10" in stream.getvalue()


def test_prepare_enrich_and_pretrain_write_lines_where_stderr_is_no_terminal(
    blood, run_settings, stderr, monkeypatch, tmp_path
):
    monkeypatch.setattr(progress, "LINE_INTERVAL", 0.001)
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))
    blood[:50].copy().write_h5ad(tmp_path / "cells.h5ad")
    settings = run_settings({"schedule": {"steps": [1, 1]}})
    (tmp_path / "run.yaml").write_text(json.dumps(settings.model_dump(mode="json")))
    cells, output = str(tmp_path / "cells.h5ad"), str(tmp_path / "out.parquet")
    for words, title, line in (
        (["prepare", cells, "-o", str(tmp_path / "corpus")], "Preparing", "50 of 50, cells.h5ad, 0 min"),
        (["enrich", cells, "-o", output], "Enriching", " of 9, writing, 0 min"),
        (["pretrain", str(tmp_path / "run.yaml")], "Training", "2 of 2, loss "),
    ):
        stream = stderr(is_terminal=False)
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert stream.getvalue().startswith(f"{title}: ")
        assert line in stream.getvalue()


def test_a_function_is_called_instead_of_a_bar(stderr):
    stream, calls = stderr(is_terminal=True), []
    with progress_bar(
        "Training", lambda *args: calls.append(args), lambda done, total, loss: (done, total, f"{loss:.2f}")
    ) as report:
        report(1, 2, 0.5)
    assert calls == [(1, 2, 0.5)]
    assert stream.getvalue() == ""


def test_a_bar_ends_with_the_call_that_fails(stderr):
    stream = stderr(is_terminal=True)
    with pytest.raises(KeyboardInterrupt), progress_bar("Training"):
        raise KeyboardInterrupt
    # The cursor is visible again.
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


TOOLS = {
    "embed": okr.tl.embed,
    "annotate": lambda adata, model, **options: okr.tl.annotate(
        adata, model, candidates=["B cell", "T cell"], **options
    ),
    "explain": lambda adata, model, **options: okr.tl.explain(adata, model, candidates=["B cell", "T cell"], **options),
    "find_cells": lambda adata, model, **options: okr.tl.find_cells(adata, model, "B cell", **options),
    "standardise": lambda adata, model, **options: okr.tl.standardise(adata, **options),
}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_tool_shows_a_bar_on_a_terminal_and_is_quiet_elsewhere(blood, model, stderr, tool):
    cells = blood[:5].copy()
    stream = stderr(is_terminal=True)
    tool(cells.copy(), model)
    assert "━" in stream.getvalue()
    for is_terminal, options in ((True, {"progress": False}), (False, {})):
        stream = stderr(is_terminal)
        tool(cells.copy(), model, **options)
        assert stream.getvalue() == ""


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_tool_calls_a_function_with_what_is_done_and_the_total(blood, model, stderr, tool):
    stream, calls = stderr(is_terminal=True), []
    tool(blood[:5].copy(), model, progress=lambda done, total, *_: calls.append((done, total)))
    assert calls
    assert all(0 < done <= total for done, total in calls)
    assert stream.getvalue() == ""


def test_preparing_enriching_and_training_show_bars_too(blood, run_settings, stderr, tmp_path):
    blood[:50].copy().write_h5ad(tmp_path / "cells.h5ad")
    stream = stderr(is_terminal=True)
    okr.prepare([tmp_path / "cells.h5ad"], tmp_path / "corpus")
    assert "Preparing" in stream.getvalue()
    assert "cells.h5ad" in stream.getvalue()
    okr.enrich(ad.AnnData(np.zeros((1, 1)), obs=pd.DataFrame({"cell_type": ["B cell"]}, index=["c"])))
    assert "Enriching" in stream.getvalue()
    okr.pretrain(run_settings({"schedule": {"steps": [1, 1]}}))
    assert "Training" in stream.getvalue()
    assert "loss " in stream.getvalue()


def test_labels_are_no_markup_and_no_control_characters_in_a_bar(stderr):
    stream = stderr(is_terminal=True)
    with progress_bar("Standardising", True) as report:
        report(1, 2, "[red]T[/red] [/] cell\x1b[31m")
    assert r"[red]T[/red] [/] cell\x1b[31m" in stream.getvalue()
