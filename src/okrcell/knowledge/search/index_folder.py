"""Manifest of a passage index, and integrity check."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from okrcell.errors import InputError
from okrcell.storage import recover_dir
from okrcell.provenance import fingerprint, write_json
from okrcell.settings import Settings

MANIFEST_FILE = "index.json"


class ManifestEntry(Settings):
    """Size and sha256 of a file of the index."""

    bytes: int
    sha256: str


class IndexManifest(Settings):
    """Content of an index, with the sha256 of every file."""

    format: Literal["okrcell passages 1"] = "okrcell passages 1"
    passages: int
    embedder: str | None
    """Name of the encoder of the vectors; None without vectors."""
    dim: int
    """Dimension of the vectors; 0 without vectors."""
    files: dict[str, ManifestEntry]


def write_manifest(folder: Path, passages: int, embedder: str | None, dim: int) -> None:
    """Write the manifest of ``folder``; the last step of writing an index."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {
        path.relative_to(folder).as_posix(): ManifestEntry(bytes=path.stat().st_size, sha256=fingerprint(path))
        for path in paths
    }
    manifest = IndexManifest(passages=passages, embedder=embedder, dim=dim, files=files)
    write_json(folder / MANIFEST_FILE, manifest.model_dump())


def read_manifest(folder: Path, *, check: bool) -> IndexManifest:
    """Read the manifest of ``folder`` and check all files: sizes always, sha256 if ``check`` is true.

    Raises
    ------
    InputError
        If there is no index, or it is damaged or has another format version.
    """
    recover_dir(folder)
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise InputError(
            f"There is no index of passages in {folder}: {MANIFEST_FILE} is missing. Build an index first."
        )
    try:
        manifest = IndexManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"]))
        raise damaged_index_error(
            folder, f"{MANIFEST_FILE} cannot be read ({location or 'JSON'}: {first['msg']})"
        ) from None
    except OSError as error:
        raise damaged_index_error(folder, f"{MANIFEST_FILE} cannot be read ({error.strerror})") from None
    for name, file in manifest.files.items():
        file_path = folder / name
        if not file_path.is_file():
            raise damaged_index_error(folder, f"{name} is missing")
        if file_path.stat().st_size != file.bytes:
            raise damaged_index_error(folder, f"{name} has {file_path.stat().st_size:,} bytes, not {file.bytes:,}")
        if check and fingerprint(file_path) != file.sha256:
            raise damaged_index_error(folder, f"{name} has changed (its sha256 differs)")
    return manifest


def damaged_index_error(folder: Path, problem: str) -> InputError:
    """Return the error for a damaged index."""
    return InputError(f"The index of passages in {folder} is damaged: {problem}. Build it again.")


def check_replaceable(folder: Path) -> None:
    """Check that ``folder`` is missing, empty or an index, so that it can be replaced.

    Raises
    ------
    InputError
        If it contains anything else.
    """
    recover_dir(folder)
    if (
        folder.exists()
        and not (folder / MANIFEST_FILE).is_file()
        and not (folder.is_dir() and not any(folder.iterdir()))
    ):
        raise InputError(
            f"{folder} exists and is not an index of passages; it is left unchanged. Choose another folder."
        )
