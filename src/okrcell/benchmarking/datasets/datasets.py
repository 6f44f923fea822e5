"""Data sets: cards, download, and cells without labels with their labels, batches and metadata beside them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import anndata
import numpy as np
import pandas as pd
import yaml
from anndata import AnnData
from numpy.typing import NDArray
from pydantic import Field

from okrcell.benchmarking.methods import VALUE_KIND_KEY, unlabeled_cells
from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology
from okrcell.provenance import fingerprint
from okrcell.settings import Settings, parse_settings

logger = logging.getLogger(__name__)

CELL_ONTOLOGY = "CL"


class DatasetCard(Settings):
    """Card of a data set: one file of cells."""

    name: str
    title: str
    """Title in the report."""
    file: str
    """Path below the data folder."""
    species: Literal["human", "mouse"] = "human"
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
    folder = files("okrcell.benchmarking.datasets") / "cards"
    read = [
        parse_settings(DatasetCard, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".yaml") and path.name != "joined.yaml"
    ]
    return {card.name: card for card in read}


@cache
def joined_datasets() -> dict[str, JoinedDataset]:
    """Read the joined data sets, by name."""
    text = (files("okrcell.benchmarking.datasets") / "cards" / "joined.yaml").read_text(encoding="utf-8")
    return {entry["name"]: parse_settings(JoinedDataset, entry, "joined.yaml") for entry in yaml.safe_load(text)}


def cards_of(name: str) -> tuple[DatasetCard, ...]:
    """Return the cards of the files of a data set."""
    return tuple(
        cards()[card_name] for card_name in (joined_datasets()[name].of if name in joined_datasets() else (name,))
    )


def title_of(name: str) -> str:
    """Return the title of a data set in the report."""
    return joined_datasets()[name].title if name in joined_datasets() else cards()[name].title


def find_file(card: DatasetCard, data: Path | None) -> Path:
    """Return the path of the file of a card.

    Parameters
    ----------
    card
        Card of the data set.
    data
        Folder of data sets, with the file under the path of its card or directly in the folder. None downloads the file to
        the cache, if its card has a URL.

    Raises
    ------
    InputError
        If the file is missing, cannot be downloaded, or does not match the sha256 of the card.
    """
    if data is None:
        return _download(card)
    paths = (data / card.file, data / Path(card.file).name)
    file = next((path for path in paths if path.is_file()), None)
    if file is None:
        raise InputError(f"There is no {card.file} in {data}, the file of the set {card.name} (source: {card.source}).")
    digest = _sha256(file, file.stat().st_mtime_ns)
    if digest != card.sha256:
        raise InputError(
            f"{file} is not the file of the set {card.name}: its sha256 is {digest[:12]}…, expected {card.sha256[:12]}…. "
            "Scores on another file are not comparable; download it again."
        )
    return file


def _download(card: DatasetCard) -> Path:
    import pooch

    if card.url is None:
        raise InputError(
            f"The set {card.name} has no download URL (source: {card.source}). Name the folder that holds {card.file} "
            "with --data."
        )
    fetch: Any = pooch.retrieve
    logger.info("Downloading the set %s from %s, if it is not cached", card.name, card.url)
    try:
        return Path(
            fetch(card.url, known_hash=f"sha256:{card.sha256}", path=pooch.os_cache("okrcell"), progressbar=False)
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"The set {card.name} could not be fetched from {card.url}: {reason}") from None


@cache
def _sha256(path: Path, changed: int) -> str:
    return fingerprint(path)


@dataclass(frozen=True)
class LabeledDataset:
    """Cells of a data set, with the labels separate from the cells that methods see."""

    name: str
    cells: AnnData
    """Cells without labels, see `okrcell.benchmarking.methods.unlabeled_cells`; methods see subsets of them."""
    author_labels: NDArray[np.str_]
    """Author label of each cell, "" where there is none."""
    term_ids: NDArray[np.str_]
    """Current Cell Ontology id of each cell, "" where there is none."""
    batch: Mapping[str, NDArray[np.str_]]
    """Batch column of obs to the batch of each cell."""
    facts: pd.DataFrame
    """All obs columns of the file, for descriptions of the cells."""

    def __len__(self) -> int:
        return len(self.author_labels)

    @property
    def labels(self) -> NDArray[np.str_]:
        """True labels: Cell Ontology ids if the data set has any, else the author labels."""
        return self.term_ids if (self.term_ids != "").any() else self.author_labels

    def subset(self, rows: NDArray[np.intp]) -> "LabeledDataset":
        """Select cells, in the order of ``rows``."""
        return replace(
            self,
            cells=self.cells[rows].copy(),
            author_labels=self.author_labels[rows],
            term_ids=self.term_ids[rows],
            batch={name: values[rows] for name, values in self.batch.items()},
            facts=self.facts.iloc[rows],
        )


@lru_cache(maxsize=16)
def load_dataset(name: str, data: Path | None) -> LabeledDataset:
    """Load a data set by the name of its card or joined card. The result is cached and must not be changed.

    Raises
    ------
    InputError
        If a file is missing, damaged, or does not match its card.
    """
    if name in joined_datasets():
        return _join(name, [load_dataset(part_name, data) for part_name in joined_datasets()[name].of])
    card = cards()[name]
    return _read(card, find_file(card, data))


def _read(card: DatasetCard, file: Path) -> LabeledDataset:
    try:
        adata = anndata.read_h5ad(file)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    missing_columns = [
        name for name in (card.label, card.term, *card.batch) if name is not None and name not in adata.obs
    ]
    if missing_columns:
        raise InputError(f"{file} has no obs column {missing_columns[0]}, which the card of {card.name} requires.")
    facts = pd.DataFrame(adata.obs)
    labels = _column(facts, card.label)
    labels = np.array([card.words.get(label, label) for label in labels.tolist()], dtype=np.str_)
    term = _column(facts, card.term) if card.term else np.full(len(labels), "", dtype=np.str_)
    current = {label: ontology(CELL_ONTOLOGY).current_id(label) or "" for label in set(term.tolist()) - {""}}
    term = np.array([current.get(label, "") for label in term.tolist()], dtype=np.str_)
    batch = {name: _column(facts, name) for name in card.batch}
    return LabeledDataset(card.name, unlabeled_cells(adata), labels, term, batch, facts)


def _join(name: str, datasets: Sequence[LabeledDataset]) -> LabeledDataset:
    """Concatenate data sets on their shared genes, in the gene order of the first."""
    shared = set.intersection(*(set(dataset.cells.var_names) for dataset in datasets))
    genes = [gene for gene in datasets[0].cells.var_names if gene in shared]
    cells = anndata.concat([dataset.cells[:, genes] for dataset in datasets], index_unique=None, merge="first")
    cells.obs_names_make_unique()
    kinds = {cast(str, dataset.cells.uns[VALUE_KIND_KEY]) for dataset in datasets}
    cells.uns[VALUE_KIND_KEY] = kinds.pop() if len(kinds) == 1 else "linear"
    terms = [dataset.term_ids for dataset in datasets]
    labels = [dataset.author_labels if not (dataset.term_ids != "").any() else dataset.term_ids for dataset in datasets]
    return LabeledDataset(
        name,
        cells,
        np.concatenate(labels),
        np.concatenate(terms),
        {
            joined_datasets()[name].batch: np.repeat(
                [dataset.name for dataset in datasets], [len(dataset) for dataset in datasets]
            )
        },
        pd.concat([dataset.facts for dataset in datasets]),
    )


def _column(facts: pd.DataFrame, name: str) -> NDArray[np.str_]:
    return facts[name].astype(object).fillna("").astype(str).to_numpy(dtype=np.str_)
