"""In-memory cache of cell tokens."""

import numpy as np
import torch
from numpy.typing import NDArray

from okrcell.cells.tokenizer import CellTokenizer, CellTokens
from okrcell.data.dataset import PairDataset


class TokenCache:
    """Cache of the tokens of a corpus; each cell is tokenised on first use.

    Data loaders can share a cache if they use the same corpus, expression and tokenizer. Memory: six bytes per token of the
    cached cells.
    """

    def __init__(self, dataset: PairDataset, tokenizer: CellTokenizer) -> None:
        self._dataset = dataset
        self._tokenizer = tokenizer
        n_cells = len(dataset.description)
        width = min(tokenizer.settings.limit, max(len(tokenizer.vocabulary), 1))
        # Pages that are never written take no memory.
        self._gene = np.zeros((n_cells, width), dtype=np.int32)
        self._value = np.zeros((n_cells, width), dtype=np.int16)
        self._length = np.full(n_cells, -1, dtype=np.int32)

    def __len__(self) -> int:
        """Return the number of cached cells."""
        return int((self._length >= 0).sum())

    def tokens(self, rows: NDArray[np.int64]) -> CellTokens:
        """Tokens of the cells ``rows`` of the corpus, in the given order; repeats are allowed."""
        missing = np.unique(rows[self._length[rows] < 0])
        if len(missing):
            new_tokens = self._tokenizer.tokenize(self._dataset.expression(missing))
            width = new_tokens.gene.shape[1]
            self._gene[missing, :width] = new_tokens.gene.numpy()
            self._value[missing, :width] = new_tokens.value.numpy()
            self._length[missing] = new_tokens.attention_mask.sum(dim=1).numpy()
        width = max(int(self._length[rows].max(initial=0)), 1)
        gene, value = (torch.from_numpy(array[rows, :width].astype(np.int64)) for array in (self._gene, self._value))
        return CellTokens(gene, value)
