"""Data set cards: file, source, licence, and the columns of labels and batches."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import Field

from okrcell.settings import Settings, parse_settings


class DatasetCard(Settings):
    """Card of a data set: one file of cells."""

    name: str
    title: str
    """Title in the report."""
    file: str
    """Path below the data folder."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    source: str
    """Origin of the file."""
    licence: str
    """Licence of the package or archive that distributes the data; the data are their authors'."""
    url: str | None = None
    """Download URL of the file; None if it must exist locally."""
    label: str = "cell_type"
    """Column of obs with the author labels."""
    term: str | None = "cell_type_ontology_term_id"
    """Column of obs with Cell Ontology ids; None if the ontology has no such types, as for cell lines."""
    batch: tuple[str, ...] = ()
    """Columns of obs with batches."""
    words: Mapping[str, str] = {}
    """Author label to a label that several files share."""
    studies: tuple[str, ...] = ()
    """Names and accessions of the study, to recognise it in a training corpus."""
    donors: tuple[str, ...] = ()
    """Distinctive names of donors, to recognise them in a training corpus."""


class JoinedDataset(Settings):
    """Several files as one data set, on the genes that all of them measured."""

    name: str
    title: str
    of: Annotated[tuple[str, ...], Field(min_length=2)]
    """Names of cards."""
    batch: str
    """Name of the batch column; the file is the batch."""


@cache
def cards() -> dict[str, DatasetCard]:
    """Read all cards, by name."""
    folder = files("okrcell.benchmarking.sets") / "cards"
    read = [
        parse_settings(DatasetCard, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".yaml") and path.name != "joined.yaml"
    ]
    return {card.name: card for card in read}


@cache
def joined_datasets() -> dict[str, JoinedDataset]:
    """Read the joined data sets, by name."""
    text = (files("okrcell.benchmarking.sets") / "cards" / "joined.yaml").read_text(encoding="utf-8")
    return {entry["name"]: parse_settings(JoinedDataset, entry, "joined.yaml") for entry in yaml.safe_load(text)}


def cards_of(name: str) -> tuple[DatasetCard, ...]:
    """Return the cards of the files of a data set."""
    return tuple(
        cards()[card_name] for card_name in (joined_datasets()[name].of if name in joined_datasets() else (name,))
    )


def title_of(name: str) -> str:
    """Return the title of a data set in the report."""
    return joined_datasets()[name].title if name in joined_datasets() else cards()[name].title
