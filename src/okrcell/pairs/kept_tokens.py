"""In-memory cache of cell tokens."""

import numpy as np
import torch
from numpy.typing import NDArray

from okrcell.cells.tokenise import CellTokeniser, CellTokens
from okrcell.pairs.pair import Pairs


class KeptTokens:
    """Cache of the tokens of a corpus; each cell is tokenised on first use.

    Data loaders can share a cache if they use the same corpus, expression and tokenizer. Memory: six bytes per token of the
    cached cells.
    """

    def __init__(self, pairs: Pairs, tokeniser: CellTokeniser) -> None:
        self._pairs = pairs
        self._tokeniser = tokeniser
        cells = len(pairs.description)
        width = min(tokeniser.settings.limit, max(len(tokeniser.vocabulary), 1))
        # Pages that are never written take no memory.
        self._gene = np.zeros((cells, width), dtype=np.int32)
        self._value = np.zeros((cells, width), dtype=np.int16)
        self._length = np.full(cells, -1, dtype=np.int32)

    def __len__(self) -> int:
        """Return the number of cached cells."""
        return int((self._length >= 0).sum())

    def tokens(self, rows: NDArray[np.int64]) -> CellTokens:
        """Tokens of the cells ``rows`` of the corpus, in the given order; repeats are allowed."""
        new = np.unique(rows[self._length[rows] < 0])
        if len(new):
            made = self._tokeniser.tokenise(self._pairs.expression(new))
            width = made.gene.shape[1]
            self._gene[new, :width] = made.gene.numpy()
            self._value[new, :width] = made.value.numpy()
            self._length[new] = made.known.sum(dim=1).numpy()
        width = max(int(self._length[rows].max(initial=0)), 1)
        gene, value = (torch.from_numpy(kept[rows, :width].astype(np.int64)) for kept in (self._gene, self._value))
        return CellTokens(gene, value)
