"""No donor is learned from and tested on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from okrcell.errors import InputError
from okrcell.knowledge.ontology import ontology
from okrcell.settings import Settings


class SplitSettings(Settings):
    """Which cells are kept for validation."""

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the groups, and so in expectation of the cells, that is not learned from."""
    largest: Annotated[float, Field(gt=0, le=1)] = 0.2
    """A group with a larger share of all cells than this is always learned from."""
    studies: tuple[str, ...] = ()
    """Studies kept for validation whole, beside the groups that are drawn: what is calibrated on them holds for studies
    never seen, not only for new donors."""
    seed: int = 0
    """Another seed chooses other groups."""
    leave_types: tuple[str, ...] = ()
    """Cell Ontology ids: cells of these types and of all kinds of them are neither learned from nor validated on. What is
    known of the types stays, so that "never seen as cells" can be tried."""
    overlapping: Mapping[str, str] = {}
    """Studies that share cells or donors, each with the name of the one group they form (``{"baron_h4": "baron"}``)."""


@dataclass(frozen=True)
class Split:
    """Rows of the corpus for learning and for validation, both ascending.

    Together they are all rows, once, but for cells of types that are left out.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    groups: tuple[str, ...]
    """The groups (``study | donor``) kept for validation; empty when cells were split."""
    note: str
    """What a reader of the result should know, in a sentence."""
    left_out_types: tuple[str, ...] = ()
    """Cell Ontology ids whose cells, with all kinds of them, are on neither side."""


def split(obs: pd.DataFrame, settings: SplitSettings | None = None) -> Split:
    """Keep whole groups of study and donor for validation.

    Each group draws a number in [0, 1) from a hash of its name and the seed, and is kept for validation if the number
    is below ``settings.validation``. So a group's side depends on itself alone, and does not change when studies are
    added, with two exceptions: a group too large for validation goes to training, and if no group drew low enough, the
    one with the lowest number is taken. Cells without a donor form one group with the others of their study.

    Parameters
    ----------
    obs
        One row a cell, with the columns ``study`` and ``donor`` ("" where unknown).

    Raises
    ------
    InputError
        If a study that ``settings.studies`` names is not there.

    Notes
    -----
    The paper splits by cell, which leaves donors on both sides; splitting by study and donor is ours. If the corpus has
    a single group there is no other way than by cell, and ``note`` says so.
    """
    settings = SplitSettings() if settings is None else settings
    absent = sorted(set(settings.studies) - set(obs["study"].astype(str).unique()))
    if absent:
        raise InputError(f"The corpus has no study {', '.join(absent)}, which the settings keep for validation.")
    code, names = _groups(obs, settings.overlapping)
    if len(names) < 2 and not settings.studies:
        return _by_cell(len(obs), settings)
    share = np.bincount(code, minlength=len(names)) / len(obs)
    draw = np.array([_draw(name, settings.seed) for name in names])
    allowed = share <= settings.largest
    # A group that overlaps with a named study is kept back with it.
    of_named = obs["study"].astype(str).isin(settings.studies).to_numpy()
    named = np.bincount(code, weights=of_named, minlength=len(names)) > 0
    if named.all():
        raise InputError("The settings keep every study for validation (split.studies), so none is left to learn from.")
    chosen = named | (allowed & (draw < settings.validation))
    if not chosen.any():
        chosen[np.argmin(np.where(allowed, draw, np.inf)) if allowed.any() else np.argmin(share)] = True
    elif chosen.all():
        chosen[np.argmax(np.where(named, -1.0, draw))] = False
    kept = chosen[code]
    groups = tuple(sorted(np.asarray(names)[chosen].tolist()))
    note = (
        f"{len(groups)} of {len(names)} groups of study and donor, {kept.mean():.1%} of the cells, are for validation."
    )
    too_large = int(((draw < settings.validation) & ~allowed & ~named).sum())
    if too_large:
        note += f" {too_large} more would be, but hold over {settings.largest:.0%} of the cells and are learned from."
    return Split(np.flatnonzero(~kept), np.flatnonzero(kept), groups, note)


def without_types(sides: Split, cell_type: NDArray[np.integer], names: Sequence[str], left_out: Sequence[str]) -> Split:
    """Take the cells of some types, and of all kinds of them, from both sides.

    Parameters
    ----------
    cell_type
        For each cell of the corpus the place of its type in ``names``, -1 where unknown.
    names
        Cell Ontology ids, or an author's words; the latter are of no type that could be left out.

    Raises
    ------
    InputError
        If ``left_out`` names what is no Cell Ontology type, or nothing would be left to learn from.
    """
    if not left_out:
        return sides
    home = ontology("CL")
    unknown = [name for name in left_out if home.current(name) is None]
    if unknown:
        raise InputError(
            f"split.leave_types names {unknown[0]}, which is no Cell Ontology id in use, such as CL:0000084."
        )
    leaving = {str(home.current(name)) for name in left_out}
    own = [home.current(name) if name.startswith("CL:") else None for name in names]
    gone = np.array([one is not None and bool(leaving & {one, *home.ancestors(one)}) for one in own] + [False])
    # The last place is that of unknown types, which the number -1 points at.
    train, validation = (rows[~gone[cell_type[rows]]] for rows in (sides.train, sides.validation))
    if not len(train):
        raise InputError("split.leave_types leaves no cell to learn from; name fewer or narrower types.")
    lost = len(sides.train) + len(sides.validation) - len(train) - len(validation)
    note = f"{sides.note} {lost:,} cells of {len(leaving)} types and of kinds of them are left out altogether."
    return Split(train, validation, sides.groups, note, tuple(sorted(leaving)))


def _groups(obs: pd.DataFrame, overlapping: Mapping[str, str]) -> tuple[NDArray[np.intp], list[str]]:
    """Return the group of each cell as a number, with the names of the groups."""
    # By codes, since words for each of many millions of cells would fill the memory.
    study, donor = (obs[name].astype("category").cat for name in ("study", "donor"))
    both = study.codes.to_numpy(dtype=np.int64) * (len(donor.categories) + 1) + donor.codes.to_numpy(dtype=np.int64) + 1
    present, code = np.unique(both, return_inverse=True)
    names: list[str] = []
    for pair in present.tolist():
        study_code, donor_code = divmod(pair, len(donor.categories) + 1)
        own = str(study.categories[study_code])
        of_whom = str(donor.categories[donor_code - 1]) if donor_code else ""
        names.append(f"{own} | {of_whom}" if own not in overlapping else f"{overlapping[own]} | ")
    merged, distinct = pd.factorize(np.array(names, dtype=object))
    return np.asarray(merged, dtype=np.intp)[code], distinct.tolist()


def _draw(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_cell(cells: int, settings: SplitSettings) -> Split:
    # Drawn in the order of the rows, so cells appended later leave the earlier ones where they are.
    draw = np.random.default_rng(settings.seed).random(cells)
    kept = draw < settings.validation
    if not kept.any() and cells > 1:
        kept[np.argmin(draw)] = True
    if kept.all() and cells > 0:
        kept[np.argmax(draw)] = False
    note = (
        "The corpus is of a single study and donor, so validation cells are of the same donor as training cells: "
        "scores on them are too good."
    )
    if cells < 2:
        note += " With fewer than two cells none is kept for validation."
    return Split(np.flatnonzero(~kept), np.flatnonzero(kept), (), note)
