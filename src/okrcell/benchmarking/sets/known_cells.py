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

from okrcell.benchmarking.cells import KIND, bare
from okrcell.benchmarking.sets.card import Card, cards, joined
from okrcell.benchmarking.sets.resolve import find_file
from okrcell.errors import InputError
from okrcell.knowledge.ontology import ontology

CELL_ONTOLOGY = "CL"


@dataclass(frozen=True)
class KnownCells:
    """Cells of a data set, with the labels separate from the cells that methods see."""

    name: str
    cells: AnnData
    """Cells without labels, see `bare`; methods see subsets of them."""
    words: NDArray[np.str_]
    """Author label of each cell, "" where there is none."""
    term: NDArray[np.str_]
    """Current Cell Ontology id of each cell, "" where there is none."""
    batch: Mapping[str, NDArray[np.str_]]
    """Batch column of obs to the batch of each cell."""
    facts: pd.DataFrame
    """All obs columns of the file, for descriptions of the cells."""

    def __len__(self) -> int:
        return len(self.words)

    @property
    def label(self) -> NDArray[np.str_]:
        """True labels: Cell Ontology ids if the data set has any, else the author labels."""
        return self.term if (self.term != "").any() else self.words

    def some(self, rows: NDArray[np.intp]) -> "KnownCells":
        """Select cells, in the order of ``rows``."""
        return replace(
            self,
            cells=self.cells[rows].copy(),
            words=self.words[rows],
            term=self.term[rows],
            batch={name: one[rows] for name, one in self.batch.items()},
            facts=self.facts.iloc[rows],
        )


@lru_cache(maxsize=16)
def known_cells(name: str, data: Path | None) -> KnownCells:
    """Load a data set by the name of its card or joined card. The result is cached and must not be changed.

    Raises
    ------
    InputError
        If a file is missing, damaged, or does not match its card.
    """
    if name in joined():
        return _joined(name, [known_cells(one, data) for one in joined()[name].of])
    card = cards()[name]
    return _read(card, find_file(card, data))


def _read(card: Card, file: Path) -> KnownCells:
    try:
        adata = anndata.read_h5ad(file)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    missing = [name for name in (card.label, card.term, *card.batch) if name is not None and name not in adata.obs]
    if missing:
        raise InputError(f"{file} has no obs column {missing[0]}, which the card of {card.name} requires.")
    facts = pd.DataFrame(adata.obs)
    words = _words(facts, card.label)
    words = np.array([card.words.get(word, word) for word in words.tolist()], dtype=np.str_)
    term = _words(facts, card.term) if card.term else np.full(len(words), "", dtype=np.str_)
    current = {word: ontology(CELL_ONTOLOGY).current(word) or "" for word in set(term.tolist()) - {""}}
    term = np.array([current.get(word, "") for word in term.tolist()], dtype=np.str_)
    batch = {name: _words(facts, name) for name in card.batch}
    return KnownCells(card.name, bare(adata), words, term, batch, facts)


def _joined(name: str, parts: Sequence[KnownCells]) -> KnownCells:
    """Concatenate data sets on their shared genes, in the gene order of the first."""
    shared = set.intersection(*(set(part.cells.var_names) for part in parts))
    genes = [gene for gene in parts[0].cells.var_names if gene in shared]
    cells = anndata.concat([part.cells[:, genes] for part in parts], index_unique=None, merge="first")
    cells.obs_names_make_unique()
    kinds = {cast(str, part.cells.uns[KIND]) for part in parts}
    cells.uns[KIND] = kinds.pop() if len(kinds) == 1 else "linear"
    terms = [part.term for part in parts]
    words = [part.words if not (part.term != "").any() else part.term for part in parts]
    return KnownCells(
        name,
        cells,
        np.concatenate(words),
        np.concatenate(terms),
        {joined()[name].batch: np.repeat([part.name for part in parts], [len(part) for part in parts])},
        pd.concat([part.facts for part in parts]),
    )


def _words(facts: pd.DataFrame, name: str) -> NDArray[np.str_]:
    return facts[name].astype(object).fillna("").astype(str).to_numpy(dtype=np.str_)
