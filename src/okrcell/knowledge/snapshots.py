"""Knowledge files: which there are, where they were published, and where they stand on this machine."""

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
"""Environment variable that names a folder or a URL where the knowledge files are."""
CACHE = "OKRCELL_CACHE"
"""Environment variable that names the folder for what was fetched and what can be made again."""


class Published(Settings):
    """An address that a file can be fetched from, and what must come."""

    url: str
    sha256: str
    bytes: int


class Snapshot(Settings):
    """A knowledge file, as snapshots.yaml declares it."""

    file: str
    """Its name, in whatever folder or under whatever URL it stands."""
    what: str
    """What it tells of, in one line."""
    version: str
    """The release of the source that it holds."""
    licence: str
    """The terms of the source, as found."""
    sha256: str
    """Fingerprint of the file; what is fetched from the user's URL must have it."""
    bytes: int
    """Size of the file."""
    published: Published | None
    """Where the file was published, perhaps with other line ends; None when it was nowhere, for it is a cleaned copy."""
    origin: str
    """Page where people find the source."""

    @property
    def fingerprints(self) -> frozenset[str]:
        """What a file may have and still be this one."""
        return frozenset({self.sha256} if self.published is None else {self.sha256, self.published.sha256})


@cache
def snapshots() -> dict[str, Snapshot]:
    """List the declared knowledge files by name."""
    declared = yaml.safe_load((files("okrcell.knowledge") / "snapshots.yaml").read_text(encoding="utf-8"))
    return {entry["file"]: parse_settings(Snapshot, entry, "snapshots.yaml") for entry in declared}


@dataclass(frozen=True)
class HeldFile:
    """A knowledge file on this machine."""

    path: Path
    snapshot: Snapshot

    @property
    def sha256(self) -> str:
        """Fingerprint of the file as it is now."""
        return current_fingerprint(self.path)

    @cached_property
    def version(self) -> str:
        """The release and the fingerprint; a file other than the declared one is known by its fingerprint alone."""
        release = self.snapshot.version if self.sha256 in self.snapshot.fingerprints else "another copy"
        return f"{release}, sha256 {self.sha256[:12]}"


class KnowledgeFiles:
    """The place where this run takes its knowledge files from.

    Parameters
    ----------
    place
        A folder, which is used as it is; or a URL, under which the files are fetched by their names. By default what
        the environment says in OKRCELL_KNOWLEDGE, else the user's cache, filled by `fetch` from where the files were
        published.

    Raises
    ------
    InputError
        If the place is a folder that does not exist.
    """

    def __init__(self, place: str | Path | None = None) -> None:
        chosen = str(place or os.environ.get(PLACE) or "")
        self.url = chosen.rstrip("/") if urlsplit(chosen).scheme in {"http", "https"} else None
        self._own = Path(chosen).expanduser() if chosen and self.url is None else None
        if self._own is not None and not self._own.is_dir():
            raise InputError(f"There is no folder of knowledge files at {self._own}. Name a folder or a URL.")

    @property
    def folder(self) -> Path:
        """Where the files stand, or will stand when they are fetched."""
        return self._own or cache_folder()

    @property
    def is_cache(self) -> bool:
        """Whether files are fetched into the folder; a folder of the user is only read."""
        return self._own is None

    def address(self, name: str) -> Published | None:
        """Where a file can be fetched from; None when nowhere."""
        snapshot = snapshots()[name]
        if self.url is not None:
            return Published(url=f"{self.url}/{quote(name)}", sha256=snapshot.sha256, bytes=snapshot.bytes)
        return snapshot.published if self.is_cache else None

    def holds(self, name: str) -> bool:
        """Tell whether a file is on this machine, in this place."""
        return (self.folder / name).is_file()

    def file(self, name: str) -> HeldFile:
        """Give a file that is on this machine; from the URL that this place was given, it is fetched first.

        Raises
        ------
        InputError
            If the file is not here; the message says how to get it.
        """
        path = self.folder / name
        if path.is_file():
            return HeldFile(path, snapshots()[name])
        if self.url is not None:
            return self.fetch(name)
        raise InputError(self.missing(name))

    def fetch(self, name: str, *, progress: Progress | None = None) -> HeldFile:
        """Bring a file into the cache, whole and with the declared fingerprint, or not at all; one that is there stays.

        Raises
        ------
        InputError
            If it was published nowhere, cannot be reached, or is not the declared file.
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
        """Say in one line that a file is not here, and what to do."""
        snapshot = snapshots()[name]
        line = f"The knowledge file {name} ({snapshot.what}) is not in {self.folder}."
        if not self.is_cache:
            return f"{line} Put it there; it comes from {snapshot.origin}"
        if snapshot.published is None:
            return (
                f"{line} It is a cleaned copy of {snapshot.origin} that is published nowhere as such: "
                f"pass --knowledge with a folder or URL that has it, or set {PLACE}."
            )
        return f"{line} Run: okrcell knowledge fetch {name}"


def cache_folder() -> Path:
    """The user's cache for fetched knowledge: in OKRCELL_CACHE, else in the place that the system has for caches."""
    import platformdirs

    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("okrcell")).expanduser() / "knowledge"


def current_fingerprint(path: Path) -> str:
    """Give the sha256 of a file as it is now; it is read again only after a change of its time or size."""
    now = path.stat()
    return _fingerprint(path.absolute(), now.st_mtime_ns, now.st_size)


@cache
def _fingerprint(path: Path, changed: int, size: int) -> str:
    return fingerprint(path)
