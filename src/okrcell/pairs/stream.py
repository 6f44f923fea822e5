"""Batches of pairs, each a function of nothing but the seed and the step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from torch import Tensor

from okrcell.cells.tokenise import CellTokeniser, CellTokens
from okrcell.errors import SettingsError
from okrcell.pairs.kept_tokens import KeptTokens
from okrcell.pairs.knowledge_pairs import KnowledgePairs
from okrcell.pairs.pair import Pairs
from okrcell.settings import Settings


class StreamSettings(Settings):
    """Which pairs come together, and how much of a cell is shown."""

    batch_size: Annotated[int, Field(ge=1)] = 14
    """Pairs per step and device (paper: 14 on each of 32 devices)."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0: every cell equally often. 1: every kind of cell of every study equally often; between, the power of the kind's
    size (method 11.8 proposes 0.5)."""
    mask: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (0.25, 0.5, 0.75)
    """Shares of genes hidden for the generative losses; one is drawn per step [paper]. (0,) switches hiding off."""
    most_hidden: Annotated[int, Field(ge=1)] | None = None
    """Never hide more genes of a cell than so many (ours: predicting a few costs less)."""
    fewest_genes: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The least share of its genes that a cell is shown with, as if a smaller panel had been measured; 1 switches this
    off (ours). The share is drawn per cell, half of the cells keep all."""
    keep_tokens: bool = False
    """Tokenise each cell once and keep its tokens in memory (six bytes a token): quicker after the first pass, the batches are
    the same. Only where nothing is drawn anew at each visit, so not with ``fewest_genes`` nor with genes sampled by lot."""
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class PairBatch:
    """Some pairs, ready for the model."""

    cells: CellTokens
    masked: Bool[Tensor, "pair token"]
    """Genes whose value is hidden."""
    text: Int[Tensor, "pair"]
    """Place of the chosen phrasing in `Pairs.texts` (with knowledge pairs: in `KnowledgePairs.texts`, which begins with
    those); 0 where nothing is known of the cell."""
    cell_type: Int[Tensor, "pair"]
    """A number for each cell type, -1 where unknown."""
    trust: Float[Tensor, "pair"]
    """0 for a cell that has no text (its type is unknown, or its text was refused) or shows no gene, else 1."""
    row: Int[Tensor, "pair"]
    """Which cell of the corpus it is; -1 for a knowledge pair, whose cell is simulated."""


class PairStream:
    """Draws batches from the training rows of a corpus.

    ``batch(step)`` depends on the seed and the step alone, so a run that was killed goes on with the very batches it
    would have seen.

    Parameters
    ----------
    kept
        Tokens of the same corpus by the same tokeniser, kept by another stream. Looked at only with
        ``settings.keep_tokens``, and not where expression is tampered with: those tokens are kept apart.
    knowledge
        Takes its share of every batch, behind the cells; none of its genes is hidden. Only `batch` draws from it: cells
        are validated without.

    Raises
    ------
    SettingsError
        If tokens shall be kept though each visit draws others.
    """

    def __init__(
        self,
        pairs: Pairs,
        rows: NDArray[np.int64],
        tokeniser: CellTokeniser,
        settings: StreamSettings,
        kept: KeptTokens | None = None,
        knowledge: KnowledgePairs | None = None,
    ) -> None:
        self.pairs = pairs
        self._knowledge = knowledge
        simulated = 0 if knowledge is None else round(knowledge.settings.share * settings.batch_size)
        # A batch without any cell would have nobody to learn expression from.
        self._simulated = min(simulated, settings.batch_size - 1)
        self.settings = settings
        self._tokeniser = tokeniser
        self._rows = np.asarray(rows)
        self._by_lot = tokeniser.settings.select == "hashed"
        self._kept = self._keeping(kept) if settings.keep_tokens else None
        self._chance = _chances(pairs, self._rows, settings.balance)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which one device draws as many pairs as there are."""
        return max(1, -(-self.pairs_per_epoch // self._cells))

    @property
    def pairs_per_epoch(self) -> int:
        """How many pairs there are, without those of knowledge."""
        return len(self._rows)

    @property
    def _cells(self) -> int:
        """How many pairs of a batch are of cells."""
        return self.settings.batch_size - self._simulated

    def batch(self, step: int, rank: int = 0, world: int = 1) -> PairBatch:
        """Return the pairs of ``step`` (from 0) for device ``rank`` of ``world``."""
        rng = np.random.default_rng([self.settings.seed, step])
        everyone = self._drawn(step, self._cells * world, rng)
        share = np.random.default_rng([self.settings.seed, step, 1]).choice(self.settings.mask)
        rows = everyone[rank::world]
        batch = self._made(rows, float(share), np.random.default_rng([self.settings.seed, step, 2, rank]))
        if self._knowledge is None or not self._simulated:
            return batch
        return self._joined(batch, self._knowledge, np.random.default_rng([self.settings.seed, step, 5, rank]))

    def in_order(self, most: int | None = None) -> Iterator[PairBatch]:
        """Go through the rows once, in their order: for validation. Choices are the same at every call.

        With ``most``, so many batches at most, of rows at even distances.
        """
        size = self.settings.batch_size
        rows = self._rows[:: 1 if most is None else max(1, -(-len(self._rows) // (most * size)))]
        for number, start in enumerate(range(0, len(rows), size)):
            rng = np.random.default_rng([self.settings.seed, number, 3])
            yield self._made(rows[start : start + size], float(np.median(self.settings.mask)), rng)

    def _drawn(self, step: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self._chance is not None:
            return self._rows[np.searchsorted(self._chance, rng.random(size), side="right")]
        # Whole passes, each in a fresh order; a batch may span two of them.
        places = np.arange(step * size, (step + 1) * size)
        drawn = np.empty(size, dtype=np.int64)
        for epoch in np.unique(places // len(self._rows)):
            here = places // len(self._rows) == epoch
            order = np.random.default_rng([self.settings.seed, epoch, 4]).permutation(len(self._rows))
            drawn[here] = self._rows[order[places[here] % len(self._rows)]]
        return drawn

    def _keeping(self, kept: KeptTokens | None) -> KeptTokens:
        for drawn, remedy in (
            (self._by_lot, "set model.tokeniser.select to highest or relative"),
            (self.settings.fewest_genes < 1, "set stream.fewest_genes to 1"),
        ):
            if drawn:
                raise SettingsError(
                    "stream.keep_tokens keeps the tokens of a cell's first visit, but each visit would draw other genes: "
                    f"{remedy}, or stream.keep_tokens to false."
                )
        if kept is None or self.pairs.tampered:
            return KeptTokens(self.pairs, self._tokeniser)
        return kept

    def _made(self, rows: NDArray[np.int64], share: float, rng: np.random.Generator) -> PairBatch:
        pairs = self.pairs
        cells = self._kept.tokens(rows) if self._kept is not None else self._tokens(pairs.expression(rows), rng)
        masked = _masked(cells, share, self.settings.most_hidden, rng)
        description = pairs.description[rows]
        text = [pairs.draw(int(number), rng.random()) for number in description]
        kind = pairs.cell_type[description]
        return PairBatch(
            cells,
            masked,
            torch.tensor(text, dtype=torch.long),
            torch.from_numpy(kind.astype(np.int64)),
            (torch.from_numpy(pairs.described[rows]) & cells.known.any(dim=1)).float(),
            torch.from_numpy(rows.astype(np.int64)),
        )

    def _joined(self, batch: PairBatch, knowledge: KnowledgePairs, rng: np.random.Generator) -> PairBatch:
        """Put knowledge pairs behind the cells, shown as if by a smaller panel as often as these."""
        drawn = knowledge.drawn(self._simulated, rng)
        cells = self._tokens(drawn.expression, rng)
        width = max(batch.cells.gene.shape[1], cells.gene.shape[1])
        return PairBatch(
            CellTokens(_behind(batch.cells.gene, cells.gene, width), _behind(batch.cells.value, cells.value, width)),
            _behind(batch.masked, torch.zeros_like(cells.gene, dtype=torch.bool), width),
            torch.cat([batch.text, torch.from_numpy(drawn.text)]),
            torch.cat([batch.cell_type, torch.from_numpy(drawn.cell_type)]),
            torch.cat([batch.trust, cells.known.any(dim=1).float()]),
            torch.cat([batch.row, torch.full((len(drawn.text),), -1)]),
        )

    def _tokens(self, expression: sparse.csr_matrix, rng: np.random.Generator) -> CellTokens:
        rows = len(expression.indptr) - 1
        if not self._by_lot and self.settings.fewest_genes == 1:
            return self._tokeniser.tokenise(expression)
        lottery: NDArray[np.float32] = rng.random(expression.nnz, dtype=np.float32)
        if self.settings.fewest_genes < 1:
            shown = rng.uniform(self.settings.fewest_genes, 1, rows)
            shown[rng.random(rows) < 0.5] = 1
            expression.data[rng.random(expression.nnz) > np.repeat(shown, np.diff(expression.indptr))] = 0
        return self._tokeniser.tokenise(expression, lottery if self._by_lot else None)


def _behind(mine: Tensor, others: Tensor, width: int) -> Tensor:
    """Put rows behind rows, padded to the same width."""
    return torch.cat([torch.nn.functional.pad(rows, (0, width - rows.shape[1])) for rows in (mine, others)])


def _masked(cells: CellTokens, share: float, most: int | None, rng: np.random.Generator) -> Bool[Tensor, "pair token"]:
    draw = torch.from_numpy(rng.random(cells.gene.shape))
    masked = (draw < share) & cells.known
    if most is None or most >= masked.shape[1]:
        return masked
    return masked & (draw <= draw.masked_fill(~masked, 2.0).kthvalue(most, dim=1, keepdim=True).values)


def _chances(pairs: Pairs, rows: NDArray[np.int64], balance: float) -> NDArray[np.float64] | None:
    """Cumulative chance of each row, or None when all are equal.

    By the kinds before noise: else wrong labels of a rare kind would be drawn far more often than they are.
    """
    if balance == 0 or len(rows) == 0:
        return None
    study = pairs.corpus.obs["study"].cat.codes.to_numpy()[rows].astype(np.int64)
    kind = study * (len(pairs.descriptions) + 1) + pairs.cell_type[pairs.description_before_noise[rows]] + 1
    _, code, size = np.unique(kind, return_inverse=True, return_counts=True)
    chance = np.cumsum(size[code].astype(float) ** -balance)
    return chance / chance[-1]
