"""Cell tokenizer: gene tokens with binned values (quantile or rank)."""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from torch import Tensor

from okrcell.cells.genes import GeneTable
from okrcell.cells.vocabulary import PADDING, SCALED_TOTAL, GeneVocabulary
from okrcell.settings import Settings

ROWS_AT_ONCE = 512
"""Number of cells that are padded and tokenised together."""


class TokeniserSettings(Settings):
    """Settings of the cell tokenizer. Saved in the checkpoint; the same in training and inference."""

    kind: Literal["quantile_bins", "rank"] = "quantile_bins"
    """quantile_bins: fraction of the cell's expressed genes with a lower value (method 3.1, after scGPT's quantile edges;
    our reconstruction of the paper's "equal-interval bins"). rank: rank of the gene by relative expression within the cell
    (after Geneformer)."""
    bins: Annotated[int, Field(ge=3, le=4096)] = 51
    """Number of value bins; 0 means no expression, expressed genes have 1 .. bins - 1."""
    limit: Annotated[int, Field(ge=1)] = 1200
    """Maximum number of tokens per cell (paper: 1,200)."""
    select: Literal["hashed", "highest", "relative"] = "hashed"
    """Genes that are kept if a cell has more than ``limit``. hashed: a pseudo-random choice seeded by the cell's own
    values. highest: the highest expressed ones. relative: those highest above their mean in the corpus. Our
    reconstruction: the paper samples genes in training and does not describe inference."""
    value: Literal["expression", "relative"] = "expression"
    """Quantity that is binned: expression, or expression relative to the gene's mean in the corpus (ours)."""


@dataclass(frozen=True)
class CellTokens:
    """Gene tokens of cells with their value bins, padded at the end."""

    gene: Int[Tensor, "cell token"]
    """Gene tokens: 0 is padding, gene ``i`` of the vocabulary is ``i + 1``."""
    value: Int[Tensor, "cell token"]
    """Value bins: 0 is padding, otherwise 1 .. bins - 1; higher means more expression."""

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.gene)

    @property
    def known(self) -> Tensor:
        """Bool (cell, token): True for gene tokens, False for padding."""
        return self.gene != PADDING


@runtime_checkable
class CellTokeniser(Protocol):
    """Protocol of cell tokenizers: expression on the gene-table axis to gene tokens with value bins.

    The tokens of a cell depend on this cell alone, never on the other cells of a batch. `BinTokeniser` implements the
    protocol.

    Attributes
    ----------
    settings
        Settings of the tokenizer, saved in the checkpoint.
    vocabulary
        Genes of the model, in token order.
    """

    settings: TokeniserSettings
    vocabulary: GeneVocabulary

    def tokenise(self, rows: sparse.csr_matrix, keep: NDArray[np.float32] | None = None) -> CellTokens:
        """Convert rows of expression to tokens.

        Parameters
        ----------
        rows
            float (cell, gene of the table), linear scale, not negative.
        keep
            For training only: uniform random numbers in [0, 1), one per stored value of ``rows``. If a cell has more than
            ``settings.limit`` genes, those with the lowest numbers are kept.

        Returns
        -------
        Tokens of the cells, in the order of ``rows``, padded to the longest cell and at most ``settings.limit`` wide.
        """
        ...


class BinTokeniser:
    """Tokenizer with value bins by quantile or by rank (method 3.1, E2).

    Parameters
    ----------
    settings
        Number of bins, maximum number of tokens, gene selection.
    vocabulary
        Genes of the model.
    table
        Gene table that defines the gene axis of the rows.
    """

    def __init__(self, settings: TokeniserSettings, vocabulary: GeneVocabulary, table: GeneTable) -> None:
        self.settings = settings
        self.vocabulary = vocabulary
        self._token = vocabulary.tokens(table)
        self._log_scale = torch.from_numpy(np.concatenate([[0.0], np.log1p(vocabulary.scale)]).astype(np.float32))

    def tokenise(self, rows: sparse.csr_matrix, keep: NDArray[np.float32] | None = None) -> CellTokens:
        """Convert rows of expression to tokens.

        Parameters
        ----------
        rows
            float (cell, gene of the table), linear scale, not negative.
        keep
            For training only: uniform random numbers in [0, 1), one per stored value of ``rows``. If a cell has more than
            ``settings.limit`` genes, those with the lowest numbers are kept ("sampled anew in each iteration", method 3.1).

        Returns
        -------
        Tokens of the cells, in the order of ``rows``, padded to the longest cell and at most ``settings.limit`` wide.
        """
        cells = len(rows.indptr) - 1
        draw = None if keep is None else sparse.csr_matrix((keep, rows.indices, rows.indptr), shape=rows.shape)
        # Cells of similar size are tokenised together, because each is padded to the largest cell of its chunk.
        by_size = np.argsort(-np.diff(rows.indptr), kind="stable")
        companies = [by_size[start : start + ROWS_AT_ONCE] for start in range(0, cells, ROWS_AT_ONCE)]
        parts = [self._tokenise(rows[some], None if draw is None else draw[some].data) for some in companies]
        width = max((part.gene.shape[1] for part in parts), default=1)
        gene, value = torch.zeros(cells, width, dtype=torch.long), torch.zeros(cells, width, dtype=torch.long)
        for some, part in zip(companies, parts, strict=True):
            gene[some, : part.gene.shape[1]] = part.gene
            value[some, : part.gene.shape[1]] = part.value
        return CellTokens(gene, value)

    def _tokenise(self, rows: sparse.csr_matrix, keep: NDArray[np.float32] | None) -> CellTokens:
        settings = self.settings
        gene, expression, lottery = self._padded(rows, keep)
        by_rank = settings.kind == "rank"
        relative = expression
        if by_rank or "relative" in (settings.value, settings.select):
            relative = self._relative(gene, expression, rows)
        value = _quantile_bins(
            expression if settings.value == "expression" else relative, gene != PADDING, settings.bins
        )
        if by_rank:
            chosen = _highest(relative, gene, settings.limit)
            gene = gene.gather(1, chosen)
            place = torch.arange(gene.shape[1]).expand_as(gene)
            value = settings.bins - 1 - place * (settings.bins - 1) // settings.limit
            return _trimmed(gene, value)
        # Selection and order of a cell's genes depend on this cell alone.
        large = (gene != PADDING).sum(dim=1) > settings.limit
        places = torch.arange(min(gene.shape[1], settings.limit)).repeat(len(gene), 1)
        if bool(large.any()):
            if lottery is not None:
                order = lottery[large]
            elif settings.select == "hashed":
                order = _hashed(gene[large], value[large] * (gene[large] != PADDING))
            else:
                order = (relative if settings.select == "relative" else expression)[large]
            places[large] = _highest(order, gene[large], settings.limit)
        return _trimmed(gene.gather(1, places), value.gather(1, places))

    def _padded(
        self, rows: sparse.csr_matrix, keep: NDArray[np.float32] | None
    ) -> tuple[Tensor, Float[Tensor, "cell token"], Tensor | None]:
        """Dense (cell, token) arrays of genes, expression and selection priority, without genes outside the vocabulary."""
        token = self._token[rows.indices]
        known = (token != PADDING) & (rows.data > 0)
        cells = len(rows.indptr) - 1
        row = np.repeat(np.arange(cells), np.diff(rows.indptr))[known]
        count = np.bincount(row, minlength=cells)
        place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        shape = (cells, max(int(count.max(initial=0)), 1))
        gene = torch.zeros(shape, dtype=torch.long)
        gene[row, place] = torch.from_numpy(token[known].astype(np.int64))
        expression = torch.zeros(shape)
        expression[row, place] = torch.from_numpy(rows.data[known].astype(np.float32))
        if keep is None:
            return gene, expression, None
        lottery = torch.zeros(shape)
        lottery[row, place] = torch.from_numpy(-keep[known])
        return gene, expression, lottery

    def _relative(self, gene: Tensor, expression: Tensor, rows: sparse.csr_matrix) -> Tensor:
        """Log expression at `SCALED_TOTAL` counts minus the log of the gene's mean in the corpus."""
        total = torch.from_numpy(np.asarray(rows.sum(axis=1), dtype=np.float32)).clamp_min(1e-12)
        return torch.log1p(expression * (SCALED_TOTAL / total)) - self._log_scale[gene]


def _quantile_bins(value: Float[Tensor, "cell gene"], present: Tensor, bins: int) -> Int[Tensor, "cell gene"]:
    """Bin 1 .. bins - 1 of each value by its quantile within the cell; ties get their mid-rank.

    Invariant under monotone transformations (log, counts per million).
    """
    ordered, origin = value.masked_fill(~present, torch.inf).sort(dim=1)
    place = torch.arange(value.shape[1])
    starts = torch.ones_like(present)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = torch.where(starts, place, 0).cummax(dim=1).values
    ends = starts.roll(-1, dims=1)
    ends[:, -1] = True
    last = torch.where(ends, place, value.shape[1]).flip(1).cummin(dim=1).values.flip(1)
    # Integer arithmetic: rounding errors would move values on a bin edge to either side.
    twice = 2 * present.sum(1, keepdim=True).clamp_min(1)
    classes = (1 + (first + last) * (bins - 1) // twice).clamp(max=bins - 1)
    return torch.empty_like(classes).scatter_(1, origin, classes)


def _highest(order: Tensor, gene: Int[Tensor, "cell gene"], limit: int) -> Int[Tensor, "cell token"]:
    """Column indices of the ``limit`` genes with the highest ``order``, highest first; padding last."""
    order = order.masked_fill(gene == PADDING, -torch.inf)
    return order.sort(dim=1, descending=True, stable=True).indices[:, :limit]


def _trimmed(gene: Int[Tensor, "cell token"], value: Int[Tensor, "cell token"]) -> CellTokens:
    """Remove columns with padding only."""
    width = max(int((gene != PADDING).sum(dim=1).max()) if len(gene) else 0, 1)
    gene = gene[:, :width]
    return CellTokens(gene, value[:, :width] * (gene != PADDING))


def _hashed(gene: Int[Tensor, "cell gene"], value: Int[Tensor, "cell gene"]) -> Float[Tensor, "cell gene"]:
    """Pseudo-random number of each gene, determined by the genes and value bins of its cell.

    It uses bins rather than values, so that the same genes are selected from counts and from log values.
    """
    genes, classes = gene.numpy().astype(np.uint64), value.numpy().astype(np.uint64)
    own = np.where(genes == PADDING, np.uint64(0), _mixed(genes * np.uint64(4096) + classes))
    seed = own.sum(axis=1, keepdims=True, dtype=np.uint64)
    return torch.from_numpy((_mixed(genes ^ seed) >> np.uint64(11)).astype(np.float64))


def _mixed(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash 64-bit integers (the finaliser of SplitMix64)."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))
