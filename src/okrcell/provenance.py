"""Provenance of outputs: settings, inputs, package versions, seed; sha256 of files; atomic JSON."""

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from okrcell.errors import InputError
from okrcell.storage import atomic_file

PACKAGES = ("okrcell", "torch", "transformers", "anndata", "scanpy", "numpy", "scipy", "cellxgene_ontology_guide")
"""Packages whose versions can change results."""


def provenance_record(verb: str, **facts: Any) -> dict[str, Any]:
    """Provenance record of an output. ``facts`` must be JSON values: settings, inputs, findings, seed."""
    return {
        "verb": verb,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        **facts,
    }


def fingerprint(path: str | Path) -> str:
    """Sha256 of a file, or of the relative paths and contents of all files in a folder (sorted by path).

    Raises
    ------
    InputError
        If ``path`` does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file or folder at {path}.")
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(file.relative_to(path).as_posix().encode())
        digest.update(fingerprint(file).encode())
    return digest.hexdigest()


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` to a JSON file atomically, indented, in the order of the keys."""
    with atomic_file(path) as temp_path:
        temp_path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
