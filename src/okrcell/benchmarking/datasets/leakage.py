"""Leakage check: refuse to evaluate models on studies, donors or cells that they were trained on."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import DatasetCard, load_dataset
from okrcell.benchmarking.resources import row_keys
from okrcell.cells.expression import read_expression
from okrcell.data.corpus import Corpus
from okrcell.errors import InputError
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import bundled_model
from okrcell.ontology.ontology import ontology

MIN_CELLS = 5
"""Minimum number of cells of a type in at least one data set; metrics of fewer are unreliable."""
MIN_GENES = 20
"""Minimum number of expressed genes; cells with fewer may be equal by chance."""
CHUNK_SIZE = 4096
MAX_LISTED = 10


@cache
def left_out_types() -> tuple[str, ...]:
    """Read the frozen list of ten Cell Ontology ids."""
    text = (files("okrcell.benchmarking.datasets") / "left_out_types.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["types"])


def is_left_out(term: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which cells are of a type of the list or of a descendant of one; descendants are left out of training too."""
    listed_ids, cells = set(left_out_types()), ontology("CL")
    unseen = [
        term_id
        for term_id in np.unique(term).tolist()
        if term_id and ({term_id} | cells.ancestors(term_id)) & listed_ids
    ]
    return np.isin(term, unseen)


def trained_types(model: str | None) -> list[str]:
    """List the types of the list that were not left out when a model (None: the bundled one) was trained.

    The types that were left out are in ``model.json``, under ``seen.left_out_types``.
    """
    facts: Mapping[str, Any] = load_checkpoint(model or bundled_model()).facts
    left_out = set(facts.get("seen", {}).get("left_out_types", ()))
    return [term_id for term_id in left_out_types() if term_id not in left_out]


def choose_left_out_types(
    evaluated: Sequence[NDArray[np.str_]], training: Sequence[NDArray[np.str_]]
) -> tuple[str, ...]:
    """Choose the types to leave out, by a rule that does not depend on any metric; ours.

    Of the types that have at least five cells in an evaluated data set and occur in a training data set, every second one in
    the order of their ids, beginning with the first. Half of the types of a data set are thus seen in training, including
    types close to the left-out ones, so a method must separate unseen from seen types.

    Parameters
    ----------
    evaluated
        For each evaluated data set, the Cell Ontology id of each cell ("" where there is none).
    training
        The same for each training data set.
    """
    counts = [np.unique(term[term != ""], return_counts=True) for term in evaluated]
    frequent = {term_id for term_ids, n_cells in counts for term_id in term_ids[n_cells >= MIN_CELLS].tolist()}
    trainable = {term_id for term in training for term_id in np.unique(term).tolist()}
    return tuple(sorted(frequent & trainable)[::2])


def check_leakage(
    models: Mapping[str, str | None], cards: Sequence[DatasetCard], data: Path | None, corpus: Path | None
) -> None:
    """Check that no study, donor or cell of the data sets was in a model's training corpus.

    Parameters
    ----------
    models
        Method to its model's folder or hub id; None is the bundled model. ``model.json`` lists the studies and donors that
        the model was trained on.
    cards
        Cards of the data sets.
    data
        Folder of the data sets.
    corpus
        Folder of the training corpus, searched for identical cells; None skips this search.

    Raises
    ------
    InputError
        If there is leakage; the message lists it.
    """
    leaks: list[str] = []
    for name, folder in models.items():
        training_facts = load_checkpoint(folder or bundled_model()).facts.get("seen", {})
        leaks += [f"{name} was trained on {leak}" for leak in seen_in_training(training_facts, cards)]
    if corpus is not None:
        leaks += [f"the corpus holds {leak}" for leak in count_shared_cells(Corpus.open(corpus), cards, data)]
    if leaks:
        suffix = f"; and {len(leaks) - MAX_LISTED} more" if len(leaks) > MAX_LISTED else ""
        raise InputError(
            "Models cannot be evaluated on data that they were trained on: "
            + "; ".join(leaks[:MAX_LISTED])
            + suffix
            + ". Leave the model out, or train it without them."
        )


def seen_in_training(training_facts: Mapping[str, Any], cards: Sequence[DatasetCard]) -> list[str]:
    """List the studies and donors of the cards that occur in ``training_facts`` ("studies", "donors": "study | donor")."""
    studies = {_normalize(study): study for study in training_facts.get("studies", ())}
    donors = [tuple(_normalize(field) for field in donor.split("|")) for donor in training_facts.get("donors", ())]
    leaks: list[str] = []
    for card in cards:
        study_names = {_normalize(study) for study in (card.name, Path(card.file).stem, *card.studies)}
        donor_names = {_normalize(donor) for donor in card.donors}
        leaks += [f"the study {studies[study]} (set {card.name})" for study in sorted(study_names & studies.keys())]
        leaks += [
            f"the donor {' | '.join(donor)} (set {card.name})"
            for donor in donors
            if donor[0] in study_names or donor[-1] in donor_names
        ]
    return list(dict.fromkeys(leaks))


def count_shared_cells(corpus: Corpus, cards: Sequence[DatasetCard], data: Path | None) -> list[str]:
    """Count the cells of each card whose expression equals that of a cell of the corpus.

    Cell names cannot be compared: a corpus stores none, and the same barcode occurs in many studies.
    """
    key_iterators = {card.name: _cell_keys(card, data) for card in cards}
    keys_by_set = {name: set(keys) for name, keys in key_iterators.items()}
    shared: dict[str, set[bytes]] = {name: set() for name in key_iterators}
    for start in range(0, len(corpus), CHUNK_SIZE):
        keys = set(_distinctive_keys(corpus.rows(range(start, min(start + CHUNK_SIZE, len(corpus))))))
        for name, set_keys in keys_by_set.items():
            shared[name] |= keys & set_keys
    return [f"{len(keys):,} cells of {name}" for name, keys in shared.items() if keys]


def _cell_keys(card: DatasetCard, data: Path | None) -> Iterable[bytes]:
    for block in read_expression(load_dataset(card.name, data).cells).blocks():
        yield from _distinctive_keys(block)


def _distinctive_keys(block: Any) -> list[bytes]:
    genes = block.indptr[1:] - block.indptr[:-1]
    return [key for key, n_genes in zip(row_keys(block), genes.tolist(), strict=True) if n_genes >= MIN_GENES]


def _normalize(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")
