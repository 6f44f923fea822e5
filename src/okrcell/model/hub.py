"""Download models and text encoders from the Hugging Face hub, at a pinned revision."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from okrcell.errors import CheckpointError

logger = logging.getLogger(__name__)


def is_hub_id(name: str) -> bool:
    """Whether a name is an id "owner/name" or "owner/name@revision"; a path that exists takes precedence."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


@lru_cache(maxsize=8)
def download_snapshot(name: str, patterns: Sequence[str]) -> Path:
    """Return the local folder of a hub repository, which is downloaded if it is not cached.

    Parameters
    ----------
    name
        "owner/name@revision"; the revision is a commit, tag or branch. Without it, the main branch, which may change.
    patterns
        File names to download; never code or pickles.

    Raises
    ------
    CheckpointError
        If it cannot be downloaded.
    """
    from huggingface_hub import snapshot_download

    download: Any = snapshot_download
    repository, _, revision = name.partition("@")
    logger.info("Downloading %s, if it is not cached", name)
    try:
        folder = Path(download(repository, revision=revision or None, allow_patterns=list(patterns)))
    except Exception as error:  # noqa: BLE001  (the hub client raises many types of errors, with one meaning here)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"There is no folder {name}, and it could not be downloaded from the model hub: {reason}"
        ) from None
    if revision != folder.name:
        logger.warning(
            "%s is not pinned to a commit; pass %s@%s to get the same files again", name, repository, folder.name
        )
    return folder
