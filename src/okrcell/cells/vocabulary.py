"""Gene vocabulary of a model: genes in token order, with the mean expression of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.cells.genes import GeneTable
from okrcell.errors import CheckpointError

PADDING = 0
"""Padding token; gene ``i`` of the vocabulary is token ``i + 1``."""

TARGET_SUM = 10_000.0
"""Total to which each cell is scaled before genes are compared over cells, in the corpus means and in tokens."""


@dataclass(frozen=True, eq=False)
class GeneVocabulary:
    """Gene list of a model, saved in its checkpoint so that training and inference use the same tokens."""

    ensembl_id: NDArray[np.str_]
    symbol: NDArray[np.str_]
    scale: NDArray[np.float32]
    """Mean expression of each gene in the corpus over the cells that express it, at 10,000 counts per cell."""

    def __len__(self) -> int:
        """Return the number of genes, without padding."""
        return len(self.ensembl_id)

    @classmethod
    def from_table(
        cls, table: GeneTable, rows: Sequence[int] | NDArray[np.integer], scale: NDArray[np.float32]
    ) -> Self:
        """Vocabulary of the genes at ``rows`` of the table, in that order; ``scale`` covers the whole table."""
        rows = np.asarray(rows)
        return cls(table.ensembl_id[rows], table.symbol[rows], scale[rows].astype(np.float32))

    def tokens(self, table: GeneTable) -> NDArray[np.int32]:
        """Token of every row of the gene table, `PADDING` for genes outside the vocabulary; int32 (gene,)."""
        token = {gene: index + 1 for index, gene in enumerate(self.ensembl_id.tolist())}
        return np.array([token.get(gene, PADDING) for gene in table.ensembl_id.tolist()], dtype=np.int32)

    def save(self, path: Path) -> None:
        """Write a tab-separated table: ensembl_id, symbol, scale."""
        frame = pd.DataFrame({"ensembl_id": self.ensembl_id, "symbol": self.symbol, "scale": self.scale})
        frame.to_csv(path, sep="\t", index=False, float_format="%.9g")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a vocabulary written by `save`.

        Raises
        ------
        CheckpointError
            If the file is missing or is not such a table.
        """
        try:
            frame = pd.read_csv(path, sep="\t", keep_default_na=False)
            return cls(
                frame["ensembl_id"].to_numpy(dtype=np.str_),
                frame["symbol"].to_numpy(dtype=np.str_),
                frame["scale"].to_numpy(dtype=np.float32),
            )
        except (OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"The gene list {path} cannot be read: {str(error).splitlines()[0]}.") from None
