"""Leakage check: refuse to evaluate models on studies, donors or cells that they were trained on."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.resources import row_keys
from okrcell.benchmarking.sets.card import DatasetCard
from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.data.corpus import Corpus
from okrcell.cells.expression import read_expression
from okrcell.errors import InputError
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import bundled_model

MIN_GENES = 20
"""Minimum number of expressed genes; cells with fewer may be equal by chance."""
CHUNK_SIZE = 4096
MAX_LISTED = 10


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
