"""A gene and its value become one vector."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from okrcell.cells.tokenise import CellTokens

ValueEmbedding = Literal["table", "continuous"]
START = 0.02
"""Standard deviation that gene and value vectors start with."""


class GeneTokens(nn.Module):
    """``emb_g(gene) + emb_x(value)`` (method E2). One more value class, the last, stands for "to be predicted"."""

    def __init__(self, genes: int, bins: int, width: int, value: ValueEmbedding) -> None:
        super().__init__()
        self.bins = bins
        self.gene = nn.Embedding(genes + 1, width, padding_idx=0)
        self.unknown = nn.Embedding(1, width)
        if value == "table":
            self.value: nn.Module = nn.Embedding(bins, width)
            nn.init.normal_(self.value.weight, std=START)  # pyright: ignore[reportArgumentType]
        else:
            self.value = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        self.continuous = value == "continuous"
        nn.init.normal_(self.gene.weight[1:], std=START)
        nn.init.normal_(self.unknown.weight, std=START)

    def forward(self, cells: CellTokens, masked: Tensor | None = None) -> Float[Tensor, "cell token width"]:
        """Embed tokens; where ``masked`` (bool) the value is hidden."""
        value = cells.value[..., None] / self.bins if self.continuous else cells.value
        shown: Tensor = self.value(value)
        if masked is not None:
            shown = shown.where(~masked[..., None], self.unknown.weight[0])
        return self.gene(cells.gene) + shown
