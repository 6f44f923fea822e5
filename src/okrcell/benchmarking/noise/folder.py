"""Folder of the label-noise benchmark: inputs, provenance, and checks before it is extended."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.folder import RECEIPT, receipt_there
from okrcell.benchmarking.noise.plan import Run
from okrcell.benchmarking.noise.records import run_of
from okrcell.benchmarking.records import differing
from okrcell.cells.corpus import Corpus
from okrcell.errors import SettingsError
from okrcell.provenance import fingerprint, receipt, write_json
from okrcell.training.settings import PretrainSettings

MODELS, UNDER_WAY = "models", "under-way"
"""Folders beside the report: finished models, unfinished runs."""


def inputs_of(settings: PretrainSettings, files: Sequence[Path]) -> dict[str, Any]:
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


def receipt_of(folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Write the provenance, or compare with the existing one: scores on other data are not comparable.

    Raises
    ------
    SettingsError
        If the existing benchmark used another corpus, other descriptions or other files.
    """
    before = receipt_there(folder / RECEIPT)
    if before is None:
        before = receipt("benchmark", task="noise", inputs=inputs)
        write_json(folder / RECEIPT, before)
    if changed := differing(dict(inputs), before.get("inputs")):
        raise SettingsError(
            f"{folder} holds a benchmark on other data ({', '.join(changed)}); use the same data, or another folder with -o."
        )
    return before


def must_agree(records: Sequence[dict[str, Any]], settings: Mapping[Run, PretrainSettings]) -> None:
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
        now = settings[run].model_dump(mode="json", exclude={"corpus": True, "output": True})
        if changed := differing(now, record["settings"]):
            raise SettingsError(
                f"The run {run.name} was trained with other settings ({', '.join(changed)}); use the same, or another folder "
                "with -o."
            )
