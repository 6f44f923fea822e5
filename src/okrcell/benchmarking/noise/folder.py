"""Folder of the label-noise benchmark: inputs, provenance, and checks before it is extended."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.folder import PROVENANCE_FILE, read_provenance
from okrcell.benchmarking.noise.plan import NoiseRun
from okrcell.benchmarking.noise.records import run_of
from okrcell.benchmarking.records import differing_keys
from okrcell.data.corpus import Corpus
from okrcell.errors import SettingsError
from okrcell.provenance import fingerprint, provenance_record, write_json
from okrcell.training.settings import PretrainSettings

MODELS_DIR, RUNNING_DIR = "models", "under-way"
"""Folders beside the report: finished models, unfinished runs."""


def input_fingerprints(settings: PretrainSettings, files: Sequence[Path]) -> dict[str, Any]:
    """Return fingerprints of the training corpus, the descriptions and the evaluation files.

    Raises
    ------
    InputError
        If the corpus or a file is missing.
    """
    return {
        "corpus": Corpus.open(settings.corpus).fingerprint,
        "descriptions": fingerprint(settings.texts.descriptions) if settings.texts.descriptions else "",
        "files": {file.name: fingerprint(file) for file in files},
    }


def ensure_provenance(folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Write the provenance, or compare with the existing one: scores on other data are not comparable.

    Raises
    ------
    SettingsError
        If the existing benchmark used another corpus, other descriptions or other files.
    """
    existing = read_provenance(folder / PROVENANCE_FILE)
    if existing is None:
        existing = provenance_record("benchmark", task="noise", inputs=inputs)
        write_json(folder / PROVENANCE_FILE, existing)
    if changed := differing_keys(dict(inputs), existing.get("inputs")):
        raise SettingsError(
            f"{folder} holds a benchmark on other data ({', '.join(changed)}); use the same data, or another folder with -o."
        )
    return existing


def check_settings(records: Sequence[dict[str, Any]], settings: Mapping[NoiseRun, PretrainSettings]) -> None:
    """Check that finished runs have the settings that they would be trained with now.

    Raises
    ------
    SettingsError
        If settings differ; the message lists them.
    """
    for record in records:
        run = run_of(record)
        if run not in settings:
            continue
        current = settings[run].model_dump(mode="json", exclude={"corpus": True, "output": True})
        if changed := differing_keys(current, record["settings"]):
            raise SettingsError(
                f"The run {run.name} was trained with other settings ({', '.join(changed)}); use the same, or another folder "
                "with -o."
            )
