"""Cells and texts in, unit vectors out."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.cells.expression import Expression
from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenise import BinTokeniser, CellTokens
from okrcell.errors import CheckpointError
from okrcell.model.checkpoint import Checkpoint, load_checkpoint
from okrcell.model.relative_expression import Panel
from okrcell.model.signature_head import SignatureHead

Progress = Callable[[int, int], None]
"""Told how many cells of how many are done."""
CELLS_AT_ONCE = 128
TEXTS_AT_ONCE = 64


class CellEmbedder(Protocol):
    """Anything that gives cells vectors; a benchmark's baseline fits here."""

    name: str

    def embed_cells(self, expression: Expression, progress: Progress | None = None) -> Float[np.ndarray, "cell dim"]:
        """Return float32 vectors of unit length, NaN for a cell without expression."""
        ...


class Embedder:
    """A trained model in use: both encoders with their tokenisers."""

    signatures: SignatureHead | None = None
    """Text to genes; None in a model that was trained without."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.name = checkpoint.name
        self.facts = checkpoint.facts
        self.model = checkpoint.model.eval()
        self.vocabulary = checkpoint.vocabulary
        self.table = GeneTable.bundled()
        self._tokeniser = BinTokeniser(self.model.settings.tokeniser, self.vocabulary, self.table)
        self.signatures = checkpoint.signatures
        token = self.vocabulary.tokens(self.table)
        self._known = token > 0
        self._row = np.flatnonzero(self._known)[np.argsort(token[self._known], kind="stable")]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a model folder.

        Raises
        ------
        CheckpointError
            If there is no model, or it is damaged.
        """
        return cls(load_checkpoint(path))

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.model.dim

    @property
    def fingerprint(self) -> str:
        """The sha256 of the weights: which model gave a vector."""
        return str(self.facts.get("weights_sha256", ""))

    def measured(self, expression: Expression) -> int:
        """Count the model's genes that the file measured."""
        rows = np.unique(expression.resolution.row[expression.resolution.row >= 0])
        return int(self._known[rows].sum())

    def panel(self, expression: Expression) -> Panel:
        """Tell which of the model's genes the file measured, and how its rows are brought onto them.

        Raises
        ------
        CheckpointError
            If the model has no signatures.
        """
        if self.signatures is None:
            raise CheckpointError(f"The model {self.name} was trained without signatures of genes.")
        rows = np.unique(expression.resolution.row[expression.resolution.row >= 0])
        on_table = np.zeros(len(self.table), dtype=bool)
        on_table[rows] = True
        return Panel.of(self.signatures, self._row, on_table[self._row])

    @torch.inference_mode()
    def embed_cells(self, expression: Expression, progress: Progress | None = None) -> Float[np.ndarray, "cell dim"]:
        """Return a unit vector for each cell, float32 (cell, dim); NaN for a cell without any known gene.

        A cell's vector depends on its own counts alone: not on its neighbours, their number or their order.
        """
        vectors = np.full((expression.n_cells, self.dim), np.nan, dtype=np.float32)
        done = 0
        for block in expression.blocks():
            tokens = self._tokeniser.tokenise(block)
            vectors[done : done + len(tokens)] = self._vectors(tokens)
            done += len(tokens)
            if progress is not None:
                progress(done, expression.n_cells)
        return vectors

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
        """Return a unit vector for each text, float32 (text, dim)."""
        return self.model.project_texts(torch.from_numpy(self.pool_texts(texts))).numpy()

    @torch.inference_mode()
    def pool_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        """Return texts as the text encoder pools them, before the projector into the common space; float32."""
        vectors = np.zeros((len(texts), self.model.text_encoder.width), dtype=np.float32)
        by_length = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            some = by_length[start : start + TEXTS_AT_ONCE].tolist()
            tokens = self.model.text_encoder.tokeniser.tokenise([texts[int(place)] for place in some])
            vectors[some] = self.model.text_encoder(tokens).numpy()
        return vectors

    def _vectors(self, tokens: CellTokens) -> NDArray[np.float32]:
        """Encode cells of like length together, so that little padding is computed."""
        length = tokens.known.sum(dim=1)
        vectors = np.full((len(tokens), self.dim), np.nan, dtype=np.float32)
        order = length.argsort(stable=True)
        order = order[length[order] > 0]
        for some in order.split(CELLS_AT_ONCE) if len(order) else ():
            width = int(length[some].max())
            part = CellTokens(tokens.gene[some, :width], tokens.value[some, :width])
            vectors[some.numpy()] = self.model.embed_cells(part).numpy()
        return vectors


@lru_cache(maxsize=2)
def _opened(path: str) -> Embedder:
    return Embedder.open(path)


def load(path: str | Path | None = None) -> Embedder:
    """Load a model: the bundled one, a folder, or a hub id ("owner/name").

    Raises
    ------
    CheckpointError
        If there is no such model, or it is damaged.
    """
    if path is None:
        return _opened(str(bundled_model()))
    if Path(path).exists() or str(path).count("/") != 1 or str(path).startswith((".", "/")):
        return Embedder.open(path)
    return Embedder.open(_from_hub(str(path)))


def bundled_model() -> Path:
    """Return the folder of the model that ships with okrcell."""
    return Path(str(files("okrcell"))) / "models" / "mini"


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    hub: Any = snapshot_download
    try:
        return Path(hub(name, allow_patterns=["*.json", "*.safetensors", "*.tsv", "*.md"]))
    except Exception as error:  # noqa: BLE001  (the hub client raises many kinds, all of which mean the same here)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"There is no folder {name}, and the model hub did not give it: {reason}") from None
