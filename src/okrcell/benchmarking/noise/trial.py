"""Train and score one run of the label-noise benchmark."""

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.labeled import LabeledCells, read_held_out_studies, read_labeled_file
from okrcell.benchmarking.noise.plan import NoiseRun
from okrcell.benchmarking.noise.summary import score_reliability
from okrcell.benchmarking.resources import peak_memory, reset_peak_memory
from okrcell.cells.tokenizer import CellTokens, build_tokenizer, measured_genes
from okrcell.errors import InputError
from okrcell.metrics.annotation import accuracy, macro_f1
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import candidate_vectors
from okrcell.training.log import read_log
from okrcell.training.pretrain import pretrain
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import RunInputs

BATCH_SIZE = 256
LAST_STEPS = 20
"""Number of last steps that the reported losses are averaged over."""


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

        The protocol is that of ``experiments/zero_shot.py``. A cell without genes of the model's vocabulary has no prediction.
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
        tokenizer = build_tokenizer(embedder.model.settings.tokeniser, embedder.vocabulary, embedder.gene_table)
        self._tokens = [
            _compact(tokenizer.tokenize(labeled.rows, measured=measured_genes(labeled.rows))) for labeled in self._sets
        ]
        self._genes = genes.hexdigest()


class _CachedTextProjection:
    """Text embedder that caches the outputs of the text encoder before the projection."""

    name = "cached"

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
        batch = tokens.select(rows, int(length[rows].max()))
        value = batch.value if batch.value.is_floating_point() else batch.value.long()
        vectors[rows.numpy()] = model.embed_cells(CellTokens(batch.gene.long(), value, batch.measured)).numpy()
    return vectors


def _compact(tokens: CellTokens) -> CellTokens:
    # Small integer types: tokens stay in memory for the whole benchmark.
    value = tokens.value if tokens.value.is_floating_point() else tokens.value.to(torch.int16)
    return CellTokens(tokens.gene.to(torch.int32), value, tokens.measured)


class TrialRunner:
    """Trains and scores runs on one corpus; shared inputs are prepared once."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._inputs: RunInputs | None = None
        self._evaluator: ZeroShotEvaluator | None = None

    def run_trial(self, run: NoiseRun, settings: PretrainSettings, *, model_dir: Path | None) -> dict[str, Any]:
        """Train a run, score its model, and return its record.

        Parameters
        ----------
        model_dir
            Folder that the run's folder is moved to; None deletes it.

        Raises
        ------
        InputError
            If there are no labelled cells to score the model on.
        """
        inputs = self._inputs = self._inputs or RunInputs.from_settings(settings)
        evaluator = self._evaluator = self._evaluator or self._build_evaluator(inputs, settings)
        reset_peak_memory()
        start = time.perf_counter()
        ticks: list[float] = []

        def tick(*_: object) -> None:
            ticks.append(time.perf_counter())

        trained = pretrain(settings, progress=tick, inputs=inputs)
        peak = peak_memory()
        embedder = Embedder.from_pretrained(trained.model)
        sets = evaluator.evaluate(embedder)
        row = {
            **asdict(run),
            "accuracy": _mean(sets, "accuracy"),
            "macro_f1": _mean(sets, "macro_f1"),
            "sets": sets,
            "reliability": score_reliability(trained.reliability) if trained.reliability else None,
            "noise_note": embedder.facts["receipt"]["noise"] if settings.noise.rate > 0 else "",
            "validation": trained.validation,
            "losses": _last_losses(trained.log),
            "steps": trained.steps,
            "seconds": time.perf_counter() - start,
            # Median, because validation takes place between some steps.
            "seconds_per_step": float(np.median(np.diff(ticks))) if len(ticks) > 1 else None,
            "peak_memory": peak,
            "settings": settings.model_dump(mode="json", exclude={"corpus": True, "output": True}),
        }
        if model_dir is None:
            shutil.rmtree(settings.output, ignore_errors=True)
        else:
            shutil.rmtree(model_dir, ignore_errors=True)
            settings.output.replace(model_dir)
        return row

    def _build_evaluator(self, inputs: RunInputs, settings: PretrainSettings) -> ZeroShotEvaluator:
        if self._files:
            return ZeroShotEvaluator([read_labeled_file(file) for file in self._files])
        studies = read_held_out_studies(inputs.pairs, settings.split.studies)
        if not studies:
            raise InputError(
                "There is nothing to score the models on: no held-out study (split.studies) has cells of two Cell Ontology "
                "types. Choose other studies, or give labelled files with --files."
            )
        return ZeroShotEvaluator(studies)


def _mean(sets: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([entry[name] for entry in sets]))


def _last_losses(log: Path) -> dict[str, float]:
    """Mean of each logged value over the last steps."""
    lines = [line for line in read_log(log) if "total" in line][-LAST_STEPS:]
    names = [name for name in lines[-1] if name not in {"step", "stage"}] if lines else []
    return {name: float(np.mean([line[name] for line in lines if name in line])) for name in names}
