"""Catalogue, location and download of the knowledge files."""

import hashlib
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import yaml

from okrcell.errors import InputError
from okrcell.escaping import hide_credentials
from okrcell.provenance import fingerprint
from okrcell.settings import Settings, parse_settings
from okrcell.storage import cache_folder

logger = logging.getLogger(__name__)

DownloadProgress = Callable[[int, int, str], None]
"""Callback with (bytes received, total bytes, file name)."""

TIMEOUT = 30
"""Seconds without data after which a connection is given up."""
_CHUNK_SIZE = 1 << 16
HEAD_BYTES = 4096
"""Number of bytes by which the beginning of a file is recognized."""
_KNOWLEDGE_HINT = "Pass --knowledge for another folder or URL."
KNOWLEDGE_ENV = "OKRCELL_KNOWLEDGE"
"""Environment variable with the folder or URL of the knowledge files."""


def fetch_file(url: str, target: Path, sha256: str, size: int, progress: DownloadProgress | None = None) -> None:
    """Download ``url`` to ``target`` and check its ``sha256``.

    A partial download is kept beside the target as ``.part`` and is resumed by the next call if the server supports
    ranges. A file with another sha256 is deleted.

    Parameters
    ----------
    size
        Declared size of the file in bytes.

    Raises
    ------
    InputError
        If the server cannot be reached, does not have the file, closes the connection too early, or has another file.
    """
    import pooch

    log = pooch.get_logger()
    log_level = log.level
    log.setLevel(logging.WARNING)
    partial = target.with_name(f".{sha256[:16]}.part")

    def download(url: str, output_file: str | Path, _: object) -> None:
        try:
            _resume_download(url, partial, size, progress, target.name)
        except urllib.error.HTTPError as error:
            if error.code != 416 or not partial.exists():
                raise
            # 416: the server's file is shorter than our partial download, which therefore belongs to another file.
            partial.unlink()
            _resume_download(url, partial, size, progress, target.name)
        partial.replace(output_file)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, f"sha256:{sha256}", fname=target.name, path=target.parent, downloader=cast(Any, download))
    except urllib.error.HTTPError as error:
        raise InputError(f"{url} answers {error.code} ({error.reason}). Check the address. {_KNOWLEDGE_HINT}") from None
    except (HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{url} was not downloaded completely: {reason}. Try again: the download resumes.") from None
    except ValueError as error:
        if "hash" not in str(error):
            raise InputError(f"{url} cannot be downloaded: {error}.") from None
        raise InputError(
            f"{url} is not the declared file {target.name}: its sha256 does not start with {sha256[:12]}. {_KNOWLEDGE_HINT}"
        ) from None
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror or error}.") from None
    finally:
        log.setLevel(log_level)


def _resume_download(url: str, partial: Path, size: int, progress: DownloadProgress | None, name: str) -> None:
    n_received = partial.stat().st_size if partial.exists() else 0
    if n_received >= size:
        partial.unlink()
        n_received = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={n_received}-"} if n_received else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310  # KnowledgeFiles takes http(s) only
        resumed = response.status == 206
        content_length = response.headers.get("Content-Length")
        n_received = n_received if resumed else 0
        start = n_received
        with partial.open("ab" if resumed else "wb") as file:
            # A file longer than declared cannot be the declared file; the sha256 check rejects it.
            while n_received <= size and (chunk := response.read(_CHUNK_SIZE)):
                file.write(chunk)
                n_received += len(chunk)
                if progress is not None:
                    progress(min(n_received, size), size, name)
            file.flush()
            os.fsync(file.fileno())
    # If the server sent its announced length, it has another file; if it sent less, the connection was cut.
    if n_received < size and (content_length is None or n_received - start < int(content_length)):
        raise HTTPException(f"the connection ended after {n_received:,} of {size:,} bytes")


class RemoteFile(Settings):
    """Download address of a file, with its expected sha256 and size."""

    url: str
    sha256: str
    bytes: int
    head_sha256: str = ""
    """SHA-256 of the first `HEAD_BYTES`."""


class CatalogEntry(Settings):
    """Entry of a knowledge file in downloads.yaml."""

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
    head_sha256: str = ""
    """SHA-256 of the first `HEAD_BYTES`; a smaller file that begins alike is cut short."""
    published: RemoteFile | None
    """Published original, which may have other line ends; None if the file is a cleaned copy published nowhere."""
    origin: str
    """Web page of the source."""

    @property
    def accepted_sha256(self) -> frozenset[str]:
        """All sha256 values that are accepted for this file."""
        return frozenset({self.sha256} if self.published is None else {self.sha256, self.published.sha256})

    def is_cut_short(self, path: Path) -> bool:
        """Whether a file begins as this file or its published original, but is smaller."""
        with path.open("rb") as file:
            head_sha256 = hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()
        size = path.stat().st_size
        forms = (self,) if self.published is None else (self, self.published)
        return any(form.head_sha256 == head_sha256 and size < form.bytes for form in forms)


@cache
def file_catalog() -> dict[str, CatalogEntry]:
    """Return the entries of downloads.yaml by file name."""
    entries = yaml.safe_load((files("okrcell.knowledge") / "downloads.yaml").read_text(encoding="utf-8"))
    return {entry["file"]: parse_settings(CatalogEntry, entry, "downloads.yaml") for entry in entries}


@dataclass(frozen=True)
class LocalFile:
    """Local copy of a knowledge file."""

    path: Path
    entry: CatalogEntry

    @property
    def sha256(self) -> str:
        """SHA-256 of the current content."""
        return cached_fingerprint(self.path)

    @cached_property
    def version(self) -> str:
        """Release and sha256; a file that differs from its entry is marked as another copy."""
        release = self.entry.version if self.sha256 in self.entry.accepted_sha256 else "another copy"
        return f"{release}, sha256 {self.sha256[:12]}"


class KnowledgeFiles:
    """Location of the knowledge files.

    Parameters
    ----------
    location
        A folder, which is only read, or a URL from which files are downloaded by name into the user's cache. Default: the
        environment variable OKRCELL_KNOWLEDGE, else the user's cache, which `fetch` fills from the published files.

    Raises
    ------
    InputError
        If the folder does not exist, or the URL contains credentials.
    """

    def __init__(self, location: str | Path | None = None) -> None:
        source = str(location or os.environ.get(KNOWLEDGE_ENV) or "")
        try:
            parts = urlsplit(source)
        except ValueError:
            raise InputError(f"{hide_credentials(source)} is no web address. Pass a folder or a URL.") from None
        self.url = source.rstrip("/") if parts.scheme in {"http", "https"} else None
        if self.url is not None and (parts.username or parts.password or parts.query or parts.fragment):
            raise InputError(
                f"The URL of the knowledge files must have no user, password, query or fragment: {hide_credentials(self.url)}. "
                "Pass one without, or download the files and pass their folder."
            )
        self._user_folder = Path(source).expanduser() if source and self.url is None else None
        if self._user_folder is not None and not self._user_folder.is_dir():
            place = hide_credentials(source) if "://" in source else self._user_folder
            raise InputError(f"There is no folder of knowledge files at {place}. Pass an existing folder or a URL.")

    @property
    def folder(self) -> Path:
        """Folder of the local files: the user's folder, else the cache."""
        return self._user_folder or cache_folder()

    @property
    def is_cache(self) -> bool:
        """Whether `folder` is the cache, into which files are downloaded; a user's folder is only read."""
        return self._user_folder is None

    def remote_file(self, name: str) -> RemoteFile | None:
        """Return the download address of a file; None if it cannot be downloaded."""
        entry = file_catalog()[name]
        if self.url is not None:
            return RemoteFile(url=f"{self.url}/{quote(name)}", sha256=entry.sha256, bytes=entry.bytes)
        return entry.published if self.is_cache else None

    def has_file(self, name: str) -> bool:
        """Tell whether `folder` contains the file."""
        return (self.folder / name).is_file()

    def local_file(self, name: str) -> LocalFile:
        """Return a local file; if the location is a URL, download the file first.

        Raises
        ------
        InputError
            If the file is missing; the message tells how to get it.
        """
        path = self.folder / name
        if path.is_file():
            return _checked_file(path, file_catalog()[name])
        if self.url is not None:
            return self.fetch(name)
        raise InputError(self.missing_message(name))

    def fetch(self, name: str, *, progress: DownloadProgress | None = None) -> LocalFile:
        """Download a file into the cache and check its sha256; a valid file in the cache is kept.

        Raises
        ------
        InputError
            If the file is published nowhere, cannot be downloaded, or has another sha256.
        """
        entry, remote = file_catalog()[name], self.remote_file(name)
        path = self.folder / name
        if not self.is_cache:
            return self.local_file(name)
        if not (path.is_file() and fingerprint(path) in entry.accepted_sha256):
            if remote is None:
                raise InputError(self.missing_message(name))
            logger.info("Downloading %s from %s to %s", name, remote.url, path)
            fetch_file(remote.url, path, remote.sha256, remote.bytes, progress)
        return LocalFile(path, entry)

    def missing_message(self, name: str) -> str:
        """Return a one-line message that the file is missing and how to get it."""
        entry = file_catalog()[name]
        message = f"The knowledge file {name} ({entry.what}) is not in {self.folder}."
        if not self.is_cache:
            return f"{message} Put it there; it comes from {entry.origin}"
        if entry.published is None:
            return (
                f"{message} It is a cleaned copy of {entry.origin} and is not published itself: "
                f"pass --knowledge with a folder or URL that contains it, or set {KNOWLEDGE_ENV}."
            )
        return f"{message} Run: okrcell knowledge fetch {name}"


def _checked_file(path: Path, entry: CatalogEntry) -> LocalFile:
    if entry.is_cut_short(path):
        raise InputError(
            f"{path} is cut short: it has {path.stat().st_size:,} bytes, but begins as {entry.file}, which has "
            f"{entry.bytes:,}. Fetch it again."
        )
    return LocalFile(path, entry)


def cached_fingerprint(path: Path) -> str:
    """Return the sha256 of a file, cached until its modification time or size changes."""
    stat = path.stat()
    return _fingerprint_at(path.absolute(), stat.st_mtime_ns, stat.st_size)


@cache
def _fingerprint_at(path: Path, mtime_ns: int, size: int) -> str:
    return fingerprint(path)
