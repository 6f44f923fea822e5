"""What stands in a benchmark's folder, and whether more may be added to it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.noise.plan import Run
from okrcell.benchmarking.noise.records import differing, run_of
from okrcell.cells.corpus import Corpus
from okrcell.errors import InputError, SettingsError
from okrcell.provenance import fingerprint, receipt, write_json
from okrcell.training.settings import PretrainSettings

RECORDS, RECEIPT, MODELS, UNDER_WAY, LOGS = "runs.jsonl", "benchmark.json", "models", "under-way", "logs"
"""Files and folders beside the report."""


def made_folder(folder: Path) -> None:
    """Make the folder, or see that it is a benchmark's.

    Raises
    ------
    InputError
        If it holds something else, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}.") from None
    if strangers and not (folder / RECEIPT).exists():
        raise InputError(
            f"{folder} holds other things ({min(strangers)}) and no benchmark; name another folder with -o."
        )


def inputs_of(settings: PretrainSettings, files: Sequence[Path]) -> dict[str, Any]:
    """Tell what the runs learn from and are scored on, by what it holds.

    Raises
    ------
    InputError
        If there is no such corpus or file.
    """
    return {
        "corpus": Corpus.open(settings.corpus).fingerprint,
        "descriptions": fingerprint(settings.texts.descriptions) if settings.texts.descriptions else "",
        "files": {file.name: fingerprint(file) for file in files},
    }


def receipt_of(folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the receipt, or compare with the one that is there: figures on other data are not comparable.

    Raises
    ------
    SettingsError
        If the benchmark that is there is on another corpus, other descriptions or other files.
    """
    before = _read(folder / RECEIPT)
    if before is None:
        before = receipt("benchmark", task="noise", inputs=inputs)
        write_json(folder / RECEIPT, before)
    if changed := differing(dict(inputs), before.get("inputs")):
        raise SettingsError(
            f"{folder} holds a benchmark on other data ({', '.join(changed)}); name the same, or another folder with -o."
        )
    return before


def must_agree(records: Sequence[dict[str, Any]], settings: Mapping[Run, PretrainSettings]) -> None:
    """Refuse to go on if runs that are done would be made otherwise today.

    Raises
    ------
    SettingsError
        It names what differs.
    """
    for record in records:
        run = run_of(record)
        if run not in settings:
            continue
        now = settings[run].model_dump(mode="json", exclude={"corpus": True, "output": True})
        if changed := differing(now, record["settings"]):
            raise SettingsError(
                f"The run {run.name} was made with other settings ({', '.join(changed)}); use the same, or another folder "
                "with -o."
            )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
