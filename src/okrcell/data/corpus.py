"""Pretraining corpus: memory-mapped Arrow shards with random access to single cells.

A corpus is a folder::

    corpus.json              manifest: the gene table, the sources, the shards with their sizes and sha256
    genes-00001.arrow        per gene: names, number of cells that express it, sum of its scaled values
    shards/00000.arrow       up to 65,536 cells of one source: per cell a list of gene rows and a list of linear values
    shards/00000.obs.arrow   metadata of the same cells: cell type, tissue, study, donor ...

The lists are not compressed, so a cell is a slice of a memory-mapped file and needs no decoding. Gene rows are stored in
16 bits, as are integer counts that fit; all other values are 32-bit floats, so nothing is rounded. The benchmark behind
this format is in ``docs/results/corpus-store.md``.
"""

import hashlib
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from okrcell.cells.corpus_folder import (
    CorpusManifest,
    CorpusSource,
    check_gene_table,
    obs_file,
    read_arrow,
    read_gene_stats,
    read_manifest,
    shard_file,
)
from okrcell.cells.corpus_obs import OBS_COLUMNS
from okrcell.cells.corpus_shard import MappedShard
from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError
from okrcell.provenance import fingerprint


class Corpus:
    """Cells of many studies on one gene axis, read from disk on demand; written by `okrcell.data.corpus_writer`."""

    def __init__(self, path: Path, manifest: CorpusManifest) -> None:
        self.path = path
        self.manifest = manifest
        self._offsets = [0, *np.cumsum([shard.cells for shard in manifest.shards]).tolist()]
        self._mapped_shards: dict[int, MappedShard] = {}
        # Mapped now, because the next append replaces this file.
        self._gene_stats = read_gene_stats(path, manifest)

    @classmethod
    def open(cls, path: str | Path, table: GeneTable | None = None) -> Self:
        """Open the corpus in the folder ``path``; with ``table``, also check that the corpus uses this gene table.

        Only existence and sizes of the files are checked; `verify` reads their contents.

        Raises
        ------
        InputError
            If there is no corpus, a shard is missing or truncated, or the corpus uses another gene table.
        """
        path = Path(path)
        manifest = read_manifest(path)
        for shard in manifest.shards:
            for file, expected_size in (
                (shard_file(path, shard.number), shard.bytes),
                (obs_file(path, shard.number), None),
            ):
                if not file.exists():
                    raise InputError(f"{file} is missing. Prepare the corpus again.")
                actual_size = file.stat().st_size
                if expected_size not in (None, actual_size):
                    raise InputError(
                        f"{file} is truncated: it has {actual_size} bytes instead of {expected_size}. Prepare the corpus again."
                    )
        if table is not None:
            check_gene_table(manifest, table, path)
        return cls(path, manifest)

    def __len__(self) -> int:
        return self._offsets[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        # A data loader worker opens the files itself instead of receiving their content.
        return type(self).open, (self.path,)

    @property
    def n_genes(self) -> int:
        """Number of genes in the gene table, the second axis of `rows`."""
        return self.manifest.genes.count

    @property
    def sources(self) -> tuple[CorpusSource, ...]:
        """Sources of the cells, in the order in which they were appended."""
        return self.manifest.sources

    @property
    def fingerprint(self) -> str:
        """Sha256 over the genes and all shards; equal for equal content written with equal shard boundaries."""
        digest = hashlib.sha256(self.manifest.genes.sha256.encode())
        for shard in self.manifest.shards:
            digest.update(f"{shard.sha256}{shard.obs_sha256}".encode())
        return digest.hexdigest()

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Metadata of all cells: categorical columns (`OBS_COLUMNS`), "" where unknown."""
        tables = [read_arrow(obs_file(self.path, shard.number)) for shard in self.manifest.shards]
        if not tables:
            return pd.DataFrame({name: pd.Categorical([]) for name in OBS_COLUMNS})
        return pa.concat_tables(tables).unify_dictionaries().to_pandas()

    def rows(self, indices: ArrayLike) -> sparse.csr_matrix:
        """Read the cells ``indices`` (in [0, len(self)), in any order, repeats allowed), in the given order.

        Returns
        -------
        float32 of shape (cell, gene): values on the linear scale, genes sorted within a cell, no stored zeros.

        Raises
        ------
        IndexError
            If an index is out of range.
        InputError
            If a shard is damaged.
        """
        cell_ids = np.asarray(indices, dtype=np.int64).ravel()
        if cell_ids.size and not (cell_ids.min() >= 0 and cell_ids.max() < len(self)):
            raise IndexError(
                f"The corpus has cells 0 to {len(self) - 1}; requested: {cell_ids.min()} to {cell_ids.max()}."
            )
        cells = [self._read_cell(index) for index in cell_ids.tolist()]
        indptr = np.zeros(len(cells) + 1, dtype=np.int64)
        np.cumsum([len(gene) for gene, _ in cells], out=indptr[1:])
        gene = np.empty(indptr[-1], dtype=np.int32)
        value = np.empty(indptr[-1], dtype=np.float32)
        if cells:
            np.concatenate([part for part, _ in cells], out=gene, casting="unsafe")
            np.concatenate([part for _, part in cells], out=value, casting="unsafe")
        if gene.size and not (gene.min() >= 0 and gene.max() < self.n_genes):
            raise InputError(f"A shard of {self.path} is damaged: it contains gene rows outside the gene table.")
        matrix = sparse.csr_matrix((value, gene, indptr), shape=(len(cells), self.n_genes))
        matrix.has_sorted_indices = True
        return matrix

    def gene_scale(self) -> NDArray[np.float32]:
        """Mean of each gene over the cells that express it, each cell scaled to a total of 10,000.

        Returns float32 of shape (gene,): the mean of the non-zero values, 0 for a gene that no cell expresses.
        """
        totals, n_expressing = self._gene_stats
        return np.divide(totals, n_expressing, out=np.zeros(self.n_genes), where=n_expressing > 0).astype(np.float32)

    def gene_count(self) -> NDArray[np.int64]:
        """Number of cells that express each gene."""
        return self._gene_stats[1].copy()

    def verify(self) -> None:
        """Compare the sha256 of every shard with the manifest.

        Raises
        ------
        InputError
            If a file differs; the message names the first one.
        """
        for shard in self.manifest.shards:
            for file, expected in (
                (shard_file(self.path, shard.number), shard.sha256),
                (obs_file(self.path, shard.number), shard.obs_sha256),
            ):
                if fingerprint(file) != expected:
                    raise InputError(
                        f"{file} is damaged: its sha256 differs from the manifest. Prepare the corpus again."
                    )

    def _read_cell(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        shard_index = bisect_right(self._offsets, index) - 1
        shard = self._mapped_shards.get(shard_index)
        if shard is None:
            record = self.manifest.shards[shard_index]
            shard = self._mapped_shards[shard_index] = MappedShard.open(
                shard_file(self.path, record.number), record.cells
            )
        return shard.cell(index - self._offsets[shard_index])
