"""Fit the temperatures of signature scores and the confidence of a trained model again, on the corpus of its training.

    python scripts/recalibrate.py CORPUS --config configs/mini.yaml --knowledge KNOWLEDGE --model src/okrcell/models/mini

Weights and signatures are not changed. If the signatures of the corpus differ from those of the model, the script
stops. Studies of the corpus that the model was not trained on are used for calibration too.
"""

import argparse
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from okrcell.data.dataset import PairDataset
from okrcell.errors import InputError
from okrcell.model.checkpoint import MODEL_FILE, description_sha256
from okrcell.model.embedder import Embedder, load
from okrcell.model.signatures import SignatureHead
from okrcell.settings import parse_settings
from okrcell.storage import atomic_file
from okrcell.training.calibration import calibrate_signatures
from okrcell.training.cell_type_profiles import KnownTypes, fit_known_types
from okrcell.training.held_out_studies import HeldOutStudy, held_out_studies
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import build_dataset, read_markers

MAX_DIFFERENCE = 1e-3
"""Maximum difference of signatures; the model stores 16-bit floats."""


def read_settings(config: Path, corpus: Path, knowledge: Path) -> PretrainSettings:
    """Read the settings of the training, with other folders."""
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    values |= {"corpus": str(corpus), "knowledge": {**values["knowledge"], "folder": str(knowledge)}}
    return parse_settings(PretrainSettings, values, str(config))


def read_known_types(settings: PretrainSettings, model: Embedder) -> tuple[PairDataset, KnownTypes, list[HeldOutStudy]]:
    """Read the corpus of a model, compute its signatures again, and select the studies that can be held out.

    Raises
    ------
    InputError
        If the model has no signatures, or not those of the corpus.
    """
    head = model.signatures
    if head is None:
        raise InputError(f"The model {model.name} has no signatures, so there is nothing to calibrate.")
    pairs, partition = build_dataset(settings)
    study = pairs.corpus.obs["study"].astype(str).to_numpy()
    rows = partition.train[np.isin(study[partition.train], model.facts["seen"]["studies"])]
    known_types, dropped_studies, _ = fit_known_types(
        pairs, rows, model.vocabulary, read_markers(settings), settings.split.overlapping
    )
    if known_types.types != head.types or abs(known_types.signatures() - head.combined).max() > MAX_DIFFERENCE:
        raise InputError(f"The signatures of {settings.corpus} are not those of {model.name}: it is another corpus.")
    all_rows = np.arange(len(pairs.corpus))
    found = held_out_studies(pairs, all_rows, head.types, settings.split.overlapping, settings.seed)
    studies = [study for study in found if study.group not in dropped_studies and (study.truth >= 0).sum() >= 2]
    return pairs, known_types, studies


def write_calibration(folder: Path, values: dict[str, Any]) -> None:
    """Replace values under ``calibration`` in ``model.json`` of a model folder."""
    path = folder / MODEL_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    content["calibration"] |= values
    content["sha256"] = description_sha256(content)
    with atomic_file(path) as draft:
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Fit the temperatures of signature scores and the confidence, and write them to ``model.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--knowledge", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    settings, model = read_settings(options.config, options.corpus, options.knowledge), load(options.model)
    _, known_types, studies = read_known_types(settings, model)
    genes = model.vocabulary.rows(model.gene_table)
    values = calibrate_signatures(studies, known_types, cast(SignatureHead, model.signatures), genes, settings.seed)
    print(f"before: {model.facts['calibration'].get('right_by_genes')}\nafter:  {values['right_by_genes']}")
    print(f"studies: {', '.join(study.name for study in studies)}")
    write_calibration(options.model, values)


if __name__ == "__main__":
    main()
