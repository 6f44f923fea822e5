"""A small set of blood whose types are known, in the place of the sets that the questions ask about."""

import numpy as np
import pytest

from okrcell.benchmarking.datasets.datasets import LabeledDataset
from okrcell.benchmarking.methods import unlabeled_cells

TERMS = {
    "dendritic cell": "CL:0000451",
    "CD14-positive monocyte": "CL:0001054",
    "B cell": "CL:0000236",
    "regulatory T cell": "CL:0000815",
    "natural killer cell": "CL:0000623",
    "CD4-positive, alpha-beta memory T cell": "CL:0000897",
}


@pytest.fixture
def known(blood):
    """700 blood cells; those of four types of ten have no id."""
    words = blood.obs["cell_type"].to_numpy().astype(str)
    term = np.array([TERMS.get(word, "") for word in words])
    return LabeledDataset("blood", unlabeled_cells(blood), words, term, {}, blood.obs)


@pytest.fixture
def in_place(known, monkeypatch):
    """Let a question find these cells, whatever set it is asked about."""

    def put(question):
        monkeypatch.setattr(question, "load_dataset", lambda _name, _data: known)

    return put
