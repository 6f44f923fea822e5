"""Embedding of gene tokens: gene plus expression value."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from okrcell.cells.tokenizer import CellTokens

ValueEmbedding = Literal["table", "continuous"]
INIT_STD = 0.1
"""Initial standard deviation of gene and value embeddings."""


class GeneTokens(nn.Module):
    """``emb_g(gene) + emb_x(value)`` (method E2); a hidden value is replaced by one learned vector, "unknown"."""

    def __init__(self, n_genes: int, n_bins: int, width: int, value_embedding: ValueEmbedding) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.gene = nn.Embedding(n_genes + 1, width, padding_idx=0)
        self.unknown = nn.Embedding(1, width)
        if value_embedding == "table":
            table = nn.Embedding(n_bins, width)
            nn.init.normal_(table.weight, std=INIT_STD)
            self.value: nn.Module = table
        else:
            self.value = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        self.continuous = value_embedding == "continuous"
        nn.init.normal_(self.gene.weight[1:], std=INIT_STD)
        nn.init.normal_(self.unknown.weight, std=INIT_STD)

    def forward(self, cells: CellTokens, masked: Tensor | None = None) -> Float[Tensor, "cell token width"]:
        """Embed tokens; where ``masked`` (bool, cell token) is true the value is hidden."""
        return self.with_value(self.gene(cells.gene), cells, masked)

    def with_value(
        self, genes: Float[Tensor, "cell token width"], cells: CellTokens, masked: Tensor | None
    ) -> Float[Tensor, "cell token width"]:
        """Add the value embedding to the gene embedding."""
        value = cells.value[..., None] / self.n_bins if self.continuous else cells.value
        value_vectors: Tensor = self.value(value)
        if masked is not None:
            value_vectors = value_vectors.where(~masked[..., None], self.unknown.weight[0])
        return genes + value_vectors
