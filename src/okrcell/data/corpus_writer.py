"""Append cells to a corpus atomically."""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.genes import TARGET_SUM, GeneTable
from okrcell.data.corpus import (
    CorpusGenes,
    CorpusManifest,
    CorpusSource,
    Shard,
    check_gene_table,
    create_corpus_dir,
    gene_fingerprint,
    gene_stats_file,
    iter_shards,
    obs_file,
    obs_to_arrow,
    read_gene_stats,
    read_manifest,
    shard_file,
    shard_writer,
    write_arrow,
    writer_lock,
)
from okrcell.errors import InputError
from okrcell.provenance import fingerprint, write_json


class CorpusWriter:
    """Append cells to the corpus at ``path``; a new corpus is created if there is none.

    New shards are written beside the existing ones. They become part of the corpus on `commit`, which replaces
    ``corpus.json`` in one step. A process that dies before that leaves the previous corpus unchanged, with unlisted shards
    that the next writer removes. As a context manager it commits at the end and rolls back if the block fails.

    Raises
    ------
    InputError
        If ``path`` is not a corpus, uses another gene table, or is being written by another process.
    """

    def __init__(
        self, path: str | Path, table: GeneTable, *, shard_cells: int = 65_536, block_cells: int = 2048
    ) -> None:
        self.path = Path(path)
        self.shard_cells = shard_cells
        self.block_cells = block_cells
        self._table = table
        self._created = create_corpus_dir(self.path)
        with contextlib.ExitStack() as stack:
            stack.enter_context(writer_lock(self.path))
            if (self.path / "corpus.json").exists():
                self._manifest = read_manifest(self.path)
                check_gene_table(self._manifest, table, self.path)
                self._totals, self._n_expressing = read_gene_stats(self.path, self._manifest)
            else:
                genes = CorpusGenes(version=table.version, count=len(table), sha256=gene_fingerprint(table), figures=0)
                self._manifest = CorpusManifest(genes=genes)
                self._totals, self._n_expressing = np.zeros(len(table)), np.zeros(len(table), dtype=np.int64)
            self._sources, self._shards = self._manifest.sources, self._manifest.shards
            self._remove_unlisted()
            self._lock: contextlib.ExitStack | None = stack.pop_all()

    @property
    def sources(self) -> tuple[CorpusSource, ...]:
        """Sources in the corpus and those appended since it was opened, in order."""
        return self._sources

    def append(
        self,
        expression: Expression,
        obs: pd.DataFrame,
        *,
        study: str,
        origin: Mapping[str, Any],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Append all cells of ``expression``, in order. Memory is bounded by one block.

        Parameters
        ----------
        expression
            The cells, on the gene table of this corpus.
        obs
            One row per cell; the columns in `okrcell.data.corpus.OBS_COLUMNS` are stored.
        study
            Study of the cells that have none in ``obs``.
        origin
            JSON values that describe the origin of the cells, stored in ``corpus.json``.
        progress
            Called after each block with the number of cells written so far.

        Raises
        ------
        InputError
            If ``obs`` does not have one row per cell, or ``expression`` gives fewer or more cells than it declares.
        """
        if len(obs) != expression.n_cells:
            raise InputError(
                f"obs has {len(obs)} rows for {expression.n_cells} cells of {study}; pass one row per cell."
            )
        columns = obs_to_arrow(obs, study, expression.kind)
        shards, totals, n_expressing = list(self._shards), self._totals.copy(), self._n_expressing.copy()
        n_written = 0
        for dtype, blocks in iter_shards(expression.blocks(self.block_cells), self.shard_cells):
            shard_id, start = len(shards), n_written
            cells_file, metadata_file = shard_file(self.path, shard_id), obs_file(self.path, shard_id)
            with shard_writer(cells_file, len(self._table), dtype) as write:
                for block in blocks:
                    write(block)
                    totals += _scaled_sum(block, len(totals))
                    n_expressing += np.bincount(block.indices, minlength=len(n_expressing))
                    n_written += len(block.indptr) - 1
                    if progress is not None:
                        progress(n_written)
            write_arrow(metadata_file, {name: column[start:n_written] for name, column in columns.items()})
            shards.append(
                Shard(
                    number=shard_id,
                    source=len(self._sources),
                    cells=n_written - start,
                    bytes=cells_file.stat().st_size,
                    sha256=fingerprint(cells_file),
                    obs_sha256=fingerprint(metadata_file),
                )
            )
        if n_written != expression.n_cells:
            raise InputError(
                f"{study} gave {n_written} cells instead of {expression.n_cells}. Check that the file is complete."
            )
        self._shards, self._totals, self._n_expressing = tuple(shards), totals, n_expressing
        self._sources = (*self._sources, CorpusSource(study=study, cells=n_written, origin=dict(origin)))

    def commit(self) -> None:
        """Make everything appended so far part of the corpus in one atomic step."""
        stats_id = self._manifest.genes.figures + 1
        write_arrow(
            gene_stats_file(self.path, stats_id),
            {
                "ensembl_id": pa.array(self._table.ensembl_id.tolist(), pa.string()),
                "symbol": pa.array(self._table.symbol.tolist(), pa.string()),
                "cells": pa.array(self._n_expressing),
                "amount": pa.array(self._totals),
            },
        )
        genes = self._manifest.genes.model_copy(update={"figures": stats_id})
        manifest = CorpusManifest(genes=genes, sources=self._sources, shards=self._shards)
        write_json(self.path / "corpus.json", manifest.model_dump(mode="json"))
        self._manifest = manifest

    def close(self) -> None:
        """Release the lock and remove what was not committed."""
        if self._lock is None:
            return
        try:
            if self._created and not (self.path / "corpus.json").exists():
                shutil.rmtree(self.path)
            else:
                self._remove_unlisted()
        finally:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if exc_type is None:
                self.commit()
        finally:
            self.close()

    def _remove_unlisted(self) -> None:
        # Reads the manifest from disk: an interruption may have come right after corpus.json was replaced.
        listed: set[Path] = set()
        if (self.path / "corpus.json").exists():
            manifest = read_manifest(self.path)
            listed.add(gene_stats_file(self.path, manifest.genes.figures))
            for shard in manifest.shards:
                listed |= {shard_file(self.path, shard.number), obs_file(self.path, shard.number)}
        for pattern in ("genes-*.arrow", "shards/*.arrow", ".corpus.json.*"):
            for file in self.path.glob(pattern):
                if file not in listed:
                    file.unlink()


def _scaled_sum(block: sparse.csr_matrix, n_genes: int) -> NDArray[np.float64]:
    """Sum of each gene over the cells of ``block``, each cell scaled to a total of `TARGET_SUM`."""
    total = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
    factor = np.divide(TARGET_SUM, total, out=np.zeros_like(total), where=total > 0)
    weights = block.data.astype(np.float64) * np.repeat(factor, np.diff(block.indptr))
    return np.bincount(block.indices, weights=weights, minlength=n_genes).astype(np.float64, copy=False)
