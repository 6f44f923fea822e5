"""Files of a corpus folder: names, manifest, lock, Arrow tables."""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError


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
    except (ValidationError, ValueError, OSError) as error:
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
