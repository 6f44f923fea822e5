"""Download one file with resume and sha256 check."""

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast

from okrcell.errors import InputError

DownloadProgress = Callable[[int, int, str], None]
"""Callback with (bytes received, total bytes, file name)."""

TIMEOUT = 30
"""Seconds without data after which a connection is given up."""
_CHUNK_SIZE = 1 << 16


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


_KNOWLEDGE_HINT = "Pass --knowledge for another folder or URL."


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
