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

Progress = Callable[[int, int, str], None]
"""Callback with (bytes received, total bytes, file name)."""

TIME_OUT = 30
"""Seconds without data after which a connection is given up."""
_PIECE = 1 << 16


def fetch_file(url: str, target: Path, sha256: str, size: int, progress: Progress | None = None) -> None:
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
    loudness = log.level
    log.setLevel(logging.WARNING)
    part = target.with_name(f".{sha256[:16]}.part")

    def download(url: str, output_file: str | Path, _: object) -> None:
        try:
            _continued(url, part, size, progress, target.name)
        except urllib.error.HTTPError as error:
            if error.code != 416 or not part.exists():
                raise
            # 416: the server's file is shorter than our partial download, which therefore belongs to another file.
            part.unlink()
            _continued(url, part, size, progress, target.name)
        part.replace(output_file)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, f"sha256:{sha256}", fname=target.name, path=target.parent, downloader=cast(Any, download))
    except urllib.error.HTTPError as error:
        raise InputError(f"{url} answers {error.code} ({error.reason}). Check the address. {_ELSEWHERE}") from None
    except (HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{url} was not downloaded completely: {reason}. Try again: the download resumes.") from None
    except ValueError as error:
        if "hash" not in str(error):
            raise InputError(f"{url} cannot be downloaded: {error}.") from None
        raise InputError(
            f"{url} is not the declared file {target.name}: its sha256 does not start with {sha256[:12]}. {_ELSEWHERE}"
        ) from None
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror or error}.") from None
    finally:
        log.setLevel(loudness)


_ELSEWHERE = "Pass --knowledge for another folder or URL."


def _continued(url: str, part: Path, size: int, progress: Progress | None, name: str) -> None:
    done = part.stat().st_size if part.exists() else 0
    if done >= size:
        part.unlink()
        done = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIME_OUT) as answer:  # noqa: S310  # KnowledgeFiles takes http(s) only
        went_on = answer.status == 206
        announced = answer.headers.get("Content-Length")
        done = done if went_on else 0
        start = done
        with part.open("ab" if went_on else "wb") as file:
            # A file longer than declared cannot be the declared file; the sha256 check rejects it.
            while done <= size and (piece := answer.read(_PIECE)):
                file.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(min(done, size), size, name)
            file.flush()
            os.fsync(file.fileno())
    # If the server sent its announced length, it has another file; if it sent less, the connection was cut.
    if done < size and (announced is None or done - start < int(announced)):
        raise HTTPException(f"the connection ended after {done:,} of {size:,} bytes")
