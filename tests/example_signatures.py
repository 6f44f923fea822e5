"""A memory of five cell types, written by hand."""

import numpy as np
import torch
from scipy import sparse

from okrcell.model.signatures import SignatureHead

B_CELL, T_CELL, MONOCYTE, NK_CELL, HEPATOCYTE = "CL:0000236", "CL:0000084", "CL:0000576", "CL:0000623", "CL:0000182"
TYPES = (B_CELL, T_CELL, MONOCYTE, NK_CELL, HEPATOCYTE)
BOOKS = (
    {"CD79A": 1, "MS4A1": 0.8, "CD79B": 0.7, "CD3D": -0.4},
    {"CD3D": 1, "CD3E": 0.8, "IL7R": 0.3},
    {"LYZ": 1, "CST3": 0.8, "FCN1": 0.5, "MS4A1": -0.3},
    {"NKG7": 1, "GNLY": 0.9, "PRF1": 0.5},
    {},
)
"""What marker tables would say of each; nothing of the last."""
CELLS = (
    {"CD74": 0.6, "CD79A": 0.4},
    {"IL32": 0.8, "LTB": 0.5, "LYZ": -0.3},
    {"S100A8": 0.6, "LYZ": 0.5, "TYROBP": 0.4},
    {"CST7": 0.6, "NKG7": 0.6, "CTSW": 0.3},
    {"HP": 1.0, "APOE": 0.2},
)
"""What cells of a corpus would have shown."""


def weights(weights_by_symbol, symbols):
    """Lay weights by symbol out on genes, as (type, gene); symbols that are not among the genes are passed over."""
    place = {symbol: number for number, symbol in enumerate(symbols)}
    dense = np.zeros((len(weights_by_symbol), len(place)), dtype=np.float32)
    for number, genes in enumerate(weights_by_symbol):
        for symbol, weight in genes.items():
            if symbol in place:
                dense[number, place[symbol]] = weight
    return sparse.csr_matrix(dense)


def example_head(symbols, *, width=16, dim=16, seed=0):
    """Make a memory of the five types over some genes, two texts a type, what is usual drawn at random."""
    made = np.random.default_rng(seed)
    genes = len(symbols)
    level = made.gamma(0.5, 0.8, genes)

    def directions(rows, columns):
        points = torch.from_numpy(made.normal(size=(rows, columns)).astype(np.float32))
        return torch.nn.functional.normalize(points, dim=1)

    return SignatureHead(
        TYPES,
        directions(2 * len(TYPES), width),
        torch.arange(len(TYPES)).repeat_interleave(2),
        directions(len(TYPES), dim),
        weights(BOOKS, symbols),
        weights(CELLS, symbols),
        *(
            torch.tensor(values, dtype=torch.float32)
            for values in (level, made.uniform(0.05, 0.9, genes), np.expm1(level) + 0.01)
        ),
    )
