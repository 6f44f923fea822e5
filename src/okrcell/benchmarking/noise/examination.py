"""Zero-shot evaluation of several models on the same labelled cells."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.labelled import LabeledCells
from okrcell.benchmarking.scores import accuracy, macro_f1
from okrcell.cells.tokenizer import BinTokenizer, CellTokens
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import candidate_vectors

BATCH_SIZE = 256


class ZeroShotEvaluator:
    """Zero-shot evaluation of models on the same labelled cells.

    Results shared by models are cached: tokens, for models with the same gene vocabulary and tokenizer settings, and the
    pooled outputs of a frozen text encoder.
    """

    def __init__(self, sets: Sequence[LabeledCells]) -> None:
        self._sets = sets
        self._tokens: list[CellTokens] = []
        self._genes = ""
        self._pooled: dict[tuple[str, str], torch.Tensor] = {}

    def evaluate(self, embedder: Embedder) -> list[dict[str, object]]:
        """Return name, number of cells and candidates, accuracy and macro-F1 of each data set, zero-shot among its types.

        The protocol is that of ``benchmarks/zero_shot.py``. A cell without genes of the model's vocabulary has no prediction.
        """
        self._tokenize(embedder)
        texts = _CachedTextProjection(embedder.model, self._pooled)
        return [
            _score(labeled, tokens, embedder, texts) for labeled, tokens in zip(self._sets, self._tokens, strict=True)
        ]

    def _tokenize(self, embedder: Embedder) -> None:
        genes = hashlib.sha256("\n".join(embedder.vocabulary.ensembl_id.tolist()).encode())
        genes.update(embedder.vocabulary.scale.tobytes())
        genes.update(embedder.model.settings.tokeniser.model_dump_json().encode())
        if genes.hexdigest() == self._genes:
            return
        tokenizer = BinTokenizer(embedder.model.settings.tokeniser, embedder.vocabulary, embedder.gene_table)
        self._tokens = [_compact(tokenizer.tokenize(labeled.rows)) for labeled in self._sets]
        self._genes = genes.hexdigest()


class _CachedTextProjection:
    """Text embedder that caches the outputs of the text encoder before the projection."""

    name = "remembered"

    def __init__(self, model: CellTextModel, pooled: dict[tuple[str, str], torch.Tensor]) -> None:
        self._model = model
        self._pooled = pooled
        digest = hashlib.sha256(model.text_encoder.settings.model_dump_json().encode())
        for name, parameter in model.text_encoder.named_adapted_parameters():
            digest.update(name.encode() + parameter.detach().numpy().tobytes())
        self._encoder = digest.hexdigest()

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
        encoder = self._model.text_encoder
        for text in texts:
            if (self._encoder, text) not in self._pooled:
                self._pooled[self._encoder, text] = encoder(encoder.tokenizer.tokenize([text]))[0]
        pooled = torch.stack([self._pooled[self._encoder, text] for text in texts])
        return self._model.project_texts(pooled).numpy()


def _score(
    labeled: LabeledCells, tokens: CellTokens, embedder: Embedder, texts: _CachedTextProjection
) -> dict[str, object]:
    cells = _embed_cells(tokens, embedder.model)
    answer = (cells @ candidate_vectors(labeled.candidates, texts).T).argmax(axis=1)
    answer[np.isnan(cells[:, 0])] = -1
    return {
        "set": labeled.name,
        "cells": len(labeled.truth),
        "candidates": len(labeled.candidates),
        "accuracy": accuracy(labeled.truth, answer),
        "macro_f1": macro_f1(labeled.truth, answer, len(labeled.candidates)),
    }


@torch.inference_mode()
def _embed_cells(tokens: CellTokens, model: CellTextModel) -> NDArray[np.float32]:
    """Unit vectors (cell, dim), NaN for a cell without genes of the vocabulary; batches hold cells of similar length."""
    vectors = np.full((len(tokens), model.dim), np.nan, dtype=np.float32)
    length = tokens.attention_mask.sum(dim=1)
    order = length.argsort(stable=True)
    order = order[length[order] > 0]
    for rows in order.split(BATCH_SIZE) if len(order) else ():
        width = int(length[rows].max())
        batch = CellTokens(tokens.gene[rows, :width].long(), tokens.value[rows, :width].long())
        vectors[rows.numpy()] = model.embed_cells(batch).numpy()
    return vectors


def _compact(tokens: CellTokens) -> CellTokens:
    # Small integer types: tokens stay in memory for the whole benchmark.
    return CellTokens(tokens.gene.to(torch.int32), tokens.value.to(torch.int16))
