"""Load a data set: cells without labels, with labels, batches and metadata beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from okrcell.benchmarking.cells import VALUE_KIND_KEY, unlabeled_cells
from okrcell.benchmarking.sets.card import DatasetCard, cards, joined_datasets
from okrcell.benchmarking.sets.resolve import find_file
from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology

CELL_ONTOLOGY = "CL"


@dataclass(frozen=True)
class LabeledDataset:
    """Cells of a data set, with the labels separate from the cells that methods see."""

    name: str
    cells: AnnData
    """Cells without labels, see `bare`; methods see subsets of them."""
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
            words=self.author_labels[rows],
            term=self.term_ids[rows],
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
