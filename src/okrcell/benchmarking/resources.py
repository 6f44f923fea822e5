"""Time and memory of a prediction, and a model that caches the vectors of cells and texts."""

import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

from okrcell.cells.counts import MatrixRows
from okrcell.cells.expression import Expression
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import Embedder, Progress, bundled_model, load

_PROC_SELF = Path("/proc/self")
_cached_seconds = 0.0


def reset_peak_memory() -> None:
    """Reset the kernel's peak memory counter of this process; no effect outside Linux."""
    try:
        (_PROC_SELF / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the peak resident memory since `reset_peak_memory` in bytes; None if the system does not report it."""
    try:
        lines = (_PROC_SELF / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    peak_lines = [line.split() for line in lines if line.startswith("VmHWM:")]
    return int(peak_lines[0][1]) * 1024 if peak_lines else None


def cached_seconds() -> float:
    """Seconds that embedding would have taken for all cells served from the cache so far.

    Timers add the increase of this value, so that reported times include the embedding of every cell.
    """
    return _cached_seconds


class CachedEmbedder(Embedder):
    """An `Embedder` that caches the vector of every cell and text in memory.

    Cells are identified by their expression on the gene table, not by their names, because the vector of a cell depends
    on its own counts alone. The cache grows by a few hundred bytes per cell.
    """

    def __init__(self, embedder: Embedder) -> None:
        vars(self).update(vars(embedder))
        self._cell_vectors: dict[bytes, np.ndarray] = {}
        self._text_vectors: dict[str, np.ndarray] = {}
        self._seconds = 0.0

    def embed_cells(self, expression: Expression, progress: Progress | None = None) -> Float[np.ndarray, "cell dim"]:
        """Embed cells, see `Embedder.embed_cells`; cells in the cache are not embedded again."""
        global _cached_seconds  # noqa: PLW0603 - one counter per process
        keys = [key for block in expression.blocks() for key in row_keys(block)]
        new_rows = np.array([i for i, key in enumerate(keys) if key not in self._cell_vectors], dtype=np.intp)
        if len(new_rows):
            rows = sparse.csr_matrix(sparse.vstack(list(expression.rows.blocks(2048))))[new_rows]
            subset = replace(expression, n_cells=len(new_rows), rows=MatrixRows(rows, expression.source))
            start = time.perf_counter()
            vectors = super().embed_cells(subset, progress)
            self._seconds += time.perf_counter() - start
            self._cell_vectors.update(zip([keys[i] for i in new_rows.tolist()], vectors, strict=True))
        # Mean time over all cells so far: that of a few new cells would be noisy.
        _cached_seconds += self._seconds / max(len(self._cell_vectors), 1) * (len(keys) - len(new_rows))
        return np.array([self._cell_vectors[key] for key in keys], dtype=np.float32).reshape(-1, self.dim)

    def embed_texts(self, texts: Any) -> Float[np.ndarray, "text dim"]:
        """Embed texts, see `Embedder.embed_texts`; texts in the cache are not embedded again."""
        new_texts = [text for text in dict.fromkeys(texts) if text not in self._text_vectors]
        if new_texts:
            self._text_vectors.update(zip(new_texts, super().embed_texts(new_texts), strict=True))
        return np.array([self._text_vectors[text] for text in texts], dtype=np.float32).reshape(-1, self.dim)


@cache
def load_cached(model: str | None) -> CachedEmbedder:
    """Load a model (None: the bundled one), once per process."""
    return CachedEmbedder(load(model))


def weights_sha256(model: str | None) -> str:
    """Return the sha256 of a model's weights (None: the bundled model), which identifies the model in the provenance."""
    return str(load_checkpoint(model or bundled_model()).facts.get("weights_sha256", ""))


def row_keys(block: Any) -> list[bytes]:
    """Return a hash (BLAKE2b, 16 bytes) of each row of a sparse (cell, gene) matrix in CSR format."""
    starts, genes, values = block.indptr, block.indices, block.data
    return [
        hashlib.blake2b(
            genes[start:stop].astype(np.int32).tobytes() + values[start:stop].tobytes(), digest_size=16
        ).digest()
        for start, stop in pairwise(starts.tolist())
    ]


@dataclass
class ResourceUsage:
    """Time and memory of a block; set when the block ends."""

    seconds: float = 0.0
    """Wall time, including the embedding time of cells that came from the cache."""
    peak_memory: int | None = None
    """Peak resident memory of the process in bytes; None if the system does not report it."""


@contextmanager
def measure_resources() -> Generator[ResourceUsage]:
    """Measure the block of a ``with`` statement."""
    usage = ResourceUsage()
    reset_peak_memory()
    start, cached_before = time.perf_counter(), cached_seconds()
    yield usage
    usage.seconds = time.perf_counter() - start + cached_seconds() - cached_before
    usage.peak_memory = peak_memory()
