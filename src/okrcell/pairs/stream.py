"""Batches of pairs, each determined by the seed and the step alone."""

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
    """Settings of batches: size, balancing of cell types, masking and dropping of genes."""

    batch_size: Annotated[int, Field(ge=1)] = 14
    """Pairs per step and device (paper: 14 on each of 32 devices)."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Balancing of cell types within studies: a cell is sampled in proportion to (size of its type in its study) ** -balance.
    0: all cells equally often. 1: all types of all studies equally often (method 11.8 proposes 0.5)."""
    mask: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (0.25, 0.5, 0.75)
    """Fractions of genes masked for the masked-expression losses; one is sampled per step [paper]. (0,) disables masking."""
    most_hidden: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of masked genes per cell (ours: predicting fewer genes costs less); None for no limit."""
    fewest_genes: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Minimum fraction of its genes that a cell keeps; the others are dropped to simulate smaller panels; 1 disables this
    (ours). The fraction is sampled per cell; half of the cells keep all genes."""
    keep_tokens: bool = False
    """Tokenise each cell once and cache its tokens in memory (six bytes per token): faster after the first epoch, with the same
    batches. Not allowed if genes are sampled anew at each visit: with ``fewest_genes`` below 1, or the tokenizer setting
    ``select: hashed``."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed of all batches."""


@dataclass(frozen=True)
class PairBatch:
    """A batch of pairs, as model input."""

    cells: CellTokens
    masked: Bool[Tensor, "pair token"]
    """Genes whose value is masked."""
    text: Int[Tensor, "pair"]
    """Index of the sampled text in `Pairs.texts` (with simulated pairs: in `KnowledgePairs.texts`, which begins with
    `Pairs.texts`); 0 for a cell without text."""
    cell_type: Int[Tensor, "pair"]
    """Index of the cell type, -1 if unknown."""
    trust: Float[Tensor, "pair"]
    """Weight of the pair: 0 for a cell without text (unknown type, or dropped description) or without genes, otherwise 1."""
    row: Int[Tensor, "pair"]
    """Row of the cell in the corpus; -1 for a simulated pair."""


class PairStream:
    """Data loader over the given rows of a corpus.

    ``batch(step)`` depends on the seed and the step alone, so that a resumed run sees the same batches as an uninterrupted
    one.

    Parameters
    ----------
    pairs
        Cells of the corpus with their texts.
    rows
        Rows of the corpus to sample from.
    tokeniser
        Tokenizer of the cells.
    settings
        Batch size, balancing, masking.
    kept
        Token cache of the same corpus and tokenizer, shared with another data loader. Used only with
        ``settings.keep_tokens`` and without expression noise; noisy cells get a cache of their own.
    knowledge
        Sampler of simulated pairs, which are appended to every batch of `batch`, without masking. Validation batches do not
        contain them.

    Raises
    ------
    SettingsError
        If ``settings.keep_tokens`` is set but each visit samples other genes.
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
        # At least one measured cell per batch, for the expression losses.
        self._simulated = min(simulated, settings.batch_size - 1)
        self.settings = settings
        self._tokeniser = tokeniser
        self._rows = np.asarray(rows)
        self._by_lot = tokeniser.settings.select == "hashed"
        self._kept = self._keeping(kept) if settings.keep_tokens else None
        self._chance = _chances(pairs, self._rows, settings.balance)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in which one device sees as many pairs as the dataset has."""
        return max(1, -(-self.pairs_per_epoch // self._cells))

    @property
    def pairs_per_epoch(self) -> int:
        """Number of measured pairs, without simulated ones."""
        return len(self._rows)

    @property
    def _cells(self) -> int:
        """Number of measured pairs per batch."""
        return self.settings.batch_size - self._simulated

    def batch(self, step: int, rank: int = 0, world: int = 1) -> PairBatch:
        """Batch of step ``step`` (from 0) for device ``rank`` of ``world`` devices."""
        rng = np.random.default_rng([self.settings.seed, step])
        everyone = self._drawn(step, self._cells * world, rng)
        share = np.random.default_rng([self.settings.seed, step, 1]).choice(self.settings.mask)
        rows = everyone[rank::world]
        batch = self._made(rows, float(share), np.random.default_rng([self.settings.seed, step, 2, rank]))
        if self._knowledge is None or not self._simulated:
            return batch
        return self._joined(batch, self._knowledge, np.random.default_rng([self.settings.seed, step, 5, rank]))

    def in_order(self, most: int | None = None) -> Iterator[PairBatch]:
        """Iterate once over the rows, in order, for validation. Texts and masks are the same at every call.

        With ``most``, at most ``most`` batches, of evenly spaced rows.
        """
        size = self.settings.batch_size
        rows = self._rows[:: 1 if most is None else max(1, -(-len(self._rows) // (most * size)))]
        for number, start in enumerate(range(0, len(rows), size)):
            rng = np.random.default_rng([self.settings.seed, number, 3])
            yield self._made(rows[start : start + size], float(np.median(self.settings.mask)), rng)

    def _drawn(self, step: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self._chance is not None:
            return self._rows[np.searchsorted(self._chance, rng.random(size), side="right")]
        # Epochs, each with its own permutation; a batch may span two epochs.
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
                    "stream.keep_tokens caches the tokens of a cell, but these settings sample other genes at each visit: "
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
        """Append simulated pairs to the measured ones, with the same dropping of genes."""
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
    """Concatenate rows, padded to the same width."""
    return torch.cat([torch.nn.functional.pad(rows, (0, width - rows.shape[1])) for rows in (mine, others)])


def _masked(cells: CellTokens, share: float, most: int | None, rng: np.random.Generator) -> Bool[Tensor, "pair token"]:
    draw = torch.from_numpy(rng.random(cells.gene.shape))
    masked = (draw < share) & cells.known
    if most is None or most >= masked.shape[1]:
        return masked
    return masked & (draw <= draw.masked_fill(~masked, 2.0).kthvalue(most, dim=1, keepdim=True).values)


def _chances(pairs: Pairs, rows: NDArray[np.int64], balance: float) -> NDArray[np.float64] | None:
    """Cumulative sampling probability of the rows, or None if it is uniform.

    By the cell types before label noise: otherwise wrong labels of a rare type would be sampled far too often.
    """
    if balance == 0 or len(rows) == 0:
        return None
    study = pairs.corpus.obs["study"].cat.codes.to_numpy()[rows].astype(np.int64)
    kind = study * (len(pairs.descriptions) + 1) + pairs.cell_type[pairs.description_before_noise[rows]] + 1
    _, code, size = np.unique(kind, return_inverse=True, return_counts=True)
    chance = np.cumsum(size[code].astype(float) ** -balance)
    return chance / chance[-1]
