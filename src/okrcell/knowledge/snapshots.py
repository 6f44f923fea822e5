"""Catalogue, location and download of the knowledge files."""

import os
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote, urlsplit

import yaml

from okrcell.errors import InputError
from okrcell.knowledge.fetching import Progress, fetch_file
from okrcell.provenance import fingerprint
from okrcell.settings import Settings, parse_settings

PLACE = "OKRCELL_KNOWLEDGE"
"""Environment variable with the folder or URL of the knowledge files."""
CACHE = "OKRCELL_CACHE"
"""Environment variable with the folder for downloads and derived files."""


class Published(Settings):
    """Download address of a file, with its expected sha256 and size."""

    url: str
    sha256: str
    bytes: int


class Snapshot(Settings):
    """Entry of a knowledge file in snapshots.yaml."""

    file: str
    """File name in the folder or under the URL."""
    what: str
    """Content of the file, in one line."""
    version: str
    """Release of the source."""
    licence: str
    """Licence of the source, as stated there."""
    sha256: str
    """SHA-256 of the file; a download from the user's URL must match it."""
    bytes: int
    """Size of the file in bytes."""
    published: Published | None
    """Published original, which may have other line ends; None if the file is a cleaned copy published nowhere."""
    origin: str
    """Web page of the source."""

    @property
    def fingerprints(self) -> frozenset[str]:
        """All sha256 values that are accepted for this file."""
        return frozenset({self.sha256} if self.published is None else {self.sha256, self.published.sha256})


@cache
def snapshots() -> dict[str, Snapshot]:
    """Return the entries of snapshots.yaml by file name."""
    declared = yaml.safe_load((files("okrcell.knowledge") / "snapshots.yaml").read_text(encoding="utf-8"))
    return {entry["file"]: parse_settings(Snapshot, entry, "snapshots.yaml") for entry in declared}


@dataclass(frozen=True)
class HeldFile:
    """Local copy of a knowledge file."""

    path: Path
    snapshot: Snapshot

    @property
    def sha256(self) -> str:
        """SHA-256 of the current content."""
        return current_fingerprint(self.path)

    @cached_property
    def version(self) -> str:
        """Release and sha256; a file that differs from its entry is marked as another copy."""
        release = self.snapshot.version if self.sha256 in self.snapshot.fingerprints else "another copy"
        return f"{release}, sha256 {self.sha256[:12]}"


class KnowledgeFiles:
    """Location of the knowledge files.

    Parameters
    ----------
    place
        A folder, which is only read, or a URL from which files are downloaded by name into the user's cache. Default: the
        environment variable OKRCELL_KNOWLEDGE, else the user's cache, which `fetch` fills from the published files.

    Raises
    ------
    InputError
        If the folder does not exist.
    """

    def __init__(self, place: str | Path | None = None) -> None:
        chosen = str(place or os.environ.get(PLACE) or "")
        self.url = chosen.rstrip("/") if urlsplit(chosen).scheme in {"http", "https"} else None
        self._own = Path(chosen).expanduser() if chosen and self.url is None else None
        if self._own is not None and not self._own.is_dir():
            raise InputError(f"There is no folder of knowledge files at {self._own}. Pass an existing folder or a URL.")

    @property
    def folder(self) -> Path:
        """Folder of the local files: the user's folder, else the cache."""
        return self._own or cache_folder()

    @property
    def is_cache(self) -> bool:
        """Whether `folder` is the cache, into which files are downloaded; a user's folder is only read."""
        return self._own is None

    def address(self, name: str) -> Published | None:
        """Return the download address of a file; None if it cannot be downloaded."""
        snapshot = snapshots()[name]
        if self.url is not None:
            return Published(url=f"{self.url}/{quote(name)}", sha256=snapshot.sha256, bytes=snapshot.bytes)
        return snapshot.published if self.is_cache else None

    def holds(self, name: str) -> bool:
        """Tell whether `folder` contains the file."""
        return (self.folder / name).is_file()

    def file(self, name: str) -> HeldFile:
        """Return a local file; if the location is a URL, download the file first.

        Raises
        ------
        InputError
            If the file is missing; the message tells how to get it.
        """
        path = self.folder / name
        if path.is_file():
            return HeldFile(path, snapshots()[name])
        if self.url is not None:
            return self.fetch(name)
        raise InputError(self.missing(name))

    def fetch(self, name: str, *, progress: Progress | None = None) -> HeldFile:
        """Download a file into the cache and check its sha256; a valid file in the cache is kept.

        Raises
        ------
        InputError
            If the file is published nowhere, cannot be downloaded, or has another sha256.
        """
        snapshot, address = snapshots()[name], self.address(name)
        path = self.folder / name
        if not self.is_cache:
            return self.file(name)
        if not (path.is_file() and fingerprint(path) in snapshot.fingerprints):
            if address is None:
                raise InputError(self.missing(name))
            fetch_file(address.url, path, address.sha256, address.bytes, progress)
        return HeldFile(path, snapshot)

    def missing(self, name: str) -> str:
        """Return a one-line message that the file is missing and how to get it."""
        snapshot = snapshots()[name]
        line = f"The knowledge file {name} ({snapshot.what}) is not in {self.folder}."
        if not self.is_cache:
            return f"{line} Put it there; it comes from {snapshot.origin}"
        if snapshot.published is None:
            return (
                f"{line} It is a cleaned copy of {snapshot.origin} and is not published itself: "
                f"pass --knowledge with a folder or URL that contains it, or set {PLACE}."
            )
        return f"{line} Run: okrcell knowledge fetch {name}"


def cache_folder() -> Path:
    """Return the cache folder of knowledge files: in OKRCELL_CACHE, else in the system's cache folder."""
    import platformdirs

    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("okrcell")).expanduser() / "knowledge"


def current_fingerprint(path: Path) -> str:
    """Return the sha256 of a file, cached until its modification time or size changes."""
    now = path.stat()
    return _fingerprint(path.absolute(), now.st_mtime_ns, now.st_size)


@cache
def _fingerprint(path: Path, changed: int, size: int) -> str:
    return fingerprint(path)
