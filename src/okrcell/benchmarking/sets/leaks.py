"""No model is asked about cells that it has learned from."""

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
"""A cell with fewer expressed genes may look like another by chance."""
ROWS_AT_ONCE = 4096
MOST_TOLD = 10


def refuse_leaks(
    models: Mapping[str, str | None], cards: Sequence[Card], data: Path | None, corpus: Path | None
) -> None:
    """See that no study, donor or cell of the sets was in a model's training corpus.

    Parameters
    ----------
    models
        Method to its model's folder or hub id; None is the bundled model. Each says in ``model.json`` which studies and
        donors it has seen.
    corpus
        Folder of the corpus that they learned from, to look for the very same cells in as well.

    Raises
    ------
    InputError
        It lists what was found.
    """
    found: list[str] = []
    for name, folder in models.items():
        seen = load_checkpoint(folder or bundled_model()).facts.get("seen", {})
        found += [f"{name} has learned from {what}" for what in known_to(seen, cards)]
    if corpus is not None:
        found += [f"the corpus holds {what}" for what in same_cells(Corpus.open(corpus), cards, data)]
    if found:
        more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        raise InputError(
            "These sets cannot tell how good a model is that has seen them: "
            + "; ".join(found[:MOST_TOLD])
            + more
            + ". Leave the model out, or train it without them."
        )


def known_to(seen: Mapping[str, Any], cards: Sequence[Card]) -> list[str]:
    """List the studies and donors of the cards among those that ``seen`` names ("studies", "donors": "study | donor")."""
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
    """Count the cells of each card whose whole expression is that of a cell of the corpus.

    Names of cells are of no use: a corpus keeps none, and one barcode occurs in many studies.
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
