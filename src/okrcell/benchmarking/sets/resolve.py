"""A card leads to its file, in a folder or from the net, and the file is the very one."""

from functools import cache
from pathlib import Path
from typing import Any

from okrcell.benchmarking.sets.card import Card
from okrcell.errors import InputError
from okrcell.provenance import fingerprint


def find_file(card: Card, data: Path | None) -> Path:
    """Return where the file of a card lies.

    Parameters
    ----------
    data
        Folder of data sets, with the file under its path or directly in it; None fetches the file, once, if its card has
        an address.

    Raises
    ------
    InputError
        If it is not there, cannot be fetched, or is another file than the card's.
    """
    if data is None:
        return _fetched(card)
    places = (data / card.file, data / Path(card.file).name)
    there = next((place for place in places if place.is_file()), None)
    if there is None:
        raise InputError(f"There is no {card.file} in {data}, which the set {card.name} is read from ({card.source}).")
    seen = _sha256(there, there.stat().st_mtime_ns)
    if seen != card.sha256:
        raise InputError(
            f"{there} is not the file of the set {card.name}: its sha256 is {seen[:12]}…, and should be {card.sha256[:12]}…. "
            "Figures on another file cannot be compared; fetch it again."
        )
    return there


def _fetched(card: Card) -> Path:
    import pooch

    if card.url is None:
        raise InputError(
            f"The set {card.name} cannot be fetched: it is made from {card.source}. Name the folder that holds {card.file} "
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
