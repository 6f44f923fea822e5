"""The tutorials hold what their code gives."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
TUTORIALS = sorted(path for path in (REPOSITORY / "docs" / "tutorials").glob("*.md") if path.name != "README.md")
SCRIPT = REPOSITORY / "scripts" / "tutorials.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("tutorials", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outline(text):
    """The blocks of a page with what kind of output follows each."""
    return [
        (block[1], "```text" in block[3], block[3].count("![")) if block[3] else (block[1], False, 0)
        for block in re.finditer(
            r"^```(python|bash)\n(.*?)^```\n(?:\n(<!-- output -->.*?<!-- /output -->))?", text, re.M | re.S
        )
    ]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda path: path.stem)
def test_every_picture_of_a_page_is_there_and_no_other(page):
    named = re.findall(r"\(pictures/(.*?)\)", page.read_text())
    there = sorted(path.name for path in (page.parent / "pictures").glob(f"{page.stem}-[0-9]*.png"))
    assert sorted(named) == there


def test_the_list_names_every_page():
    named = set(re.findall(r"\((\S+\.md)\)", (REPOSITORY / "docs/tutorials/README.md").read_text()))
    assert named == {path.name for path in TUTORIALS}


@pytest.mark.parametrize("page", [*TUTORIALS, REPOSITORY / "docs/how-to/describe.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_outputs_are_written_beside_the_code_and_replaced_the_next_time(script, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n```python\na = 2\nprint('first')\na + 1\n```\n\nWords.\n\n```bash\necho second\n```\n\nEnd.\n"
    )
    assert script.run_tutorial(page, page) == 2
    once = page.read_text()
    assert "<!-- output -->\n```text\nfirst\n3\n```\n<!-- /output -->" in once
    assert "```text\nsecond\n```" in once
    assert once.endswith("End.\n")
    script.run_tutorial(page, page)
    assert page.read_text() == once


def test_a_block_that_fails_is_named(script, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\n1 / 0\n```\n")
    with pytest.raises(SystemExit, match=r"page\.md, block 1: ZeroDivisionError"):
        script.run_tutorial(page, page)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda path: path.stem)
def test_a_page_can_be_made_anew(page, tmp_path):
    command = [sys.executable, str(SCRIPT), "--into", str(tmp_path), str(page)]
    # Not the knowledge files of this machine: a page must come out alike everywhere.
    environment = {name: value for name, value in os.environ.items() if name != "OKRCELL_KNOWLEDGE"}
    environment["OKRCELL_CACHE"] = str(tmp_path / "cache")
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert outline((tmp_path / page.name).read_text()) == outline(page.read_text())
