"""Fit the coefficients of the confidence of a trained model again, on the corpus of its training.

    python scripts/recalibrate.py CORPUS --config configs/mini.yaml --knowledge KNOWLEDGE --model src/okrcell/models/mini

Weights, signatures and temperatures are not changed. If the signatures of the corpus differ from those of the model, the script
stops. Studies of the corpus that the model was not trained on are used for calibration too.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import yaml

from okrcell.errors import InputError
from okrcell.model.checkpoint import MODEL_FILE, description_sha256
from okrcell.model.embedder import load
from okrcell.settings import parse_settings
from okrcell.storage import atomic_file
from okrcell.training.calibration import fit_confidence
from okrcell.training.cell_type_profiles import fit_known_types
from okrcell.training.held_out_studies import held_out_studies, score_study
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import build_dataset, read_markers

MAX_DIFFERENCE = 1e-3
"""Maximum difference of signatures; the model stores 16-bit floats."""


def read_settings(config: Path, corpus: Path, knowledge: Path) -> PretrainSettings:
    """Read the settings of the training, with other folders."""
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    values |= {"corpus": str(corpus), "knowledge": {**values["knowledge"], "folder": str(knowledge)}}
    return parse_settings(PretrainSettings, values, str(config))


def main() -> None:
    """Fit the coefficients and write them to ``model.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--knowledge", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    settings = read_settings(options.config, options.corpus, options.knowledge)
    model = load(options.model)
    head = model.signatures
    if head is None:
        raise InputError(f"The model {options.model} has no signatures, so there is nothing to calibrate.")
    pairs, partition = build_dataset(settings)
    study = pairs.corpus.obs["study"].astype(str).to_numpy()
    rows = partition.train[np.isin(study[partition.train], model.facts["seen"]["studies"])]
    markers = read_markers(settings)
    known_types, dropped_studies, genes = fit_known_types(
        pairs, rows, model.vocabulary, markers, settings.split.overlapping
    )
    if known_types.types != head.types or abs(known_types.signatures() - head.combined).max() > MAX_DIFFERENCE:
        raise InputError(f"The signatures of {options.corpus} are not those of {options.model}: it is another corpus.")
    calibration = model.facts["calibration"]
    studies = [
        item
        for item in held_out_studies(
            pairs, np.arange(len(pairs.corpus)), head.types, settings.split.overlapping, settings.seed
        )
        if item.group not in dropped_studies and (item.truth >= 0).sum() >= 2
    ]
    scores = [score_study(item, known_types, head, genes) for item in studies]
    temperature = calibration["smoothed_evidence_temperature_by_genes"][str(len(genes))]
    right = fit_confidence(studies, scores, known_types, head, genes, temperature, settings.seed)
    print(f"before: {calibration['right']}\nafter:  {right}\nstudies: {', '.join(item.name for item in studies)}")
    path = options.model / MODEL_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    content["calibration"] |= {"right": right, "right_studies": [item.name for item in studies]}
    content["sha256"] = description_sha256(content)
    with atomic_file(path) as draft:
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
