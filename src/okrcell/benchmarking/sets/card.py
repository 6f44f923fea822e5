"""A set's card: what it is, where it comes from, and how its labels are read."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import Field

from okrcell.settings import Settings, parse_settings


class Card(Settings):
    """One file of cells."""

    name: str
    title: str
    """For reading, in a few words."""
    file: str
    """Path under the folder of data."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    source: str
    """Where the file was made from."""
    licence: str
    """Of the carrier that the file was made from; the data are their authors' own."""
    url: str | None = None
    """Where this very file can be had; None if it must be at hand."""
    label: str = "cell_type"
    """Column of obs with the authors' words."""
    term: str | None = "cell_type_ontology_term_id"
    """Column of obs with Cell Ontology ids; None if the cells are of no type of the ontology, such as cell lines."""
    batch: tuple[str, ...] = ()
    """Columns of obs that name batches."""
    words: Mapping[str, str] = {}
    """The authors' words, to those that several files share."""
    studies: tuple[str, ...] = ()
    """Names and accessions of the study, by which it would be known in a training corpus."""
    donors: tuple[str, ...] = ()
    """Telling names of donors, by which they would be known in a training corpus."""


class Joined(Settings):
    """Several files as one set, on the genes that all of them measured."""

    name: str
    title: str
    of: Annotated[tuple[str, ...], Field(min_length=2)]
    """Names of cards."""
    batch: str
    """Name of the column that tells the files apart."""


@cache
def cards() -> dict[str, Card]:
    """Read the cards, by name."""
    folder = files("okrcell.benchmarking.sets") / "cards"
    read = [
        parse_settings(Card, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".yaml") and path.name != "joined.yaml"
    ]
    return {card.name: card for card in read}


@cache
def joined() -> dict[str, Joined]:
    """Read which cards are used together, by name."""
    text = (files("okrcell.benchmarking.sets") / "cards" / "joined.yaml").read_text(encoding="utf-8")
    return {one["name"]: parse_settings(Joined, one, "joined.yaml") for one in yaml.safe_load(text)}


def cards_of(name: str) -> tuple[Card, ...]:
    """Return the cards of the files that a set is made of."""
    return tuple(cards()[one] for one in (joined()[name].of if name in joined() else (name,)))


def title_of(name: str) -> str:
    """Return the words by which a set is called in a report."""
    return joined()[name].title if name in joined() else cards()[name].title
