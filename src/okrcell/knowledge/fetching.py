"""Fetch a file whole, or not at all."""

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
"""Told the bytes done, the bytes in all, and the name of the file."""

TIME_OUT = 30
"""Seconds without a byte, after which a server counts as silent."""
_PIECE = 1 << 16


def fetch_file(url: str, target: Path, sha256: str, size: int, progress: Progress | None = None) -> None:
    """Fetch ``url`` to ``target`` if what comes has the fingerprint ``sha256``.

    What came before a cut connection is kept beside the target as ``.part``, and the next call goes on from there if
    the server can; a file that is not the expected one is thrown away.

    Raises
    ------
    InputError
        If the server cannot be reached, has no such file, stops too early, or has another file.
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
            # The server's file ends before ours began to go on: what we hold is of another file.
            part.unlink()
            _continued(url, part, size, progress, target.name)
        part.replace(output_file)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, f"sha256:{sha256}", fname=target.name, path=target.parent, downloader=cast(Any, download))
    except urllib.error.HTTPError as error:
        raise InputError(f"{url} answers {error.code} ({error.reason}). Is the address right? {_ELSEWHERE}") from None
    except (HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{url} could not be fetched whole: {reason}. Try again: it goes on where it ended.") from None
    except ValueError as error:
        if "hash" not in str(error):
            raise InputError(f"{url} cannot be fetched: {error}.") from None
        raise InputError(
            f"{url} is not the file {target.name} that is declared: its sha256 is not {sha256[:12]}…. {_ELSEWHERE}"
        ) from None
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror or error}.") from None
    finally:
        log.setLevel(loudness)


_ELSEWHERE = "Another folder or URL can be given by --knowledge."


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
            # More than the declared size cannot be the declared file; its fingerprint will say so.
            while done <= size and (piece := answer.read(_PIECE)):
                file.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(min(done, size), size, name)
            file.flush()
            os.fsync(file.fileno())
    # A server that sent all it announced has another file; one that sent less was cut.
    if done < size and (announced is None or done - start < int(announced)):
        raise HTTPException(f"the connection ended after {done:,} of {size:,} bytes")
