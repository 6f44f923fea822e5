"""Fit and calibrate the signature head: the genes that a text predicts, and their confidence."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.cells.tokenizer import measured_genes
from okrcell.knowledge.cell_type_tissues import count_cell_type_tissues, load_cell_type_tissues
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder
from okrcell.model.signatures import SignatureHead
from okrcell.ontology.obs_profile import read_profiles
from okrcell.temperature import nll
from okrcell.training.calibration import calibrate_signatures
from okrcell.training.cell_type_profiles import build_signature_head
from okrcell.training.held_out_studies import held_out_studies, score_study
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import RunInputs
from okrcell.training.type_variation import fit_type_variation

SIMILARITY_WEIGHTS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Candidates for the weight of the cosine similarity, in standard scores of the signatures."""


def fit_signatures(
    settings: PretrainSettings, inputs: RunInputs, model: CellTextModel
) -> tuple[SignatureHead, dict[str, Any]]:
    """Fit signatures to marker knowledge and the training cells, and calibrate them on studies held out in turn.

    Returns
    -------
    The head, and further facts of the model: ``calibration``, ``type_places``, the tissues of each type, and
    ``signature_sources``, the sources of the weights from markers with licence, version and number of weights.
    """
    overlapping = settings.split.overlapping
    type_signatures, dropped_studies, genes = inputs.known_types
    embedder = Embedder(Checkpoint(model, inputs.vocabulary, {}))
    with torch.inference_mode():
        head = build_signature_head(
            type_signatures, lambda texts: torch.from_numpy(embedder.pool_texts(texts)), model.project_texts
        )
    sources: list[dict[str, str | int | bool]] = []
    if inputs.markers is not None:
        gene_index = inputs.markers.gene_index(inputs.vocabulary)
        masks = inputs.markers.source_masks(head.types, gene_index, head.knowledge)
        head, sources = replace(head, knowledge_sources=masks), inputs.markers.source_records(masks)
    all_rows = np.sort(np.concatenate([inputs.partition.train, inputs.partition.validation]))
    head = replace(head, variation=fit_type_variation(inputs.pairs, all_rows, genes, head, overlapping, settings.seed))
    studies = [
        study
        for study in held_out_studies(inputs.pairs, all_rows, head.types, overlapping, settings.seed)
        if study.group not in dropped_studies
    ]
    calibration = calibrate_signatures(studies, type_signatures, head, genes, settings.seed)
    validation_rows = set(inputs.partition.validation.tolist())
    unseen_studies = [study for study in studies if set(study.corpus_rows.tolist()) <= validation_rows]
    scores: list[tuple[Float[np.ndarray, "cell candidate"], Float[np.ndarray, "cell candidate"], NDArray[np.intp]]] = []
    for study in unseen_studies:
        rows = np.flatnonzero(study.truth >= 0)
        cell_tokens = inputs.tokenizer.tokenize(study.rows[rows], measured=measured_genes(study.rows))
        with torch.inference_mode():
            cells = model.embed_cells(cell_tokens).numpy()
        vectors = head.vectors[torch.from_numpy(head.index_of(study.types))].numpy()
        scores.append(
            (score_study(study, type_signatures, head, genes).scores[rows], cells @ vectors.T, study.truth[rows])
        )
    if calibration:
        temperature = calibration["evidence_temperature_by_genes"][str(len(genes))]
        calibration["similarity_weight"] = min(
            SIMILARITY_WEIGHTS,
            key=lambda weight: nll(
                [(score + weight * similarity, truth) for score, similarity, truth in scores], temperature
            ),
        )
        calibration["labels_in_doubt"] = list(dropped_studies)
        calibration["similarity_learned_on"] = [study.name for study in unseen_studies]
    return head, {
        "calibration": calibration,
        "type_places": _type_tissues(settings, inputs),
        "signature_sources": sources,
    }


def _type_tissues(settings: PretrainSettings, inputs: RunInputs) -> dict[str, dict[str, int]]:
    """Count the sources of each type in each tissue: marker tables, if there are any, and the studies trained on."""
    obs = inputs.pairs.corpus.obs.iloc[inputs.partition.train]
    obs_profiles = read_profiles(obs)
    tissue = np.array([item.tissue_id for item in obs_profiles.distinct], dtype=object)[obs_profiles.codes]
    cell_type = np.array([item.cell_type_id for item in obs_profiles.distinct], dtype=object)[obs_profiles.codes]
    observed = set(zip(cell_type.tolist(), tissue.tolist(), obs["study"].astype(str), strict=True))
    typed = {item for item in observed if item[0]}
    if settings.knowledge is None:
        return count_cell_type_tissues((), typed).to_dict()
    open_only = settings.knowledge.markers == "open"
    return load_cell_type_tissues(settings.knowledge.folder, training_cells=typed, open_only=open_only).to_dict()
