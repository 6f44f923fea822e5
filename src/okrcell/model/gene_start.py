"""Gene vectors that start from what is written of each gene."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from okrcell.files import whole_file
from okrcell.knowledge.snapshots import cache_folder
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.gene_tokens import START

PIECES = 64
"""Word pieces of a gene's text that are read: its name, the types it marks and the head of what it does. Twice as many
take twice as long."""
VECTORS = "vectors"

Reading = Callable[[Sequence[str]], np.ndarray]
"""Gives texts vectors, float32 (text, dim)."""


def start_genes(model: CellTextModel, vectors: Float[np.ndarray, "gene width"]) -> None:
    """Let the gene vectors of a model that has not learned yet start from ``vectors``, in the vocabulary's order."""
    genes = model.cell_encoder.tokens.gene
    with torch.no_grad():
        genes.weight[1:] = torch.from_numpy(vectors).to(genes.weight)


def gene_vectors(
    symbols: Sequence[str], texts: Mapping[str, str], read: Reading, width: int, seed: int
) -> Float[np.ndarray, "gene width"]:
    """Read the texts of genes, and lead what was read to the width of the cell encoder (ours).

    The vectors are centred, turned onto their principal components and scaled so that each component has the standard
    deviation `START` over the genes that have a text, as random vectors would have: alike in size, but near each other
    where genes are alike. A gene without a text, and components beyond those that there are, start from chance about the
    mean, which is 0.

    Parameters
    ----------
    symbols
        The vocabulary's genes, in its order.
    texts
        By symbol; see `okrcell.knowledge.gene_texts`.
    read
        A text encoder as it was published, which reads `PIECES` word pieces (``SentenceEncoder(limit=PIECES)``).
    """
    vectors = np.random.default_rng(seed).normal(0.0, START, (len(symbols), width)).astype(np.float32)
    told = [place for place, symbol in enumerate(symbols) if symbol in texts]
    if len(told) < 2:
        return vectors
    points = read([texts[symbols[place]] for place in told]).astype(np.float64)
    points -= points.mean(axis=0)
    spread, directions = np.linalg.eigh(points.T @ points / len(points))
    # The last are the widest; those without any spread say nothing.
    used = [number for number in range(len(spread) - 1, -1, -1) if spread[number] > 1e-9 * spread[-1]][:width]
    turned = points @ directions[:, used]
    # The sign of a direction is chance: the gene that lies farthest out is on the positive side.
    turned *= np.sign(turned[np.abs(turned).argmax(axis=0), np.arange(len(used))])
    vectors[told, : len(used)] = START * turned / np.sqrt(spread[used])
    return vectors


def read_once(name: str, read: Reading) -> Reading:
    """Keep in the user's cache what ``read`` made of texts: twenty thousand take ten minutes on a processor core.

    ``name`` tells who reads; the very same texts read by the same reader are not read again.
    """

    def reading(texts: Sequence[str]) -> np.ndarray:
        digest = hashlib.sha256("\n".join([name, *texts]).encode()).hexdigest()
        path = cache_folder().parent / "gene_vectors" / f"{digest[:32]}.safetensors"
        vectors = _kept(path, len(texts))
        if vectors is None:
            vectors = np.ascontiguousarray(read(texts), dtype=np.float32)
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as draft:
                save_file({VECTORS: vectors}, draft)
        return vectors

    return reading


def _kept(path: Path, texts: int) -> Float[np.ndarray, "text dim"] | None:
    """Return what was read before; None if nothing was, or the file is damaged."""
    try:
        vectors = load_file(path)[VECTORS]
    except (OSError, SafetensorError, KeyError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == texts and np.isfinite(vectors).all() else None
