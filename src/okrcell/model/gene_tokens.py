"""Embedding of gene tokens: gene plus expression value."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from okrcell.cells.tokenise import CellTokens

ValueEmbedding = Literal["table", "continuous"]
START = 0.1
"""Initial standard deviation of gene and value embeddings."""


class GeneTokens(nn.Module):
    """``emb_g(gene) + emb_x(value)`` (method E2); a hidden value is replaced by one learned vector, "unknown"."""

    def __init__(self, genes: int, bins: int, width: int, value: ValueEmbedding) -> None:
        super().__init__()
        self.bins = bins
        self.gene = nn.Embedding(genes + 1, width, padding_idx=0)
        self.unknown = nn.Embedding(1, width)
        if value == "table":
            table = nn.Embedding(bins, width)
            nn.init.normal_(table.weight, std=START)
            self.value: nn.Module = table
        else:
            self.value = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        self.continuous = value == "continuous"
        nn.init.normal_(self.gene.weight[1:], std=START)
        nn.init.normal_(self.unknown.weight, std=START)

    def forward(self, cells: CellTokens, masked: Tensor | None = None) -> Float[Tensor, "cell token width"]:
        """Embed tokens; where ``masked`` (bool, cell token) is true the value is hidden."""
        return self.with_value(self.gene(cells.gene), cells, masked)

    def with_value(
        self, genes: Float[Tensor, "cell token width"], cells: CellTokens, masked: Tensor | None
    ) -> Float[Tensor, "cell token width"]:
        """Add the value embedding to the gene embedding."""
        value = cells.value[..., None] / self.bins if self.continuous else cells.value
        shown: Tensor = self.value(value)
        if masked is not None:
            shown = shown.where(~masked[..., None], self.unknown.weight[0])
        return genes + shown
