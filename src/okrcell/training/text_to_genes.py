"""Fit and calibrate the signature head: the genes that a text predicts, and their confidence."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax

from okrcell.cells.genes import GeneTable
from okrcell.knowledge.type_places import gathered_places, type_places
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder
from okrcell.model.signature_head import SignatureHead
from okrcell.texts.profile import profiles
from okrcell.training.doubtful_labels import without_doubtful
from okrcell.training.evidence_calibration import calibrate_evidence
from okrcell.training.ground import Ground
from okrcell.training.left_out import left_out_studies, scored
from okrcell.training.settings import PretrainSettings
from okrcell.training.signatures import known_types, signature_head
from okrcell.training.study_profiles import study_profiles

WEIGHTS = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Candidates for the weight of the cosine similarity, in standard scores of the signatures."""


def text_to_genes(
    settings: PretrainSettings, ground: Ground, model: CellTextModel
) -> tuple[SignatureHead, dict[str, Any]]:
    """Fit signatures to marker knowledge and the training cells, and calibrate them on studies held out in turn.

    Returns
    -------
    The head, and further facts of the model: ``calibration``, and ``type_places`` (`okrcell.knowledge.type_places`).
    """
    table = GeneTable.bundled()
    tokens = ground.vocabulary.tokens(table)
    genes = np.argsort(np.where(tokens > 0, tokens, np.iinfo(np.int32).max), kind="stable")[: len(ground.vocabulary)]
    overlapping = settings.split.overlapping
    by_study = study_profiles(ground.pairs, ground.sides.train, genes, overlapping)
    told = ground.known
    strength = None
    if told is not None:
        row = table.resolve(told.genes).row
        strength = told.on(np.where(row >= 0, tokens[row] - 1, -1), len(genes))
    known, confused = without_doubtful(known_types(by_study, () if told is None else told.types, strength))
    reader = Embedder(Checkpoint(model, ground.vocabulary, {}))
    with torch.inference_mode():
        head = signature_head(known, lambda texts: torch.from_numpy(reader.pool_texts(texts)), model.project_texts)
    everyone = np.sort(np.concatenate([ground.sides.train, ground.sides.validation]))
    studies = [
        study
        for study in left_out_studies(ground.pairs, everyone, head.types, overlapping, settings.seed)
        if study.group not in confused
    ]
    calibration = calibrate_evidence(studies, known, head, genes, settings.seed)
    unseen = set(ground.sides.validation.tolist())
    apart = [study for study in studies if set(study.corpus_row.tolist()) <= unseen]
    trials: list[tuple[Float[np.ndarray, "cell candidate"], Float[np.ndarray, "cell candidate"], NDArray[np.intp]]] = []
    for study in apart:
        rows = np.flatnonzero(study.truth >= 0)
        tokens_of = ground.tokeniser.tokenise(study.rows[rows])
        with torch.inference_mode():
            cells = model.embed_cells(tokens_of).numpy()
        vectors = head.vectors[torch.from_numpy(head.known(study.types))].numpy()
        trials.append((scored(study, known, head, genes).scores[rows], cells @ vectors.T, study.truth[rows]))
    if calibration:
        heat = calibration["evidence_temperature_by_genes"][str(len(genes))]
        calibration["similarity_weight"] = min(WEIGHTS, key=lambda weight: _surprise(trials, weight, heat))
        calibration["labels_in_doubt"] = list(confused)
        calibration["similarity_learned_on"] = [study.name for study in apart]
    return head, {"calibration": calibration, "type_places": _places(settings, ground)}


def _places(settings: PretrainSettings, ground: Ground) -> dict[str, dict[str, int]]:
    """Count the sources of each type in each tissue: marker tables, if there are any, and the studies trained on."""
    obs = ground.pairs.corpus.obs.iloc[ground.sides.train]
    found = profiles(obs)
    tissue = np.array([one.tissue_id for one in found.distinct], dtype=object)[found.code]
    kind = np.array([one.cell_type_id for one in found.distinct], dtype=object)[found.code]
    seen = set(zip(kind.tolist(), tissue.tolist(), obs["study"].astype(str), strict=True))
    told = {one for one in seen if one[0]}
    if settings.knowledge is None:
        return gathered_places((), told).facts()
    return type_places(settings.knowledge.folder, seen=told).facts()


def _surprise(
    trials: list[tuple[Float[np.ndarray, "cell candidate"], Float[np.ndarray, "cell candidate"], NDArray[np.intp]]],
    weight: float,
    heat: float,
) -> float:
    total = 0.0
    for evidence, similarity, truth in trials:
        filled = np.isfinite(similarity).all(axis=1)
        logs = log_softmax((evidence + weight * similarity)[filled] / heat, axis=1)
        total -= float(logs[np.arange(int(filled.sum())), truth[filled]].mean())
    return total
