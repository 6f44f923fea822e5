"""Candidates are texts that are not resolved to terms."""

from pathlib import Path

import numpy as np
import pytest

from okrcell.benchmarking.datasets import wordings
from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.wordings import WORDINGS, type_texts
from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks import free_text
from okrcell.benchmarking.tasks.task import Item
from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology

B, NK = "CL:0000236", "CL:0000623"


def test_a_type_has_a_text_in_every_wording():
    assert {wording: type_texts([NK], wording)[0] for wording in WORDINGS} == {
        "id": NK,
        "name": "natural killer cell",
        "everyday name": "NK cell",
        "definition": ontology("CL").term(NK).definition,
        "sentence": "In this sample we see a natural killer cell, as judged by its genes.",
    }


def test_everyday_names_are_of_terms_and_differ():
    names = wordings.read_everyday_names()
    assert all(ontology("CL").current_id(term_id) == term_id for term_id in names)
    assert len(set(names.values())) == len(names)


def test_types_of_one_text_are_refused(monkeypatch):
    monkeypatch.setattr(wordings, "read_everyday_names", lambda: {B: "lymphocyte", NK: "lymphocyte"})
    with pytest.raises(InputError, match="Two types have the same everyday name: lymphocyte"):
        type_texts([B, NK], "everyday name")


def test_every_set_has_distinct_texts(shared_data: Path):
    for name in free_text.SETS:
        term_ids = sorted(set(load_dataset(name, shared_data).term_ids.tolist()) - {""})
        for wording in WORDINGS:
            assert len(set(type_texts(term_ids, wording))) == len(term_ids)


def test_texts_are_scored_as_the_types_that_they_mean(known, in_place):
    in_place(free_text)
    requests = []

    def method(query, texts, seed):
        requests.append(texts)
        text_of = dict(zip(sorted(set(known.term_ids.tolist()) - {""}), texts, strict=True)) | {"": ""}
        label = np.array([text_of[term] for term in known.term_ids.tolist()])
        return Annotation(np.where(known.term_ids == B, "", label), tuple(texts))

    items = free_text.items("pbmc3k", (0, 1))
    results = list(free_text.evaluate(method, "pbmc3k", None, items))
    assert [result.item for result in results] == items
    assert len(requests) == len(WORDINGS)
    assert "NK cell" in requests[2]
    right = results[0].scores["accuracy"]
    assert 0 < right < 1  # B cells have no prediction
    assert {result.scores["accuracy"] for result in results if result.item.seed == 0} == {right}
    assert results[0].detail["by_type"][B] == 0
    (again,) = free_text.evaluate(method, "pbmc3k", None, [Item("definition", 1)])
    assert requests[-1][0].endswith(".")
    assert again.item.case == "definition"
