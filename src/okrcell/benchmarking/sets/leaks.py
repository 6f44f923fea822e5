"""Leakage check: refuse to evaluate models on studies, donors or cells that they were trained on."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.remembering import row_keys
from okrcell.benchmarking.sets.card import Card
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.cells.corpus import Corpus
from okrcell.cells.expression import read_expression
from okrcell.errors import InputError
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import bundled_model

FEWEST_GENES = 20
"""Minimum number of expressed genes; cells with fewer may be equal by chance."""
ROWS_AT_ONCE = 4096
MOST_TOLD = 10


def refuse_leaks(
    models: Mapping[str, str | None], cards: Sequence[Card], data: Path | None, corpus: Path | None
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
    found: list[str] = []
    for name, folder in models.items():
        seen = load_checkpoint(folder or bundled_model()).facts.get("seen", {})
        found += [f"{name} was trained on {what}" for what in known_to(seen, cards)]
    if corpus is not None:
        found += [f"the corpus holds {what}" for what in same_cells(Corpus.open(corpus), cards, data)]
    if found:
        more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        raise InputError(
            "Models cannot be evaluated on data that they were trained on: "
            + "; ".join(found[:MOST_TOLD])
            + more
            + ". Leave the model out, or train it without them."
        )


def known_to(seen: Mapping[str, Any], cards: Sequence[Card]) -> list[str]:
    """List the studies and donors of the cards that occur in ``seen`` ("studies", "donors": "study | donor")."""
    studies = {_plain(study): study for study in seen.get("studies", ())}
    donors = [tuple(_plain(part) for part in donor.split("|")) for donor in seen.get("donors", ())]
    found: list[str] = []
    for card in cards:
        own = {_plain(study) for study in (card.name, Path(card.file).stem, *card.studies)}
        telling = {_plain(donor) for donor in card.donors}
        found += [f"the study {studies[study]} (set {card.name})" for study in sorted(own & studies.keys())]
        found += [
            f"the donor {' | '.join(donor)} (set {card.name})"
            for donor in donors
            if donor[0] in own or donor[-1] in telling
        ]
    return list(dict.fromkeys(found))


def same_cells(corpus: Corpus, cards: Sequence[Card], data: Path | None) -> list[str]:
    """Count the cells of each card whose expression equals that of a cell of the corpus.

    Cell names cannot be compared: a corpus stores none, and the same barcode occurs in many studies.
    """
    own = {card.name: _cells_of(card, data) for card in cards}
    sets = {name: set(keys) for name, keys in own.items()}
    met: dict[str, set[bytes]] = {name: set() for name in own}
    for start in range(0, len(corpus), ROWS_AT_ONCE):
        keys = set(_telling(corpus.rows(range(start, min(start + ROWS_AT_ONCE, len(corpus))))))
        for name, some in sets.items():
            met[name] |= keys & some
    return [f"{len(keys):,} cells of {name}" for name, keys in met.items() if keys]


def _cells_of(card: Card, data: Path | None) -> Iterable[bytes]:
    for block in read_expression(known_cells(card.name, data).cells).blocks():
        yield from _telling(block)


def _telling(block: Any) -> list[bytes]:
    genes = block.indptr[1:] - block.indptr[:-1]
    return [key for key, number in zip(row_keys(block), genes.tolist(), strict=True) if number >= FEWEST_GENES]


def _plain(word: str) -> str:
    return word.strip().casefold().replace("-", "_").replace(" ", "_")
