"""Decoder heads that predict the expression of hidden genes (GEP, GEPC)."""

import math

from jaxtyping import Float, Int
from torch import Tensor, nn

GEPC_INIT_STD = 0.02
"""Initial standard deviation of W in GEPC."""


class ExpressionDecoder(nn.Module):
    """The two heads of generative pre-training: from a gene's own state (GEP) and from the cell state alone (GEPC).

    GEP is a two-layer network on the final state [paper]. GEPC (E6) is our reconstruction after scGPT's decoder:
    ``q = sigmoid(Linear(emb_g(gene)))`` and ``q . W h_cls / sqrt(width)``. The divisor is ours, as in attention: an
    inner product of ``width`` terms, unscaled, starts tens of times above values that lie in [0, 1), and its loss then
    dominates the others. For the same reason W starts small.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_state = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.query = nn.Linear(width, width)
        self.cell = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.cell.weight, std=GEPC_INIT_STD)

    def gep(self, states: Float[Tensor, "cell token width"]) -> Float[Tensor, "cell token"]:
        """GEP: value bin of each token predicted from its state, as a fraction of the number of bins."""
        return self.from_state(states).squeeze(-1)

    def gepc(
        self, gene: Int[Tensor, "cell token"], cell: Float[Tensor, "cell width"], embedding: nn.Embedding
    ) -> Float[Tensor, "cell token"]:
        """GEPC: value bin of each gene predicted from the cell state alone, as a fraction of the number of bins."""
        gene_query = self.query(embedding(gene)).sigmoid()
        return (gene_query @ self.cell(cell)[..., None]).squeeze(-1) / math.sqrt(gene_query.shape[-1])
