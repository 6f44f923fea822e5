"""Initialization of gene embeddings from texts about the genes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from okrcell.model.cell_encoder import INIT_STD
from okrcell.model.cell_text_model import CellTextModel
from okrcell.storage import cache_folder
from okrcell.vector_cache import load_vectors, store_vectors

MAX_WORD_PIECES = 64
"""Maximum word pieces of a gene's text: its name, the types it marks and the start of its function. Twice as many take
twice as long."""

EmbedTexts = Callable[[Sequence[str]], np.ndarray]
"""Maps texts to vectors, float32 (text, dim)."""


def init_gene_embeddings(model: CellTextModel, vectors: Float[np.ndarray, "gene width"]) -> None:
    """Initialize the gene embeddings of an untrained model with ``vectors``, in the vocabulary's order."""
    embedding = model.cell_encoder.tokens.gene
    with torch.no_grad():
        embedding.weight[1:] = torch.from_numpy(vectors).to(embedding.weight)


def gene_vectors(
    symbols: Sequence[str], texts: Mapping[str, str], embed: EmbedTexts, width: int, seed: int
) -> Float[np.ndarray, "gene width"]:
    """Embed the texts of genes and reduce the vectors to the width of the cell encoder (ours).

    The vectors are centered, rotated onto their principal components and scaled so that each component has the standard
    deviation `INIT_STD` over the genes with a text. They have the size of random vectors, but similar genes have similar
    vectors. Genes without a text, and components beyond the available ones, are drawn at random around the mean, 0.

    Parameters
    ----------
    symbols
        The vocabulary's genes, in its order.
    texts
        By symbol; see `okrcell.knowledge.cell_type_markers`.
    embed
        A text encoder as published, with at most `MAX_WORD_PIECES` word pieces (``SentenceEncoder(limit=PIECES)``).
    """
    vectors = np.random.default_rng(seed).normal(0.0, INIT_STD, (len(symbols), width)).astype(np.float32)
    with_text = [i for i, symbol in enumerate(symbols) if symbol in texts]
    if len(with_text) < 2:
        return vectors
    text_vectors = embed([texts[symbols[i]] for i in with_text]).astype(np.float64)
    text_vectors -= text_vectors.mean(axis=0)
    variances, components = np.linalg.eigh(text_vectors.T @ text_vectors / len(text_vectors))
    # Eigenvalues are in ascending order; components without variance are dropped.
    selected = [k for k in range(len(variances) - 1, -1, -1) if variances[k] > 1e-9 * variances[-1]][:width]
    projected = text_vectors @ components[:, selected]
    # The sign of a component is arbitrary: the gene with the largest magnitude gets a positive value.
    projected *= np.sign(projected[np.abs(projected).argmax(axis=0), np.arange(len(selected))])
    vectors[with_text, : len(selected)] = INIT_STD * projected / np.sqrt(variances[selected])
    return vectors


def cached_embed(name: str, embed: EmbedTexts) -> EmbedTexts:
    """Cache the vectors of ``embed`` in the user's cache folder: 20,000 texts take ten minutes on one processor core.

    ``name`` identifies the encoder; the same texts and encoder give the cached vectors.
    """

    def embed_cached(texts: Sequence[str]) -> np.ndarray:
        digest = hashlib.sha256("\n".join([name, *texts]).encode()).hexdigest()
        path = cache_folder().parent / "gene_vectors" / f"{digest[:32]}.npy"
        vectors = load_vectors(path, len(texts))
        if vectors is None:
            vectors = np.ascontiguousarray(embed(texts), dtype=np.float32)
            store_vectors(path, vectors)
        return vectors

    return embed_cached
