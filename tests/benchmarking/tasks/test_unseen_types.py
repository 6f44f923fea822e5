"""Types that were left out of learning."""

from pathlib import Path

import anndata
import numpy as np
import pytest
import yaml

from okrcell.benchmarking import run
from okrcell.benchmarking.datasets import leakage
from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.methods import METHODS, Annotation, Method
from okrcell.benchmarking.tasks import unseen_types
from okrcell.benchmarking.tasks.task import Item
from okrcell.ontology.ontology import ontology

MONOCYTE, MEMORY, NK, B, PDC = "CL:0001054", "CL:0000897", "CL:0000623", "CL:0000236", "CL:0000784"


def test_the_list_is_what_the_rule_gives(shared_data: Path):
    evaluated = [load_dataset(name, shared_data).term_ids for name in unseen_types.SETS]
    current, training = ontology("CL").current_id, []
    for file in sorted((shared_data / "pretrain").glob("*.h5ad")):
        obs = anndata.read_h5ad(file, backed="r").obs
        labels = obs.get("cell_type_ontology_term_id")
        training.append(
            np.array([current(label) or "" for label in labels.astype(str).unique()] if labels is not None else [])
        )
    assert leakage.choose_left_out_types(evaluated, training) == leakage.left_out_types()
    assert len(leakage.left_out_types()) == 10


def test_the_settings_of_the_model_that_is_asked_leave_out_this_very_list():
    settings = Path(__file__).parents[3] / "configs" / "unseen.yaml"
    if not settings.exists():
        pytest.skip("configs/unseen.yaml is not there")
    assert set(yaml.safe_load(settings.read_text())["split"]["leave_types"]) == set(leakage.left_out_types())


def test_every_second_type_that_is_common_and_can_be_learned_is_left_out():
    evaluated = [np.repeat(["d", "a", "b", ""], 5), np.repeat(["c", "rare"], [9, 4])]
    assert leakage.choose_left_out_types(evaluated, [np.array(["a", "b", "c"]), np.array(["d", "rare", ""])]) == (
        "a",
        "c",
    )
    assert leakage.choose_left_out_types(evaluated, []) == ()


def test_kinds_are_left_out_with_their_type_and_broader_ones_are_not():
    terms = np.array([MONOCYTE, PDC, MEMORY, "CL:0000738", ""])  # the fourth is the leukocyte
    assert leakage.is_left_out(terms).tolist() == [True, True, False, False, False]


def test_only_the_types_in_question_are_scored_and_their_names_are_not_free(known, in_place):
    in_place(unseen_types)

    def scores_of(label):
        method = lambda query, candidates, seed: Annotation(label, tuple(candidates))  # noqa: E731
        return next(iter(unseen_types.evaluate(method, "pbmc3k", None, [Item("", 0)]))).scores

    correct = scores_of(known.term_ids)
    assert (correct["macro_f1"], correct["accuracy"], correct["accuracy_of_seen"]) == (1, 1, 1)
    b_missed = scores_of(np.where(known.term_ids == B, "", known.term_ids))
    assert (b_missed["macro_f1"], b_missed["accuracy"]) == (1, 1)
    assert b_missed["accuracy_of_seen"] < 1
    b_called_monocyte = scores_of(np.where(known.term_ids == B, MONOCYTE, known.term_ids))
    assert b_called_monocyte["macro_f1"] < 1
    assert b_called_monocyte["accuracy"] == 1


class Checkpoint:
    def __init__(self, left_out):
        self.facts = {"seen": {"left_out_types": list(left_out)}}


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        (leakage.left_out_types(), ""),
        (
            leakage.left_out_types()[1:],
            "does not list CL:0000115 under seen.left_out_types (types left out of training); train a model with",
        ),
        ((), "does not list CL:0000115, CL:0000171, CL:0000232 and 7 more under seen.left_out_types"),
    ],
)
def test_a_model_is_asked_only_if_it_was_kept_from_them(monkeypatch, left_out, expected):
    monkeypatch.setattr(leakage, "load_checkpoint", lambda _: Checkpoint(left_out))
    reason = run.exclusion_reason(Method("mine", {}, kind="control", model="folder"), "unseen_types")
    assert expected in reason
    assert bool(expected) == bool(reason)
    assert run.exclusion_reason(Method("mine", {}, kind="control", model="folder"), "zero_shot") == ""


def test_markers_are_asked_and_what_learned_from_labels_is_not():
    assert unseen_types.exclusion_reason(METHODS["markers"]) == ""
    assert "labelled cells" in unseen_types.exclusion_reason(METHODS["label_transfer"])
