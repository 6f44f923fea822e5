"""Batches of pairs, each determined by the seed and the step alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from pydantic import AliasChoices, Field
from scipy import sparse
from torch import Tensor

from okrcell.cells.tokenizer import CellTokenizer, CellTokens
from okrcell.data.dataset import PairDataset
from okrcell.data.simulated_pairs import SimulatedPairs
from okrcell.errors import SettingsError
from okrcell.settings import Settings


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


class StreamSettings(Settings):
    """Settings of batches: size, balancing of cell types, masking and dropping of genes."""

    batch_size: Annotated[int, Field(ge=1)] = 14
    """Pairs per step and device (paper: 14 on each of 32 devices)."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Balancing of cell types within studies: a cell is sampled in proportion to (size of its type in its study) ** -balance.
    0: all cells equally often. 1: all types of all studies equally often (method 11.8 proposes 0.5)."""
    mask: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (0.25, 0.5, 0.75)
    """Fractions of genes masked for the masked-expression losses; one is sampled per step [paper]. (0,) disables masking."""
    max_masked_genes: Annotated[
        Annotated[int, Field(ge=1)] | None, Field(validation_alias=AliasChoices("max_masked_genes", "most_hidden"))
    ] = None
    """Maximum number of masked genes per cell (ours: predicting fewer genes costs less); None for no limit."""
    min_gene_fraction: Annotated[
        float, Field(gt=0, le=1, validation_alias=AliasChoices("min_gene_fraction", "fewest_genes"))
    ] = 1.0
    """Minimum fraction of its genes that a cell keeps; the others are dropped to simulate smaller panels; 1 disables this
    (ours). The fraction is sampled per cell; half of the cells keep all genes."""
    keep_tokens: bool = False
    """Tokenise each cell once and cache its tokens in memory (six bytes per token): faster after the first epoch, with the same
    batches. Not allowed if genes are sampled anew at each visit: with ``min_gene_fraction`` below 1, or the tokenizer setting
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
    """Index of the sampled text in `PairDataset.texts` (with simulated pairs: in `SimulatedPairs.texts`, which begins with
    `PairDataset.texts`); 0 for a cell without text."""
    cell_type: Int[Tensor, "pair"]
    """Index of the cell type, -1 if unknown."""
    weight: Float[Tensor, "pair"]
    """Weight of the pair: 0 for a cell without text (unknown type, or dropped description) or without genes, otherwise 1."""
    row: Int[Tensor, "pair"]
    """Row of the cell in the corpus; -1 for a simulated pair."""


class PairDataLoader:
    """Data loader over the given rows of a corpus.

    ``batch(step)`` depends on the seed and the step alone, so that a resumed run sees the same batches as an uninterrupted
    one.

    Parameters
    ----------
    dataset
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
        dataset: PairDataset,
        rows: NDArray[np.int64],
        tokenizer: CellTokenizer,
        settings: StreamSettings,
        token_cache: TokenCache | None = None,
        simulated_pairs: SimulatedPairs | None = None,
    ) -> None:
        self.dataset = dataset
        self._simulated_pairs = simulated_pairs
        n_simulated = 0 if simulated_pairs is None else round(simulated_pairs.settings.share * settings.batch_size)
        # At least one measured cell per batch, for the expression losses.
        self._n_simulated = min(n_simulated, settings.batch_size - 1)
        self.settings = settings
        self._tokenizer = tokenizer
        self._rows = np.asarray(rows)
        self._samples_genes = tokenizer.settings.select == "hashed"
        self._token_cache = self._build_token_cache(token_cache) if settings.keep_tokens else None
        self._cumulative_probs = _cumulative_probabilities(dataset, self._rows, settings.balance)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in which one device sees as many pairs as the dataset has."""
        return max(1, -(-self.pairs_per_epoch // self._n_measured))

    @property
    def pairs_per_epoch(self) -> int:
        """Number of measured pairs, without simulated ones."""
        return len(self._rows)

    @property
    def _n_measured(self) -> int:
        """Number of measured pairs per batch."""
        return self.settings.batch_size - self._n_simulated

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> PairBatch:
        """Batch of step ``step`` (from 0) for device ``rank`` of ``world_size`` devices."""
        rng = np.random.default_rng([self.settings.seed, step])
        global_rows = self._sample_rows(step, self._n_measured * world_size, rng)
        mask_fraction = np.random.default_rng([self.settings.seed, step, 1]).choice(self.settings.mask)
        rows = global_rows[rank::world_size]
        batch = self._collate(rows, float(mask_fraction), np.random.default_rng([self.settings.seed, step, 2, rank]))
        if self._simulated_pairs is None or not self._n_simulated:
            return batch
        return self._append_simulated(
            batch, self._simulated_pairs, np.random.default_rng([self.settings.seed, step, 5, rank])
        )

    def validation_batches(self, max_batches: int | None = None) -> Iterator[PairBatch]:
        """Iterate once over the rows, in order, for validation. Texts and masks are the same at every call.

        With ``max_batches``, at most ``max_batches`` batches, of evenly spaced rows.
        """
        size = self.settings.batch_size
        rows = self._rows[:: 1 if max_batches is None else max(1, -(-len(self._rows) // (max_batches * size)))]
        for batch_id, start in enumerate(range(0, len(rows), size)):
            rng = np.random.default_rng([self.settings.seed, batch_id, 3])
            yield self._collate(rows[start : start + size], float(np.median(self.settings.mask)), rng)

    def _sample_rows(self, step: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self._cumulative_probs is not None:
            return self._rows[np.searchsorted(self._cumulative_probs, rng.random(size), side="right")]
        # Epochs, each with its own permutation; a batch may span two epochs.
        positions = np.arange(step * size, (step + 1) * size)
        sampled = np.empty(size, dtype=np.int64)
        for epoch in np.unique(positions // len(self._rows)):
            in_epoch = positions // len(self._rows) == epoch
            order = np.random.default_rng([self.settings.seed, epoch, 4]).permutation(len(self._rows))
            sampled[in_epoch] = self._rows[order[positions[in_epoch] % len(self._rows)]]
        return sampled

    def _build_token_cache(self, token_cache: TokenCache | None) -> TokenCache:
        for is_resampled, remedy in (
            (self._samples_genes, "set model.tokeniser.select to highest or relative"),
            (self.settings.min_gene_fraction < 1, "set stream.min_gene_fraction to 1"),
        ):
            if is_resampled:
                raise SettingsError(
                    "stream.keep_tokens caches the tokens of a cell, but these settings sample other genes at each visit: "
                    f"{remedy}, or stream.keep_tokens to false."
                )
        if token_cache is None or self.dataset.has_noise:
            return TokenCache(self.dataset, self._tokenizer)
        return token_cache

    def _collate(self, rows: NDArray[np.int64], mask_fraction: float, rng: np.random.Generator) -> PairBatch:
        dataset = self.dataset
        cells = (
            self._token_cache.tokens(rows)
            if self._token_cache is not None
            else self._tokenize(dataset.expression(rows), rng, self._measured(rows))
        )
        masked = _sample_mask(cells, mask_fraction, self.settings.max_masked_genes, rng)
        description = dataset.description[rows]
        text = [dataset.sample_text(int(description_id), rng.random()) for description_id in description]
        cell_type = dataset.cell_type[description]
        return PairBatch(
            cells,
            masked,
            torch.tensor(text, dtype=torch.long),
            torch.from_numpy(cell_type.astype(np.int64)),
            (torch.from_numpy(dataset.has_text[rows]) & cells.attention_mask.any(dim=1)).float(),
            torch.from_numpy(rows.astype(np.int64)),
        )

    def _append_simulated(
        self, batch: PairBatch, simulated_pairs: SimulatedPairs, rng: np.random.Generator
    ) -> PairBatch:
        """Append simulated pairs to the measured ones, with the same dropping of genes."""
        simulated = simulated_pairs.sample(self._n_simulated, rng)
        cells = self._tokenize(simulated.expression, rng)
        width = max(batch.cells.gene.shape[1], cells.gene.shape[1])
        return PairBatch(
            CellTokens(
                _pad_concat(batch.cells.gene, cells.gene, width), _pad_concat(batch.cells.value, cells.value, width)
            ),
            _pad_concat(batch.masked, torch.zeros_like(cells.gene, dtype=torch.bool), width),
            torch.cat([batch.text, torch.from_numpy(simulated.text)]),
            torch.cat([batch.cell_type, torch.from_numpy(simulated.cell_type)]),
            torch.cat([batch.weight, cells.attention_mask.any(dim=1).float()]),
            torch.cat([batch.row, torch.full((len(simulated.text),), -1)]),
        )

    def _measured(self, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Measured genes of the cells, if the tokenizer needs them."""
        return self.dataset.measured(rows) if self._tokenizer.settings.kind == "expression" else None

    def _tokenize(
        self, expression: sparse.csr_matrix, rng: np.random.Generator, measured: NDArray[np.bool_] | None = None
    ) -> CellTokens:
        n_rows = len(expression.indptr) - 1
        if not self._samples_genes and self.settings.min_gene_fraction == 1:
            return self._tokenizer.tokenize(expression, measured=measured)
        random_keys: NDArray[np.float32] = rng.random(expression.nnz, dtype=np.float32)
        if self.settings.min_gene_fraction < 1:
            keep_fraction = rng.uniform(self.settings.min_gene_fraction, 1, n_rows)
            keep_fraction[rng.random(n_rows) < 0.5] = 1
            if measured is not None:
                # Genes are dropped whether or not they are expressed: a gene without counts would count as absent.
                measured = measured & (rng.random(measured.shape, dtype=np.float32) <= keep_fraction[:, None])
                dropped = ~measured[np.repeat(np.arange(n_rows), np.diff(expression.indptr)), expression.indices]
            else:
                dropped = rng.random(expression.nnz) > np.repeat(keep_fraction, np.diff(expression.indptr))
            expression.data[dropped] = 0
        return self._tokenizer.tokenize(expression, random_keys if self._samples_genes else None, measured)


def _pad_concat(first: Tensor, second: Tensor, width: int) -> Tensor:
    """Concatenate rows, padded to the same width."""
    return torch.cat([torch.nn.functional.pad(rows, (0, width - rows.shape[1])) for rows in (first, second)])


def _sample_mask(
    cells: CellTokens, fraction: float, max_masked: int | None, rng: np.random.Generator
) -> Bool[Tensor, "pair token"]:
    random_numbers = torch.from_numpy(rng.random(cells.gene.shape))
    masked = (random_numbers < fraction) & cells.attention_mask
    if max_masked is None or max_masked >= masked.shape[1]:
        return masked
    return masked & (
        random_numbers <= random_numbers.masked_fill(~masked, 2.0).kthvalue(max_masked, dim=1, keepdim=True).values
    )


def _cumulative_probabilities(
    dataset: PairDataset, rows: NDArray[np.int64], balance: float
) -> NDArray[np.float64] | None:
    """Cumulative sampling probability of the rows, or None if it is uniform.

    By the cell types before label noise: otherwise wrong labels of a rare type would be sampled far too often.
    """
    if balance == 0 or len(rows) == 0:
        return None
    study = dataset.corpus.obs["study"].cat.codes.to_numpy()[rows].astype(np.int64)
    stratum = study * (len(dataset.descriptions) + 1) + dataset.cell_type[dataset.clean_description[rows]] + 1
    _, code, size = np.unique(stratum, return_inverse=True, return_counts=True)
    cumulative = np.cumsum(size[code].astype(float) ** -balance)
    return cumulative / cumulative[-1]
