"""Find or download the file of a card, and verify its sha256."""

from functools import cache
from pathlib import Path
from typing import Any

from okrcell.benchmarking.sets.card import DatasetCard
from okrcell.errors import InputError
from okrcell.provenance import fingerprint


def find_file(card: DatasetCard, data: Path | None) -> Path:
    """Return the path of the file of a card.

    Parameters
    ----------
    card
        Card of the data set.
    data
        Folder of data sets, with the file under the path of its card or directly in the folder. None downloads the file to
        the cache, if its card has a URL.

    Raises
    ------
    InputError
        If the file is missing, cannot be downloaded, or does not match the sha256 of the card.
    """
    if data is None:
        return _download(card)
    paths = (data / card.file, data / Path(card.file).name)
    file = next((path for path in paths if path.is_file()), None)
    if file is None:
        raise InputError(f"There is no {card.file} in {data}, the file of the set {card.name} (source: {card.source}).")
    digest = _sha256(file, file.stat().st_mtime_ns)
    if digest != card.sha256:
        raise InputError(
            f"{file} is not the file of the set {card.name}: its sha256 is {digest[:12]}…, expected {card.sha256[:12]}…. "
            "Scores on another file are not comparable; download it again."
        )
    return file


def _download(card: DatasetCard) -> Path:
    import pooch

    if card.url is None:
        raise InputError(
            f"The set {card.name} has no download URL (source: {card.source}). Name the folder that holds {card.file} "
            "with --data."
        )
    fetch: Any = pooch.retrieve
    try:
        return Path(
            fetch(card.url, known_hash=f"sha256:{card.sha256}", path=pooch.os_cache("okrcell"), progressbar=False)
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"The set {card.name} could not be fetched from {card.url}: {reason}") from None


@cache
def _sha256(path: Path, changed: int) -> str:
    return fingerprint(path)
