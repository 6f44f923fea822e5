"""Zero-shot evaluation of several models on the same labelled cells."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.labelled import LabelledCells
from okrcell.benchmarking.scores import accuracy, macro_f1
from okrcell.cells.tokenise import BinTokeniser, CellTokens
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import candidate_vectors

CELLS_AT_ONCE = 256


class Examination:
    """Zero-shot evaluation of models on the same labelled cells.

    Results shared by models are cached: tokens, for models with the same gene vocabulary and tokenizer settings, and the
    pooled outputs of a frozen text encoder.
    """

    def __init__(self, sets: Sequence[LabelledCells]) -> None:
        self._sets = sets
        self._tokens: list[CellTokens] = []
        self._genes = ""
        self._pooled: dict[tuple[str, str], torch.Tensor] = {}

    def scores(self, embedder: Embedder) -> list[dict[str, object]]:
        """Return name, number of cells and candidates, accuracy and macro-F1 of each data set, zero-shot among its types.

        The protocol is that of ``benchmarks/zero_shot.py``. A cell without genes of the model's vocabulary has no prediction.
        """
        self._tokenise(embedder)
        texts = _Remembered(embedder.model, self._pooled)
        return [_score(some, tokens, embedder, texts) for some, tokens in zip(self._sets, self._tokens, strict=True)]

    def _tokenise(self, embedder: Embedder) -> None:
        genes = hashlib.sha256("\n".join(embedder.vocabulary.ensembl_id.tolist()).encode())
        genes.update(embedder.vocabulary.scale.tobytes())
        genes.update(embedder.model.settings.tokeniser.model_dump_json().encode())
        if genes.hexdigest() == self._genes:
            return
        tokeniser = BinTokeniser(embedder.model.settings.tokeniser, embedder.vocabulary, embedder.table)
        self._tokens = [_narrow(tokeniser.tokenise(some.rows)) for some in self._sets]
        self._genes = genes.hexdigest()


class _Remembered:
    """Text embedder that caches the outputs of the text encoder before the projection."""

    name = "remembered"

    def __init__(self, model: CellTextModel, pooled: dict[tuple[str, str], torch.Tensor]) -> None:
        self._model = model
        self._pooled = pooled
        digest = hashlib.sha256(model.text_encoder.settings.model_dump_json().encode())
        for name, parameter in model.text_encoder.adapted_by_name():
            digest.update(name.encode() + parameter.detach().numpy().tobytes())
        self._encoder = digest.hexdigest()

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
        encoder = self._model.text_encoder
        for text in texts:
            if (self._encoder, text) not in self._pooled:
                self._pooled[self._encoder, text] = encoder(encoder.tokeniser.tokenise([text]))[0]
        pooled = torch.stack([self._pooled[self._encoder, text] for text in texts])
        return self._model.project_texts(pooled).numpy()


def _score(some: LabelledCells, tokens: CellTokens, embedder: Embedder, texts: _Remembered) -> dict[str, object]:
    cells = _embedded(tokens, embedder.model)
    answer = (cells @ candidate_vectors(some.candidates, texts).T).argmax(axis=1)
    answer[np.isnan(cells[:, 0])] = -1
    return {
        "set": some.name,
        "cells": len(some.truth),
        "candidates": len(some.candidates),
        "accuracy": accuracy(some.truth, answer),
        "macro_f1": macro_f1(some.truth, answer, len(some.candidates)),
    }


@torch.inference_mode()
def _embedded(tokens: CellTokens, model: CellTextModel) -> NDArray[np.float32]:
    """Unit vectors (cell, dim), NaN for a cell without genes of the vocabulary; batches hold cells of similar length."""
    vectors = np.full((len(tokens), model.dim), np.nan, dtype=np.float32)
    length = tokens.known.sum(dim=1)
    order = length.argsort(stable=True)
    order = order[length[order] > 0]
    for some in order.split(CELLS_AT_ONCE) if len(order) else ():
        width = int(length[some].max())
        part = CellTokens(tokens.gene[some, :width].long(), tokens.value[some, :width].long())
        vectors[some.numpy()] = model.embed_cells(part).numpy()
    return vectors


def _narrow(tokens: CellTokens) -> CellTokens:
    # Small integer types: tokens stay in memory for the whole benchmark.
    return CellTokens(tokens.gene.to(torch.int32), tokens.value.to(torch.int16))
