"""What an index of passages lies on disk as, and how damage is seen."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from okrcell.errors import InputError
from okrcell.files import recover_folder
from okrcell.provenance import fingerprint, write_json
from okrcell.settings import Settings

MANIFEST = "index.json"


class IndexFile(Settings):
    """A file of the index."""

    bytes: int
    sha256: str


class IndexManifest(Settings):
    """What an index holds, and the sha256 of every file of it."""

    format: Literal["okrcell passages 1"] = "okrcell passages 1"
    passages: int
    embedder: str | None
    """Whose vectors they are; None when there are none."""
    dim: int
    """Length of the vectors; 0 when there are none."""
    files: dict[str, IndexFile]


def write_manifest(folder: Path, passages: int, embedder: str | None, dim: int) -> None:
    """Write down what is in ``folder``, last of all."""
    parts = sorted(part for part in folder.rglob("*") if part.is_file())
    files = {
        part.relative_to(folder).as_posix(): IndexFile(bytes=part.stat().st_size, sha256=fingerprint(part))
        for part in parts
    }
    manifest = IndexManifest(passages=passages, embedder=embedder, dim=dim, files=files)
    write_json(folder / MANIFEST, manifest.model_dump())


def read_manifest(folder: Path, *, check: bool) -> IndexManifest:
    """Read what is in ``folder``; sizes are always compared, contents when ``check`` is true.

    Raises
    ------
    InputError
        If there is no index, or it is damaged, or of another version.
    """
    recover_folder(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"There is no index of passages in {folder}: it has no {MANIFEST}. Build one first.")
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
            raise damaged(folder, f"{name} is not what was written (its sha256 differs)")
    return manifest


def damaged(folder: Path, what: str) -> InputError:
    """Say what is wrong with an index, and what to do."""
    return InputError(f"The index of passages in {folder} is damaged: {what}. Build it again.")


def must_be_replaceable(folder: Path) -> None:
    """Make sure that an index may be written at ``folder``: nothing is there, or an index.

    Raises
    ------
    InputError
        If something else is there, which would be lost.
    """
    recover_folder(folder)
    if folder.exists() and not (folder / MANIFEST).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists and is no index of passages; it is left alone. Choose another place.")
