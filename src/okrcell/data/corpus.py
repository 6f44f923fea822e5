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

import contextlib
import hashlib
import json
import os
import sys
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, DTypeLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError

OBS_COLUMNS = (
    "cell_type",
    "cell_type_ontology_term_id",
    "tissue",
    "tissue_ontology_term_id",
    "disease",
    "disease_ontology_term_id",
    "development_stage",
    "development_stage_ontology_term_id",
    "sex",
    "sex_ontology_term_id",
    "assay",
    "assay_ontology_term_id",
    "suspension_type",
    "condition",
    "batch",
    "donor",
    "study",
    "kind",
)
"""Metadata columns of a corpus; ``kind`` is the content of the matrix (counts, log1p, linear)."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Shard(_Record):
    """Consecutive cells of one source, stored in two files named after ``number``."""

    number: int = Field(ge=0)
    source: int = Field(ge=0)
    cells: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str
    obs_sha256: str


class CorpusSource(_Record):
    """Origin of appended cells; ``origin`` is the JSON passed to the writer (file, sha256, kind, findings)."""

    study: str
    cells: int = Field(ge=0)
    origin: dict[str, Any]


class CorpusGenes(_Record):
    """Gene table that the stored gene rows refer to, and the number of the file with per-gene statistics."""

    version: str
    count: int = Field(ge=1)
    sha256: str
    figures: int = Field(ge=0)


class CorpusManifest(_Record):
    """Content of ``corpus.json``; shards that it does not list are not part of the corpus."""

    format: Literal["okrcell corpus 1"] = "okrcell corpus 1"
    genes: CorpusGenes
    sources: tuple[CorpusSource, ...] = ()
    shards: tuple[Shard, ...] = ()


def create_corpus_dir(path: Path) -> bool:
    """Create the folders of a corpus and return whether ``path`` is new.

    Raises
    ------
    InputError
        If ``path`` is a file, is not empty and holds no corpus, or cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, but a corpus is a folder. Choose another path.")
    if not path.parent.is_dir():
        raise InputError(f"Cannot write {path}: there is no folder {path.parent}. Make it first.")
    is_new = not path.exists()
    # The remains of a killed first write (shards without corpus.json) may be reused; a folder with other files may not.
    foreign_files = [] if is_new else [entry.name for entry in path.iterdir() if not _is_corpus_file(entry.name)]
    if foreign_files and not (path / "corpus.json").exists():
        raise InputError(
            f"{path} contains other files ({foreign_files[0]}) and no corpus. Choose a new or empty folder."
        )
    try:
        (path / "shards").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.") from None
    return is_new


def _is_corpus_file(name: str) -> bool:
    return name == "shards" or name.startswith((".corpus.json.", "genes-"))


@contextlib.contextmanager
def writer_lock(path: Path) -> Generator[None]:
    """Hold an exclusive lock on the folder; the kernel releases the lock if the process is killed.

    Raises
    ------
    InputError
        If another process holds the lock.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise InputError(f"Another process is writing to {path}. Wait for it, or choose another folder.") from None
    try:
        yield
    finally:
        os.close(fd)


def shard_file(path: Path, shard_id: int) -> Path:
    """Path of a shard's cells, built from a number so that a crafted corpus.json cannot point outside the folder."""
    return path / "shards" / f"{shard_id:05d}.arrow"


def obs_file(path: Path, shard_id: int) -> Path:
    """Path of the metadata of a shard's cells."""
    return path / "shards" / f"{shard_id:05d}.obs.arrow"


def gene_stats_file(path: Path, append_id: int) -> Path:
    """Path of the per-gene statistics after append ``append_id``."""
    return path / f"genes-{append_id:05d}.arrow"


def read_manifest(path: Path) -> CorpusManifest:
    """Read and validate ``corpus.json``; raises `InputError` if it is missing or damaged."""
    file = path / "corpus.json"
    if not file.exists():
        raise InputError(f"There is no corpus in {path} (no corpus.json). Make one: okrcell prepare FILES -o {path}")
    try:
        return CorpusManifest.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (ValidationError, ValueError, RecursionError, OSError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(f"{file} cannot be read as a corpus of this version: {reason}.") from None


def read_gene_stats(path: Path, manifest: CorpusManifest) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Per gene, the sum of its scaled values and the number of cells that express it."""
    file = gene_stats_file(path, manifest.genes.figures)
    table = read_arrow(file)
    if table.num_rows != manifest.genes.count:
        raise InputError(f"{file} is damaged: it has {table.num_rows} genes instead of {manifest.genes.count}.")
    return table["amount"].to_numpy(), table["cells"].to_numpy()


def gene_fingerprint(table: GeneTable) -> str:
    """Sha256 of the Ensembl ids and symbols, in order."""
    lines = (f"{ensembl_id}\t{symbol}\n" for ensembl_id, symbol in zip(table.ensembl_id, table.symbol, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_gene_table(manifest: CorpusManifest, table: GeneTable, path: Path) -> None:
    """Raise `InputError` unless the corpus at ``path`` uses the gene table ``table``."""
    if manifest.genes.sha256 != gene_fingerprint(table):
        raise InputError(
            f"{path} was made with gene table {manifest.genes.version} ({manifest.genes.count} genes), but the current one is "
            f"{table.version} ({len(table)} genes). Prepare the corpus again, into a new folder."
        )


def read_arrow(file: Path) -> Any:
    """Read an Arrow file; raises `InputError` if it is missing or damaged."""
    try:
        with pa.memory_map(str(file)) as source:
            return pa.ipc.open_file(source.read_buffer()).read_all()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file} is damaged ({str(error).splitlines()[0]}). Prepare the corpus again.") from None


def write_arrow(file: Path, columns: Mapping[str, Any]) -> None:
    """Write columns to an Arrow file and sync it to disk."""
    table = pa.table(dict(columns))
    with file.open("wb") as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        sink.flush()
        os.fsync(sink.fileno())


def obs_to_arrow(obs: pd.DataFrame, study: str, matrix_kind: str) -> dict[str, Any]:
    """`OBS_COLUMNS` as Arrow dictionary arrays, "" where unknown.

    ``study`` is used for cells without a study; a missing ``donor`` column is filled from ``donor_id``.
    """
    available: dict[str, Any] = {name: obs[name] for name in OBS_COLUMNS if name in obs}
    if "donor" not in available and "donor_id" in obs:
        available["donor"] = obs["donor_id"]
    columns = {
        name: _strings(available[name]) if name in available else np.full(len(obs), "", dtype=object)
        for name in OBS_COLUMNS
    }
    columns["study"] = np.where(columns["study"] == "", study, columns["study"])
    columns["kind"] = np.full(len(obs), matrix_kind, dtype=object)
    return {name: pa.array(values, pa.string()).dictionary_encode() for name, values in columns.items()}


def _strings(column: Any) -> NDArray[Any]:
    code, values = pd.factorize(column)
    strings = np.array([*(_string(value) for value in values), ""], dtype=object)
    return strings[code]  # code -1 (missing value) selects the last entry, ""


def _string(value: Any) -> str:
    # pandas reads donors 1, 2, 3 as 1.0, 2.0, 3.0 if one is missing.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


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

        Only existence and sizes of the files are checked.

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

    def _read_cell(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        shard_index = bisect_right(self._offsets, index) - 1
        shard = self._mapped_shards.get(shard_index)
        if shard is None:
            record = self.manifest.shards[shard_index]
            shard = self._mapped_shards[shard_index] = MappedShard.open(
                shard_file(self.path, record.number), record.cells
            )
        return shard.cell(index - self._offsets[shard_index])
