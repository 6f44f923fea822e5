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

from okrcell.cells.corpus_folder import (
    Genes,
    Manifest,
    Shard,
    Source,
    begin_folder,
    figures_file,
    gene_fingerprint,
    obs_file,
    only_writer,
    read_figures,
    read_manifest,
    same_genes,
    shard_file,
    write_table,
)
from okrcell.cells.corpus_obs import known_columns
from okrcell.cells.corpus_shard import runs, shard_writer
from okrcell.cells.expression import Expression
from okrcell.cells.genes import GeneTable
from okrcell.cells.vocabulary import SCALED_TOTAL
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
        self._begun_here = begin_folder(self.path)
        with contextlib.ExitStack() as release:
            release.enter_context(only_writer(self.path))
            if (self.path / "corpus.json").exists():
                self._manifest = read_manifest(self.path)
                same_genes(self._manifest, table, self.path)
                self._amount, self._cells = read_figures(self.path, self._manifest)
            else:
                genes = Genes(version=table.version, count=len(table), sha256=gene_fingerprint(table), figures=0)
                self._manifest = Manifest(genes=genes)
                self._amount, self._cells = np.zeros(len(table)), np.zeros(len(table), dtype=np.int64)
            self._sources, self._shards = self._manifest.sources, self._manifest.shards
            self._remove_unnamed()
            self._release: contextlib.ExitStack | None = release.pop_all()

    @property
    def sources(self) -> tuple[Source, ...]:
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
            One row per cell; the columns in `okrcell.cells.corpus_obs.OBS_COLUMNS` are stored.
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
        columns = known_columns(obs, study, expression.kind)
        shards, amount, cells = list(self._shards), self._amount.copy(), self._cells.copy()
        done = 0
        for dtype, blocks in runs(expression.blocks(self.block_cells), self.shard_cells):
            number, first = len(shards), done
            rows_file, known_file = shard_file(self.path, number), obs_file(self.path, number)
            with shard_writer(rows_file, len(self._table), dtype) as write:
                for block in blocks:
                    write(block)
                    amount += _scaled_sum(block, len(amount))
                    cells += np.bincount(block.indices, minlength=len(cells))
                    done += len(block.indptr) - 1
                    if progress is not None:
                        progress(done)
            write_table(known_file, {name: column[first:done] for name, column in columns.items()})
            shards.append(
                Shard(
                    number=number,
                    source=len(self._sources),
                    cells=done - first,
                    bytes=rows_file.stat().st_size,
                    sha256=fingerprint(rows_file),
                    obs_sha256=fingerprint(known_file),
                )
            )
        if done != expression.n_cells:
            raise InputError(
                f"{study} gave {done} cells instead of {expression.n_cells}. Check that the file is complete."
            )
        self._shards, self._amount, self._cells = tuple(shards), amount, cells
        self._sources = (*self._sources, Source(study=study, cells=done, origin=dict(origin)))

    def commit(self) -> None:
        """Make everything appended so far part of the corpus in one atomic step."""
        figures = self._manifest.genes.figures + 1
        write_table(
            figures_file(self.path, figures),
            {
                "ensembl_id": pa.array(self._table.ensembl_id.tolist(), pa.string()),
                "symbol": pa.array(self._table.symbol.tolist(), pa.string()),
                "cells": pa.array(self._cells),
                "amount": pa.array(self._amount),
            },
        )
        genes = self._manifest.genes.model_copy(update={"figures": figures})
        manifest = Manifest(genes=genes, sources=self._sources, shards=self._shards)
        write_json(self.path / "corpus.json", manifest.model_dump(mode="json"))
        self._manifest = manifest

    def close(self) -> None:
        """Release the lock and remove what was not committed."""
        if self._release is None:
            return
        try:
            if self._begun_here and not (self.path / "corpus.json").exists():
                shutil.rmtree(self.path)
            else:
                self._remove_unnamed()
        finally:
            self._release.close()
            self._release = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()

    def _remove_unnamed(self) -> None:
        # Reads the manifest from disk: an interruption may have come right after corpus.json was replaced.
        named: set[Path] = set()
        if (self.path / "corpus.json").exists():
            manifest = read_manifest(self.path)
            named.add(figures_file(self.path, manifest.genes.figures))
            for shard in manifest.shards:
                named |= {shard_file(self.path, shard.number), obs_file(self.path, shard.number)}
        for pattern in ("genes-*.arrow", "shards/*.arrow", ".corpus.json.*"):
            for file in self.path.glob(pattern):
                if file not in named:
                    file.unlink()


def _scaled_sum(block: sparse.csr_matrix, n_genes: int) -> NDArray[np.float64]:
    """Sum of each gene over the cells of ``block``, each cell scaled to a total of `SCALED_TOTAL`."""
    total = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
    factor = np.divide(SCALED_TOTAL, total, out=np.zeros_like(total), where=total > 0)
    weights = block.data.astype(np.float64) * np.repeat(factor, np.diff(block.indptr))
    return np.bincount(block.indices, weights=weights, minlength=n_genes).astype(np.float64, copy=False)
