"""Millions of cells on disk, any of which can be read at once.

A corpus is a folder::

    corpus.json              what is in it: the gene table, the sources, the shards with their sizes and sha256
    genes-00001.arrow        for every gene: its name, how many cells have it, how much of it they have
    shards/00000.arrow       up to 65,536 cells of one source: two lists a cell, gene rows and linear values
    shards/00000.obs.arrow   what is known of the same cells: cell type, tissue, study, donor ...

The lists lie uncompressed, so a row is a slice of a memory-mapped file and nothing is decoded to reach it. Genes take
16 bits, and so do whole counts that fit; all other values are 32-bit floats: nothing is rounded. The measurement behind
this choice is in ``docs/results/corpus-store.md``.
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
    Manifest,
    Source,
    obs_file,
    read_figures,
    read_manifest,
    read_table,
    same_genes,
    shard_file,
)
from okrcell.cells.corpus_obs import OBS_COLUMNS
from okrcell.cells.corpus_shard import MappedShard
from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError
from okrcell.provenance import fingerprint


class Corpus:
    """Cells from many studies on one gene axis, read straight from disk; made by `okrcell.cells.corpus_writer`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._starts = [0, *np.cumsum([shard.cells for shard in manifest.shards]).tolist()]
        self._mapped: dict[int, MappedShard] = {}
        # Mapped now, because the next append puts a new file in the place of this one.
        self._figures = read_figures(path, manifest)

    @classmethod
    def open(cls, path: str | Path, table: GeneTable | None = None) -> Self:
        """Open the corpus in the folder ``path``; with ``table``, also make sure that its genes are meant.

        Only sizes of files are checked here; `verify` reads them all.

        Raises
        ------
        InputError
            If there is no corpus, a shard is missing or cut short, or it was made with another gene table.
        """
        path = Path(path)
        manifest = read_manifest(path)
        for shard in manifest.shards:
            for file, size in ((shard_file(path, shard.number), shard.bytes), (obs_file(path, shard.number), None)):
                if not file.exists():
                    raise InputError(f"{file} is missing. Prepare the corpus again.")
                seen = file.stat().st_size
                if size not in (None, seen):
                    raise InputError(
                        f"{file} has {seen} bytes, not {size}: it was cut short. Prepare the corpus again."
                    )
        if table is not None:
            same_genes(manifest, table, path)
        return cls(path, manifest)

    def __len__(self) -> int:
        return self._starts[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        # A data loader's worker opens the files itself rather than being sent their content.
        return type(self).open, (self.path,)

    @property
    def n_genes(self) -> int:
        """The number of rows of the gene table, the second axis of `rows`."""
        return self.manifest.genes.count

    @property
    def sources(self) -> tuple[Source, ...]:
        """What was appended, in order."""
        return self.manifest.sources

    @property
    def fingerprint(self) -> str:
        """A sha256 over the genes and all shards; equal for equal content written in equal pieces."""
        digest = hashlib.sha256(self.manifest.genes.sha256.encode())
        for shard in self.manifest.shards:
            digest.update(f"{shard.sha256}{shard.obs_sha256}".encode())
        return digest.hexdigest()

    @cached_property
    def obs(self) -> pd.DataFrame:
        """What is known of every cell: categorical columns (`OBS_COLUMNS`), "" where nothing is known."""
        tables = [read_table(obs_file(self.path, shard.number)) for shard in self.manifest.shards]
        if not tables:
            return pd.DataFrame({name: pd.Categorical([]) for name in OBS_COLUMNS})
        return pa.concat_tables(tables).unify_dictionaries().to_pandas()

    def rows(self, indices: ArrayLike) -> sparse.csr_matrix:
        """Return the cells ``indices`` (each in [0, len(self)), any order, repeats allowed) in the order asked.

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
        asked = np.asarray(indices, dtype=np.int64).ravel()
        if asked.size and not (asked.min() >= 0 and asked.max() < len(self)):
            raise IndexError(f"The corpus has cells 0 to {len(self) - 1}; asked for {asked.min()} to {asked.max()}.")
        slices = [self._slice(index) for index in asked.tolist()]
        indptr = np.zeros(len(slices) + 1, dtype=np.int64)
        np.cumsum([len(gene) for gene, _ in slices], out=indptr[1:])
        gene = np.empty(indptr[-1], dtype=np.int32)
        value = np.empty(indptr[-1], dtype=np.float32)
        if slices:
            np.concatenate([part for part, _ in slices], out=gene, casting="unsafe")
            np.concatenate([part for _, part in slices], out=value, casting="unsafe")
        if gene.size and not (gene.min() >= 0 and gene.max() < self.n_genes):
            raise InputError(f"A shard of {self.path} names genes that its table has not: it is damaged.")
        matrix = sparse.csr_matrix((value, gene, indptr), shape=(len(slices), self.n_genes))
        matrix.has_sorted_indices = True
        return matrix

    def gene_scale(self) -> NDArray[np.float32]:
        """Tell how much of each gene the cells hold that have it, on average, each cell scaled to 10,000 in total.

        Returns float32 of shape (gene,): the mean over the non-zero values, 0 for a gene that no cell has.
        """
        amount, cells = self._figures
        return np.divide(amount, cells, out=np.zeros(self.n_genes), where=cells > 0).astype(np.float32)

    def gene_count(self) -> NDArray[np.int64]:
        """Count, for each gene, the cells that have it."""
        return self._figures[1].copy()

    def verify(self) -> None:
        """Read every shard and compare it with its sha256.

        Raises
        ------
        InputError
            With the name of the first file that differs.
        """
        for shard in self.manifest.shards:
            for file, expected in (
                (shard_file(self.path, shard.number), shard.sha256),
                (obs_file(self.path, shard.number), shard.obs_sha256),
            ):
                if fingerprint(file) != expected:
                    raise InputError(f"{file} is not what was written: its sha256 differs. Prepare the corpus again.")

    def _slice(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        place = bisect_right(self._starts, index) - 1
        shard = self._mapped.get(place)
        if shard is None:
            described = self.manifest.shards[place]
            shard = self._mapped[place] = MappedShard.open(shard_file(self.path, described.number), described.cells)
        return shard.cell(index - self._starts[place])
