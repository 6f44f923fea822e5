"""What is the expression of a hidden gene?"""

from jaxtyping import Float, Int
from torch import Tensor, nn


class ExpressionDecoder(nn.Module):
    """The two heads of generative pre-training: from a gene's own state (GEP) and from the cell alone (GEPC).

    GEP is a two-layer network on the final state [paper]. GEPC (E6) is our reconstruction after scGPT's decoder:
    ``q = sigmoid(Linear(emb_g(gene)))`` and ``q . W h_cls``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_state = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.query = nn.Linear(width, width)
        self.cell = nn.Linear(width, width, bias=False)

    def by_gene(self, states: Float[Tensor, "cell token width"]) -> Float[Tensor, "cell token"]:
        """GEP: the value class (as a number) that each token's state speaks of."""
        return self.from_state(states).squeeze(-1)

    def by_cell(
        self, gene: Int[Tensor, "cell token"], cell: Float[Tensor, "cell width"], embedding: nn.Embedding
    ) -> Float[Tensor, "cell token"]:
        """GEPC: the value class (as a number) that the cell's vector alone says of each gene."""
        return (self.query(embedding(gene)).sigmoid() @ self.cell(cell)[..., None]).squeeze(-1)
