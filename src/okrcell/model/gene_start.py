"""Initialization of gene embeddings from texts about the genes."""

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
"""Maximum word pieces of a gene's text: its name, the types it marks and the start of its function. Twice as many take
twice as long."""
VECTORS = "vectors"

Reading = Callable[[Sequence[str]], np.ndarray]
"""Maps texts to vectors, float32 (text, dim)."""


def start_genes(model: CellTextModel, vectors: Float[np.ndarray, "gene width"]) -> None:
    """Initialize the gene embeddings of an untrained model with ``vectors``, in the vocabulary's order."""
    genes = model.cell_encoder.tokens.gene
    with torch.no_grad():
        genes.weight[1:] = torch.from_numpy(vectors).to(genes.weight)


def gene_vectors(
    symbols: Sequence[str], texts: Mapping[str, str], read: Reading, width: int, seed: int
) -> Float[np.ndarray, "gene width"]:
    """Embed the texts of genes and reduce the vectors to the width of the cell encoder (ours).

    The vectors are centered, rotated onto their principal components and scaled so that each component has the standard
    deviation `START` over the genes with a text. They have the size of random vectors, but similar genes have similar
    vectors. Genes without a text, and components beyond the available ones, are drawn at random around the mean, 0.

    Parameters
    ----------
    symbols
        The vocabulary's genes, in its order.
    texts
        By symbol; see `okrcell.knowledge.gene_texts`.
    read
        A text encoder as published, with at most `PIECES` word pieces (``SentenceEncoder(limit=PIECES)``).
    """
    vectors = np.random.default_rng(seed).normal(0.0, START, (len(symbols), width)).astype(np.float32)
    told = [place for place, symbol in enumerate(symbols) if symbol in texts]
    if len(told) < 2:
        return vectors
    points = read([texts[symbols[place]] for place in told]).astype(np.float64)
    points -= points.mean(axis=0)
    spread, directions = np.linalg.eigh(points.T @ points / len(points))
    # Eigenvalues are in ascending order; components without variance are dropped.
    used = [number for number in range(len(spread) - 1, -1, -1) if spread[number] > 1e-9 * spread[-1]][:width]
    turned = points @ directions[:, used]
    # The sign of a component is arbitrary: the gene with the largest magnitude gets a positive value.
    turned *= np.sign(turned[np.abs(turned).argmax(axis=0), np.arange(len(used))])
    vectors[told, : len(used)] = START * turned / np.sqrt(spread[used])
    return vectors


def read_once(name: str, read: Reading) -> Reading:
    """Cache the vectors of ``read`` in the user's cache folder: 20,000 texts take ten minutes on one processor core.

    ``name`` identifies the encoder; the same texts and encoder give the cached vectors.
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
    """Return the cached vectors; None if there are none or the file is damaged."""
    try:
        vectors = load_file(path)[VECTORS]
    except (OSError, SafetensorError, KeyError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == texts and np.isfinite(vectors).all() else None
