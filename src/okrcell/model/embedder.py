"""A trained model in use: load it, and embed cells and texts as unit vectors."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.cells.expression import Expression
from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenizer import CellTokens, build_tokenizer
from okrcell.errors import CheckpointError
from okrcell.model.cell_encoder import LinearEncoder
from okrcell.model.checkpoint import Checkpoint, load_checkpoint
from okrcell.model.hub import download_snapshot, is_hub_id
from okrcell.model.marker_scores import GenePanel
from okrcell.model.signatures import SignatureHead

Progress = Callable[[int, int], None]
"""Called with the number of cells done and the total number of cells."""
CELL_BATCH_SIZE = 128
TEXT_BATCH_SIZE = 64
MODEL_PATTERNS = ("*.json", "*.safetensors", "*.tsv", "*.md")
"""Files of a model folder that are downloaded."""


class Embedder:
    """A trained model in use: cell and text encoders with their tokenizers, on the CPU.

    `okrcell.load` returns one.

    Parameters
    ----------
    checkpoint : Checkpoint
        The content of a model folder (`okrcell.model.checkpoint.load_checkpoint`).

    Attributes
    ----------
    name : str
        Name of the model folder.
    facts : dict
        Content of ``model.json``: training data under ``seen``, ``calibration``, provenance under ``receipt``.
    model : CellTextModel
        The dual encoder, in evaluation mode.
    vocabulary : GeneVocabulary
        Genes of the cell encoder.
    gene_table : GeneTable
        The bundled gene table, which the vocabulary is part of.
    signatures : SignatureHead or None
        Gene signatures of texts; None in a model trained without them.

    Notes
    -----
    A CLIP-style dual encoder after OKR-CELL (arXiv 2601.05648): c_i of method E4 for cells, t_i for texts. Vectors have unit
    length, so that a product of vectors is a cosine similarity.

    Examples
    --------
    >>> import okrcell as okr
    >>> import scanpy as sc
    >>> from okrcell.cells.expression import read_expression
    >>> model = okr.load()
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> cells = model.embed_cells(read_expression(adata[:50].copy()))
    >>> texts = model.embed_texts(["B cell", "monocyte"])
    >>> (cells @ texts.T).shape
    (50, 2)
    """

    signatures: SignatureHead | None = None
    """Gene signatures of texts; None in a model trained without them."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.name = checkpoint.name
        self.facts = checkpoint.facts
        self.model = checkpoint.model.eval()
        self.vocabulary = checkpoint.vocabulary
        self.gene_table = GeneTable.bundled()
        self._tokenizer = build_tokenizer(self.model.settings.tokeniser, self.vocabulary, self.gene_table)
        self.signatures = checkpoint.signatures
        self._gene_rows = self.vocabulary.rows(self.gene_table)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load a model folder.

        Parameters
        ----------
        path : str or pathlib.Path
            Folder written by `okrcell.pretrain`.

        Returns
        -------
        Embedder
            The model, on the CPU.

        Raises
        ------
        CheckpointError
            If there is no model at ``path``, or it is damaged.
        """
        return cls(load_checkpoint(path))

    @property
    def dim(self) -> int:
        """Dimension of the shared embedding space."""
        return self.model.dim

    @property
    def is_linear(self) -> bool:
        """Whether the cell encoder is linear: its space starts from signatures, and the text projector was fitted to them."""
        return isinstance(self.model.cell_encoder, LinearEncoder)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the weights, which identifies the model of a vector; "" if unknown."""
        return str(self.facts.get("weights_sha256", ""))

    def n_measured_genes(self, expression: Expression) -> int:
        """Count the model's genes that the file measured.

        Parameters
        ----------
        expression : Expression
            Expression of the cells on the gene table.

        Returns
        -------
        int
            Number of genes, from 0 to the size of the vocabulary.
        """
        return int(self._measured_rows(expression)[self._gene_rows].sum())

    def gene_panel(self, expression: Expression) -> GenePanel:
        """Describe which of the model's genes the file measured, and how its rows are mapped onto them.

        Parameters
        ----------
        expression : Expression
            Expression of the cells on the gene table.

        Returns
        -------
        `GenePanel`
            Measured genes and their scaling, as signature scores need them.

        Raises
        ------
        CheckpointError
            If the model has no signatures.
        """
        if self.signatures is None:
            raise CheckpointError(
                f"The model {self.name} was trained without signatures of genes. Load a model trained with `signatures: true`."
            )
        measured = self._measured_rows(expression)[self._gene_rows]
        return GenePanel.from_measured(self.signatures, self._gene_rows, measured)

    @torch.inference_mode()
    def embed_cells(self, expression: Expression, progress: Progress | None = None) -> Float[np.ndarray, "cell dim"]:
        """Embed cells.

        Parameters
        ----------
        expression : Expression
            Expression of the cells on the gene table, read in blocks; see `okrcell.cells.expression.read_expression`.
        progress : callable, default: None
            Called after each block with the number of cells done and the total number of cells.

        Returns
        -------
        numpy.ndarray of float32, shape (cell, dim)
            Vectors of unit length, in the order of the file; NaN for a cell that expresses no gene of the vocabulary.

        Raises
        ------
        InputError
            If a row holds negative values, or the file is damaged.

        Notes
        -----
        c_i of method E4. A cell's vector depends on its own counts only, not on other cells, their number or their order.

        Examples
        --------
        >>> import okrcell as okr
        >>> import scanpy as sc
        >>> from okrcell.cells.expression import read_expression
        >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
        >>> vectors = okr.load().embed_cells(read_expression(adata[:20].copy()))
        >>> vectors.shape == (20, okr.load().dim)
        True
        """
        vectors = np.full((expression.n_cells, self.dim), np.nan, dtype=np.float32)
        done = 0
        measured = self._measured_rows(expression)
        for block in expression.blocks():
            tokens = self._tokenizer.tokenize(block, measured=measured)
            vectors[done : done + len(tokens)] = self._embed_tokens(tokens)
            done += len(tokens)
            if progress is not None:
                progress(done, expression.n_cells)
        return vectors

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
        """Embed texts.

        Parameters
        ----------
        texts : sequence of str
            Cell type names, sentences or descriptions; longer texts are truncated at the text encoder's limit.

        Returns
        -------
        numpy.ndarray of float32, shape (text, dim)
            Vectors of unit length.

        Notes
        -----
        t_i of the method: the pooled output of the text encoder, projected into the shared space.

        Examples
        --------
        >>> import okrcell as okr
        >>> model = okr.load()
        >>> vectors = model.embed_texts(["CD8-positive, alpha-beta T cell", "T cell", "hepatocyte"])
        >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
        True
        """
        return self.model.project_texts(torch.from_numpy(self.pool_texts(texts))).numpy()

    @torch.inference_mode()
    def pool_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        """Embed texts with the text encoder alone, before the projector into the shared space.

        Parameters
        ----------
        texts : sequence of str
            Texts; longer ones are truncated at the text encoder's limit.

        Returns
        -------
        numpy.ndarray of float32, shape (text, width)
            Pooled outputs of the text encoder, not normalized.
        """
        vectors = np.zeros((len(texts), self.model.text_encoder.width), dtype=np.float32)
        length_order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(texts), TEXT_BATCH_SIZE):
            batch = length_order[start : start + TEXT_BATCH_SIZE].tolist()
            tokens = self.model.text_encoder.tokenizer.tokenize([texts[int(i)] for i in batch])
            vectors[batch] = self.model.text_encoder(tokens).numpy()
        return vectors

    def _embed_tokens(self, tokens: CellTokens) -> NDArray[np.float32]:
        """Embed cells in batches of similar length, to compute little padding."""
        length = tokens.attention_mask.sum(dim=1)
        vectors = np.full((len(tokens), self.dim), np.nan, dtype=np.float32)
        order = length.argsort(stable=True)
        order = order[length[order] > 0]
        for batch in order.split(CELL_BATCH_SIZE) if len(order) else ():
            part = tokens.select(batch, int(length[batch].max()))
            vectors[batch.numpy()] = self.model.embed_cells(part).numpy()
        return vectors

    def _measured_rows(self, expression: Expression) -> NDArray[np.bool_]:
        """Mark the genes of the table that the file measured."""
        is_measured = np.zeros(len(self.gene_table), dtype=bool)
        is_measured[expression.resolution.row[expression.resolution.row >= 0]] = True
        return is_measured


@lru_cache(maxsize=2)
def _load_cached(path: str) -> Embedder:
    return Embedder.from_pretrained(path)


def load(path: str | Path | None = None) -> Embedder:
    """Load a trained model.

    Parameters
    ----------
    path : str or pathlib.Path, default: None
        A model folder, or an id "owner/name@revision" on the Hugging Face hub; the revision, best a commit, pins the files.
        None loads the bundled model, which is cached in memory and needs no download. A path that exists takes precedence
        over a hub id.

    Returns
    -------
    Embedder
        The model on the CPU, with both encoders. Pass it to the functions of `okrcell.tl`, or embed cells and texts with
        it directly.

    Raises
    ------
    CheckpointError
        If there is no such model, it is damaged, it was written by another version of the format, or its text encoder is
        not the installed one.

    Notes
    -----
    Weights are read with safetensors and checked against their sha256; no code from the folder is executed. The bundled
    model ``mini`` is ours: its architecture follows OKR-CELL (arXiv 2601.05648) where the paper defines it, but it is not
    the authors' model.

    Examples
    --------
    >>> import okrcell as okr
    >>> model = okr.load()
    >>> model.name
    'mini'
    >>> vectors = model.embed_texts(["CD8-positive, alpha-beta T cell", "hepatocyte"])
    >>> vectors.shape == (2, model.dim)
    True
    """
    if path is None:
        return _load_cached(str(bundled_model()))
    folder = download_snapshot(str(path), MODEL_PATTERNS) if is_hub_id(str(path)) else path
    return Embedder.from_pretrained(folder)


def bundled_model() -> Path:
    """Return the folder of the bundled model."""
    return Path(str(files("okrcell"))) / "models" / "mini"
