"""Cell tokenizers: gene tokens with binned values (quantile or rank), or with the expression itself."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from torch import Tensor

from okrcell.cells.genes import PADDING, TARGET_SUM, GeneTable, GeneVocabulary
from okrcell.settings import Settings

CHUNK_SIZE = 512
"""Number of cells that are padded and tokenised together."""


class TokenizerSettings(Settings):
    """Settings of the cell tokenizer. Saved in the checkpoint; the same in training and inference."""

    kind: Literal["quantile_bins", "rank", "expression"] = "quantile_bins"
    """quantile_bins: fraction of the cell's expressed genes with a lower value (method 3.1, after scGPT's quantile edges;
    our reconstruction of the paper's "equal-interval bins"). rank: rank of the gene by relative expression within the cell
    (after Geneformer). expression: linear expression of all expressed genes, for the linear cell encoder (ours); ``bins``,
    ``limit``, ``select`` and ``value`` are not used."""
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
    value: Int[Tensor, "cell token"] | Float[Tensor, "cell token"]
    """Value bins: 0 is padding, otherwise 1 .. bins - 1; higher means more expression. Of the kind ``expression``: linear
    expression."""
    measured: Bool[Tensor, "cell_or_one gene"] | None = None
    """Measured genes of the vocabulary, for each cell or for all cells (one row), as the kind ``expression`` needs them; None
    if all were measured."""

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.gene)

    def select(self, cells: Tensor, width: int) -> "CellTokens":
        """Select cells, and cut their tokens to ``width`` columns."""
        measured = self.measured
        if measured is not None and len(measured) > 1:
            measured = measured[cells]
        return CellTokens(self.gene[cells, :width], self.value[cells, :width], measured)

    @property
    def attention_mask(self) -> Tensor:
        """Bool (cell, token): True for gene tokens, False for padding."""
        return self.gene != PADDING


@runtime_checkable
class CellTokenizer(Protocol):
    """Protocol of cell tokenizers: expression on the gene-table axis to gene tokens with value bins.

    The tokens of a cell depend on this cell alone, never on the other cells of a batch. `BinTokenizer` implements the
    protocol.

    Attributes
    ----------
    settings
        Settings of the tokenizer, saved in the checkpoint.
    vocabulary
        Genes of the model, in token order.
    """

    settings: TokenizerSettings
    vocabulary: GeneVocabulary

    def tokenize(
        self,
        rows: sparse.csr_matrix,
        random_keys: NDArray[np.float32] | None = None,
        measured: NDArray[np.bool_] | None = None,
    ) -> CellTokens:
        """Convert rows of expression to tokens.

        Parameters
        ----------
        rows
            float (cell, gene of the table), linear scale, not negative.
        random_keys
            For training only: uniform random numbers in [0, 1), one per stored value of ``rows``. If a cell has more than
            ``settings.limit`` genes, those with the lowest numbers are kept.
        measured
            Measured genes of the table, for all cells (gene,) or for each (cell, gene); all by default. Used by the kind
            ``expression``, where a gene without counts and a gene that was not measured are not the same.

        Returns
        -------
        Tokens of the cells, in the order of ``rows``, padded to the longest cell and at most ``settings.limit`` wide.
        """
        ...


class BinTokenizer:
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

    def __init__(self, settings: TokenizerSettings, vocabulary: GeneVocabulary, table: GeneTable) -> None:
        self.settings = settings
        self.vocabulary = vocabulary
        self._token_of_gene = vocabulary.tokens(table)
        self._log_scale = torch.from_numpy(np.concatenate([[0.0], np.log1p(vocabulary.scale)]).astype(np.float32))

    def tokenize(
        self,
        rows: sparse.csr_matrix,
        random_keys: NDArray[np.float32] | None = None,
        measured: NDArray[np.bool_] | None = None,
    ) -> CellTokens:
        """Convert rows of expression to tokens.

        Parameters
        ----------
        rows
            float (cell, gene of the table), linear scale, not negative.
        random_keys
            For training only: uniform random numbers in [0, 1), one per stored value of ``rows``. If a cell has more than
            ``settings.limit`` genes, those with the lowest numbers are kept ("sampled anew in each iteration", method 3.1).
        measured
            Not used.

        Returns
        -------
        Tokens of the cells, in the order of ``rows``, padded to the longest cell and at most ``settings.limit`` wide.
        """
        n_cells = len(rows.indptr) - 1
        key_rows = (
            None
            if random_keys is None
            else sparse.csr_matrix((random_keys, rows.indices, rows.indptr), shape=rows.shape)
        )
        # Cells of similar size are tokenised together, because each is padded to the largest cell of its chunk.
        by_size = np.argsort(-np.diff(rows.indptr), kind="stable")
        chunks = [by_size[start : start + CHUNK_SIZE] for start in range(0, n_cells, CHUNK_SIZE)]
        parts = [
            self._tokenize_chunk(rows[chunk], None if key_rows is None else key_rows[chunk].data) for chunk in chunks
        ]
        width = max((part.gene.shape[1] for part in parts), default=1)
        gene, value = torch.zeros(n_cells, width, dtype=torch.long), torch.zeros(n_cells, width, dtype=torch.long)
        for chunk, part in zip(chunks, parts, strict=True):
            gene[chunk, : part.gene.shape[1]] = part.gene
            value[chunk, : part.gene.shape[1]] = part.value
        return CellTokens(gene, value)

    def _tokenize_chunk(self, rows: sparse.csr_matrix, random_keys: NDArray[np.float32] | None) -> CellTokens:
        settings = self.settings
        gene, expression, column_of = _pad_rows(rows, self._token_of_gene)
        random_priority = None
        if random_keys is not None:
            random_priority = torch.zeros(expression.shape)
            random_priority[column_of.row, column_of.column] = torch.from_numpy(-random_keys[column_of.entry])
        is_rank = settings.kind == "rank"
        relative = expression
        if is_rank or "relative" in (settings.value, settings.select):
            relative = self._relative_expression(gene, expression, rows)
        value = _quantile_bins(
            expression if settings.value == "expression" else relative, gene != PADDING, settings.bins
        )
        if is_rank:
            top = _top_columns(relative, gene, settings.limit)
            gene = gene.gather(1, top)
            rank = torch.arange(gene.shape[1]).expand_as(gene)
            value = settings.bins - 1 - rank * (settings.bins - 1) // settings.limit
            return _trim_padding(gene, value)
        # Selection and order of a cell's genes depend on this cell alone.
        exceeds_limit = (gene != PADDING).sum(dim=1) > settings.limit
        columns = torch.arange(min(gene.shape[1], settings.limit)).repeat(len(gene), 1)
        if bool(exceeds_limit.any()):
            if random_priority is not None:
                priority = random_priority[exceeds_limit]
            elif settings.select == "hashed":
                priority = _hash_priority(gene[exceeds_limit], value[exceeds_limit] * (gene[exceeds_limit] != PADDING))
            else:
                priority = (relative if settings.select == "relative" else expression)[exceeds_limit]
            columns[exceeds_limit] = _top_columns(priority, gene[exceeds_limit], settings.limit)
        return _trim_padding(gene.gather(1, columns), value.gather(1, columns))

    def _relative_expression(self, gene: Tensor, expression: Tensor, rows: sparse.csr_matrix) -> Tensor:
        """Log expression at `TARGET_SUM` counts minus the log of the gene's mean in the corpus."""
        total = torch.from_numpy(np.asarray(rows.sum(axis=1), dtype=np.float32)).clamp_min(1e-12)
        return torch.log1p(expression * (TARGET_SUM / total)) - self._log_scale[gene]


class ExpressionTokenizer:
    """Tokenizer of the kind ``expression``: all expressed genes with their linear expression, and the measured genes.

    Parameters
    ----------
    settings
        Settings of kind ``expression``.
    vocabulary
        Genes of the model.
    table
        Gene table that defines the gene axis of the rows.
    """

    def __init__(self, settings: TokenizerSettings, vocabulary: GeneVocabulary, table: GeneTable) -> None:
        self.settings = settings
        self.vocabulary = vocabulary
        self._token_of_gene = vocabulary.tokens(table)
        self._gene_rows = vocabulary.rows(table)

    def tokenize(
        self,
        rows: sparse.csr_matrix,
        random_keys: NDArray[np.float32] | None = None,
        measured: NDArray[np.bool_] | None = None,
    ) -> CellTokens:
        """Convert rows of expression to tokens; see `CellTokenizer.tokenize`. No gene is left out, so there is no sampling."""
        gene, expression, _ = _pad_rows(rows, self._token_of_gene)
        if measured is not None:
            measured = np.atleast_2d(measured)[:, self._gene_rows]
        return CellTokens(gene, expression, None if measured is None else torch.from_numpy(measured))


def build_tokenizer(
    settings: TokenizerSettings, vocabulary: GeneVocabulary, table: GeneTable
) -> BinTokenizer | ExpressionTokenizer:
    """Build the tokenizer of ``settings.kind``."""
    return (ExpressionTokenizer if settings.kind == "expression" else BinTokenizer)(settings, vocabulary, table)


def measured_genes(rows: sparse.csr_matrix) -> NDArray[np.bool_]:
    """Mark the genes that any of these cells expresses: the measured ones, where a file does not say so."""
    return np.asarray(rows.getnnz(axis=0) > 0)


class _Positions(NamedTuple):
    """Where the expressed genes of rows are in padded (cell, token) arrays."""

    row: NDArray[np.intp]
    column: NDArray[np.intp]
    entry: NDArray[np.bool_]
    """Stored values of the rows that are expression of a gene of the vocabulary."""


def _pad_rows(
    rows: sparse.csr_matrix, token_of_gene: NDArray[np.int32]
) -> tuple[Int[Tensor, "cell token"], Float[Tensor, "cell token"], _Positions]:
    """Dense (cell, token) arrays of genes and expression, without genes outside the vocabulary, padded at the end."""
    token = token_of_gene[rows.indices]
    in_vocabulary = (token != PADDING) & (rows.data > 0)
    n_cells = len(rows.indptr) - 1
    row = np.repeat(np.arange(n_cells), np.diff(rows.indptr))[in_vocabulary]
    count = np.bincount(row, minlength=n_cells)
    column = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    shape = (n_cells, max(int(count.max(initial=0)), 1))
    gene = torch.zeros(shape, dtype=torch.long)
    gene[row, column] = torch.from_numpy(token[in_vocabulary].astype(np.int64))
    expression = torch.zeros(shape)
    expression[row, column] = torch.from_numpy(rows.data[in_vocabulary].astype(np.float32))
    return gene, expression, _Positions(row, column, in_vocabulary)


def _quantile_bins(value: Float[Tensor, "cell gene"], present: Tensor, bins: int) -> Int[Tensor, "cell gene"]:
    """Bin 1 .. bins - 1 of each value by its quantile within the cell; ties get their mid-rank.

    Invariant under monotone transformations (log, counts per million).
    """
    sorted_values, order = value.masked_fill(~present, torch.inf).sort(dim=1)
    position = torch.arange(value.shape[1])
    starts = torch.ones_like(present)
    starts[:, 1:] = sorted_values[:, 1:] != sorted_values[:, :-1]
    first = torch.where(starts, position, 0).cummax(dim=1).values
    ends = starts.roll(-1, dims=1)
    ends[:, -1] = True
    last = torch.where(ends, position, value.shape[1]).flip(1).cummin(dim=1).values.flip(1)
    # Integer arithmetic: rounding errors would move values on a bin edge to either side.
    double_count = 2 * present.sum(1, keepdim=True).clamp_min(1)
    classes = (1 + (first + last) * (bins - 1) // double_count).clamp(max=bins - 1)
    return torch.empty_like(classes).scatter_(1, order, classes)


def _top_columns(priority: Tensor, gene: Int[Tensor, "cell gene"], limit: int) -> Int[Tensor, "cell token"]:
    """Column indices of the ``limit`` genes with the highest ``priority``, highest first; padding last."""
    priority = priority.masked_fill(gene == PADDING, -torch.inf)
    return priority.sort(dim=1, descending=True, stable=True).indices[:, :limit]


def _trim_padding(gene: Int[Tensor, "cell token"], value: Int[Tensor, "cell token"]) -> CellTokens:
    """Remove columns with padding only."""
    width = max(int((gene != PADDING).sum(dim=1).max()) if len(gene) else 0, 1)
    gene = gene[:, :width]
    return CellTokens(gene, value[:, :width] * (gene != PADDING))


def _hash_priority(gene: Int[Tensor, "cell gene"], value: Int[Tensor, "cell gene"]) -> Float[Tensor, "cell gene"]:
    """Pseudo-random number of each gene, determined by the genes and value bins of its cell.

    It uses bins rather than values, so that the same genes are selected from counts and from log values.
    """
    genes, classes = gene.numpy().astype(np.uint64), value.numpy().astype(np.uint64)
    gene_hashes = np.where(genes == PADDING, np.uint64(0), _splitmix64(genes * np.uint64(4096) + classes))
    seed = gene_hashes.sum(axis=1, keepdims=True, dtype=np.uint64)
    return torch.from_numpy((_splitmix64(genes ^ seed) >> np.uint64(11)).astype(np.float64))


def _splitmix64(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash 64-bit integers (the finaliser of SplitMix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
