"""Manifest of a passage index, and integrity check."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from okrcell.errors import InputError
from okrcell.files import recover_folder
from okrcell.provenance import fingerprint, write_json
from okrcell.settings import Settings

MANIFEST = "index.json"


class IndexFile(Settings):
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
    files: dict[str, IndexFile]


def write_manifest(folder: Path, passages: int, embedder: str | None, dim: int) -> None:
    """Write the manifest of ``folder``; the last step of writing an index."""
    parts = sorted(part for part in folder.rglob("*") if part.is_file())
    files = {
        part.relative_to(folder).as_posix(): IndexFile(bytes=part.stat().st_size, sha256=fingerprint(part))
        for part in parts
    }
    manifest = IndexManifest(passages=passages, embedder=embedder, dim=dim, files=files)
    write_json(folder / MANIFEST, manifest.model_dump())


def read_manifest(folder: Path, *, check: bool) -> IndexManifest:
    """Read the manifest of ``folder`` and check all files: sizes always, sha256 if ``check`` is true.

    Raises
    ------
    InputError
        If there is no index, or it is damaged or has another format version.
    """
    recover_folder(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"There is no index of passages in {folder}: {MANIFEST} is missing. Build an index first.")
    try:
        manifest = IndexManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise damaged(folder, f"{MANIFEST} cannot be read ({where or 'JSON'}: {first['msg']})") from None
    except OSError as error:
        raise damaged(folder, f"{MANIFEST} cannot be read ({error.strerror})") from None
    for name, file in manifest.files.items():
        part = folder / name
        if not part.is_file():
            raise damaged(folder, f"{name} is missing")
        if part.stat().st_size != file.bytes:
            raise damaged(folder, f"{name} has {part.stat().st_size:,} bytes, not {file.bytes:,}")
        if check and fingerprint(part) != file.sha256:
            raise damaged(folder, f"{name} has changed (its sha256 differs)")
    return manifest


def damaged(folder: Path, what: str) -> InputError:
    """Return the error for a damaged index."""
    return InputError(f"The index of passages in {folder} is damaged: {what}. Build it again.")


def must_be_replaceable(folder: Path) -> None:
    """Check that ``folder`` is missing, empty or an index, so that it can be replaced.

    Raises
    ------
    InputError
        If it contains anything else.
    """
    recover_folder(folder)
    if folder.exists() and not (folder / MANIFEST).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"{folder} exists and is not an index of passages; it is left unchanged. Choose another folder."
        )
