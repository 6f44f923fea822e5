"""The prompt contains every fact and piece of evidence with its number."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.descriptions.llm_prompt import PromptVersion, build_prompt, profile_facts
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile

PROFILE = CellProfile(cell_type="B cell", cell_type_id="CL:0000236", tissue="blood", sex="female", label="B cells")
VERSIONS = get_args(PromptVersion)


def definition(text: str) -> Evidence:
    return Evidence(text, "Cell Ontology", "CL:0000236", "2025", "CC BY 4.0", "definition")


@pytest.mark.parametrize("version", VERSIONS)
def test_facts_come_first_and_every_piece_has_its_number(version):
    prompt = build_prompt(version, PROFILE, [definition("A lymphocyte\nof B lineage.")], 1000)
    system, user = (message["content"] for message in prompt.messages())
    assert user.splitlines() == [
        "The cell: B cell",
        "",
        "Facts and evidence:",
        "[1] cell type: B cells",
        "[2] tissue: blood",
        "[3] sex: female",
        "[4] Cell Ontology CL:0000236, definition: A lymphocyte of B lineage.",
    ]
    assert prompt.evidence == (*profile_facts(PROFILE), definition("A lymphocyte\nof B lineage."))
    assert '"sentences"' in system
    assert "$" not in system


@given(st.lists(st.text(min_size=1), max_size=20), st.integers(200, 2000))
def test_any_evidence_fits_whole_or_is_left_out_and_none_comes_twice(texts, limit):
    evidence = [definition(text) for text in texts]
    prompt = build_prompt("short-1", PROFILE, evidence, limit)
    listed = prompt.user.split("Facts and evidence:\n")[1]
    lines = [line for line in listed.split("\n") if line]
    assert len(lines) == len(prompt.evidence) == len(set(prompt.evidence))
    assert sum(len(line.partition("] ")[2]) for line in lines) <= limit
    if limit > sum(len(text) + 50 for text in texts) + 200:
        assert {" ".join(piece.text.split()) for piece in prompt.evidence[3:]} == {
            " ".join(text.split()) for text in texts
        }


def test_signs_of_the_template_in_the_evidence_stay_as_they_are():
    assert (
        "costs $evidence ${x} $" in build_prompt("essay-1", PROFILE, [definition("costs $evidence ${x} $")], 1000).user
    )


def test_trouble_is_told_at_the_end():
    prompt = build_prompt("essay-1", PROFILE, [], 1000)
    assert prompt.messages("no JSON")[1]["content"].startswith(prompt.messages()[1]["content"])
    assert "no JSON" in prompt.messages("no JSON")[1]["content"]
