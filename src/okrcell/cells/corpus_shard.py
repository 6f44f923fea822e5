"""Shards: per cell a list of gene rows and a list of values in a memory-mapped Arrow file."""

import contextlib
import os
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from okrcell.errors import InputError


@dataclass(frozen=True)
class MappedShard:
    """Views of a memory-mapped shard: (offsets, genes, values) for each record batch."""

    starts: Sequence[int]
    blocks: Sequence[tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]]]

    @classmethod
    def open(cls, file: Path, n_cells: int) -> Self:
        """Map ``file``, which must contain ``n_cells`` cells; raises `InputError` if it is damaged."""
        # The map outlives its file handle, so a corpus of a thousand shards does not keep a thousand files open.
        try:
            with pa.memory_map(str(file)) as source:
                reader = pa.ipc.open_file(source.read_buffer())
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
            blocks = [_batch_views(batch) for batch in batches]
        except (pa.ArrowException, OSError, AttributeError, KeyError) as error:
            raise InputError(f"{file} is damaged ({str(error).splitlines()[0]}). Prepare the corpus again.") from None
        starts = [0, *np.cumsum([batch.num_rows for batch in batches]).tolist()]
        if starts[-1] != n_cells:
            raise InputError(
                f"{file} is damaged: it has {starts[-1]} cells instead of {n_cells}. Prepare the corpus again."
            )
        return cls(starts, blocks)

    def cell(self, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Gene rows and values of a cell, as views of the file."""
        block = bisect_right(self.starts, row) - 1
        offsets, gene, value = self.blocks[block]
        first, last = offsets[row - self.starts[block] : row - self.starts[block] + 2].tolist()
        return gene[first:last], value[first:last]


def _batch_views(batch: Any) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]]:
    batch.validate()
    gene, value = batch.column("gene"), batch.column("value")
    offsets = gene.offsets.to_numpy()
    offsets_match = np.array_equal(offsets, value.offsets.to_numpy())
    if not offsets_match or (np.diff(offsets) < 0).any() or offsets[-1] > min(len(gene.values), len(value.values)):
        raise pa.ArrowInvalid("its gene and value lists do not match")
    return offsets, gene.values.to_numpy(), value.values.to_numpy()


def iter_shards(
    blocks: Iterable[sparse.csr_matrix], shard_cells: int
) -> Iterator[tuple[DTypeLike, Iterator[sparse.csr_matrix]]]:
    """Group a stream of blocks into shards of at most ``shard_cells`` cells, each with one value dtype."""
    stream = iter(blocks)
    pending = next(stream, None)
    dtype: DTypeLike = np.uint16

    def shard_blocks() -> Iterator[sparse.csr_matrix]:
        nonlocal pending
        n_cells = 0
        # After the first value that needs 32 bits all later shards use 32 bits, so that there are not many small shards.
        while pending is not None and (n_cells == 0 or n_cells + len(pending.indptr) - 1 <= shard_cells):
            if dtype == np.uint16 and not _fits_uint16(pending.data):
                return
            n_cells += len(pending.indptr) - 1
            yield pending
            pending = next(stream, None)

    while pending is not None:
        if not _fits_uint16(pending.data):
            dtype = np.float32
        yield dtype, shard_blocks()


def _fits_uint16(values: NDArray[Any]) -> bool:
    return values.size == 0 or bool(values.max() < 2**16 and (values == values.astype(np.uint16)).all())


@contextlib.contextmanager
def shard_writer(file: Path, n_genes: int, dtype: DTypeLike) -> Generator[Callable[[sparse.csr_matrix], None]]:
    """Yield a function that writes blocks of cells to ``file``, values as ``dtype``; sync to disk at the end."""
    gene_dtype = np.uint16 if n_genes <= 2**16 else np.uint32
    list_types = [pa.list_(pa.from_numpy_dtype(np.dtype(item_dtype))) for item_dtype in (gene_dtype, dtype)]
    schema = pa.schema([pa.field("gene", list_types[0]), pa.field("value", list_types[1])])

    with file.open("wb") as sink:
        writer = pa.ipc.new_file(sink, schema)

        def write(block: sparse.csr_matrix) -> None:
            if n_genes != _n_genes(block):
                raise InputError(f"The cells have {_n_genes(block)} genes, the corpus {n_genes}: another gene table.")
            offsets = pa.array(block.indptr.astype(np.int32))
            lists = [
                pa.ListArray.from_arrays(offsets, pa.array(values))
                for values in (block.indices.astype(gene_dtype), block.data.astype(dtype))
            ]
            writer.write_batch(pa.record_batch(lists, schema=schema))

        yield write
        writer.close()
        sink.flush()
        os.fsync(sink.fileno())


def _n_genes(block: sparse.csr_matrix) -> int:
    shape: tuple[int, int] = block.get_shape()
    return shape[1]
