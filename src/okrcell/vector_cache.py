"""Cache of vectors on disk: a NumPy array followed by its sha256; whatever cannot be read is a miss."""

import hashlib
import io
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.storage import atomic_file

logger = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size
MAX_CACHE_BYTES = 1 << 30
"""Maximum size of a cache file that is read."""


def load_vectors(path: Path, n_rows: int, dim: int | None = None) -> NDArray[np.float32] | None:
    """Return the vectors in a cache file; None if it is missing or damaged, or holds other vectors.

    Parameters
    ----------
    path
        File written by `store_vectors`.
    n_rows
        Expected number of vectors.
    dim
        Expected dimension; None accepts any.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_CACHE_BYTES:
            return None
        content = path.read_bytes()
        array, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(array).digest() != digest:
            logger.warning("The cached vectors %s are damaged and are computed again", path)
            return None
        vectors = np.load(io.BytesIO(array), allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - the vectors can be computed again, whatever went wrong
        logger.warning("The cached vectors %s cannot be read and are computed again: %s", path, error)
        return None
    fits = vectors.ndim == 2 and len(vectors) == n_rows and vectors.shape[1] == (dim or vectors.shape[1])
    return vectors if fits and vectors.dtype == np.float32 else None


def store_vectors(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write vectors to a cache file atomically; if it cannot be written, they are computed again next time."""
    content = io.BytesIO()
    np.save(content, vectors, allow_pickle=False)
    array = content.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as draft:
            draft.write_bytes(array + hashlib.sha256(array).digest())
    except (OSError, InputError) as error:
        logger.warning("The vectors are not cached: %s", error)
    else:
        logger.info("Cached %d vectors in %s", len(vectors), path)
