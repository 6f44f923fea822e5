"""Labels, batches and donors group cells; measurements and barcodes do not."""

import numpy as np
import pandas as pd
import pytest

from okrcell.cells.groupings import check_grouping, is_grouping
from okrcell.errors import InputError
from okrcell.tasks.audit_study import check_labels
from okrcell.tasks.labels import read_column_labels

RNG = np.random.default_rng(0)
BARCODES = ["".join(RNG.choice(list("ACGT"), 12)) + "-1" for _ in range(40)]
GROUPINGS = {
    "labels": ["B cell", "T cell"] * 20,
    "one label": ["B cell"] * 40,
    "a few examples, each of another type": ["a", "b", "c", *[""] * 37],
    "numbers of clusters": list(range(8)) * 5,
    "numbers of clusters with a gap": [float(i % 4) if i else np.nan for i in range(40)],
    "subclusters as text": ["3.1", "3.2"] * 20,
    "tags of samples": ["ACGTACGTACGT", "TTTTGGGGCCCC"] * 20,
    "a hundred types": [f"type {i % 100}" for i in range(800)],
    "one cell": ["AAACATACAACCAC-1"],
}
NO_GROUPINGS = {
    "measurements": RNG.random(40),
    "barcodes": BARCODES,
    "barcodes of a sample": [f"s1_{barcode}" for barcode in BARCODES],
    "names of cells": [f"cell{i}" for i in range(40)],
    "identifiers": [f"id {i}" for i in range(60)],
    "counts": RNG.integers(0, 300, 2000),
    "too many": [f"type {i % 1500}" for i in range(20_000)],
}


def column(values):
    return pd.Series(list(values), index=[f"cell{i}" for i in range(len(values))])


@pytest.mark.parametrize("kind", GROUPINGS)
def test_groups_of_any_kind_are_accepted(kind):
    assert is_grouping(column(GROUPINGS[kind]))


@pytest.mark.parametrize("kind", NO_GROUPINGS)
def test_values_that_differ_from_cell_to_cell_are_refused(kind):
    with pytest.raises(
        InputError, match=r"obs\['key'\] has .* different values for .* that is no grouping. Pass donors"
    ):
        check_grouping(column(NO_GROUPINGS[kind]), "key", "Pass donors.")


@pytest.mark.parametrize("kind", ["measurements", "barcodes"])
def test_labels_and_batches_must_be_groupings(kind):
    obs = pd.DataFrame({"wrong": column(NO_GROUPINGS[kind]), "cell_type": ["B cell", "T cell"] * 20})
    for read in (
        lambda: read_column_labels(obs, "wrong", "--label-key"),
        lambda: check_labels(obs, "wrong"),
        lambda: check_labels(obs, "cell_type", "wrong"),
    ):
        with pytest.raises(InputError, match="that is no grouping"):
            read()
