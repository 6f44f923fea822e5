"""Training and validation split by study and donor; held-out studies and cell types."""

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
    """Settings of the training and validation split."""

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Expected fraction of the groups, and so of the cells, that is used for validation."""
    largest: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Groups with a larger fraction of all cells are always used for training."""
    studies: tuple[str, ...] = ()
    """Studies that are used for validation as a whole, in addition to the random groups, so that a calibration on them is valid
    for new studies, not only for new donors."""
    seed: int = 0
    """Random seed of the selection of groups."""
    leave_types: tuple[str, ...] = ()
    """Cell Ontology ids of types whose cells, including all descendant types, are used neither for training nor for validation.
    Texts and markers of these types are kept, to evaluate types without training cells."""
    overlapping: Mapping[str, str] = {}
    """Studies that share cells or donors, each with the name of their common group (``{"baron_h4": "baron"}``)."""


@dataclass(frozen=True)
class Split:
    """Rows of the corpus for training and for validation, both ascending.

    Together they contain every row once, except the cells of left-out types.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    groups: tuple[str, ...]
    """Groups (``study | donor``) used for validation; empty if the corpus was split by cell."""
    note: str
    """Summary of the split, in sentences."""
    left_out_types: tuple[str, ...] = ()
    """Cell Ontology ids whose cells, including all descendant types, are in neither part."""


def split(obs: pd.DataFrame, settings: SplitSettings | None = None) -> Split:
    """Split cells into training and validation by whole groups of study and donor.

    A hash of the name of a group and the seed gives a number in [0, 1); the group is used for validation if the number is
    below ``settings.validation``. The assignment of a group therefore does not change when studies are added, with two
    exceptions: groups larger than ``settings.largest`` are used for training, and if no number is low enough, the group
    with the lowest number is used for validation. Cells of a study without a donor form one group.

    Parameters
    ----------
    obs
        One row per cell, with the columns ``study`` and ``donor`` ("" where unknown).
    settings
        Fraction, seed, held-out studies; the defaults if None.

    Raises
    ------
    InputError
        If ``settings.studies`` contains a study that is not in ``obs``, or all studies.

    Notes
    -----
    The paper splits by cell, which leaves donors on both sides; splitting by study and donor is ours. A corpus with
    a single group is split by cell; ``note`` then says so.
    """
    settings = SplitSettings() if settings is None else settings
    absent = sorted(set(settings.studies) - set(obs["study"].astype(str).unique()))
    if absent:
        raise InputError(
            f"The corpus has no study {', '.join(absent)}, but split.studies holds it out; correct the name."
        )
    code, names = _groups(obs, settings.overlapping)
    if len(names) < 2 and not settings.studies:
        return _by_cell(len(obs), settings)
    share = np.bincount(code, minlength=len(names)) / len(obs)
    draw = np.array([_draw(name, settings.seed) for name in names])
    allowed = share <= settings.largest
    # A group that overlaps with a held-out study is held out, too.
    of_named = obs["study"].astype(str).isin(settings.studies).to_numpy()
    named = np.bincount(code, weights=of_named, minlength=len(names)) > 0
    if named.all():
        raise InputError(
            "The settings hold out every study for validation (split.studies), so none is left for training."
        )
    chosen = named | (allowed & (draw < settings.validation))
    if not chosen.any():
        chosen[np.argmin(np.where(allowed, draw, np.inf)) if allowed.any() else np.argmin(share)] = True
    elif chosen.all():
        chosen[np.argmax(np.where(named, -1.0, draw))] = False
    kept = chosen[code]
    groups = tuple(sorted(np.asarray(names)[chosen].tolist()))
    note = f"{len(groups)} of {len(names)} groups of study and donor, {kept.mean():.1%} of the cells, are used for validation."
    too_large = int(((draw < settings.validation) & ~allowed & ~named).sum())
    if too_large:
        note += f" {too_large} more are used for training because each has over {settings.largest:.0%} of the cells."
    return Split(np.flatnonzero(~kept), np.flatnonzero(kept), groups, note)


def without_types(sides: Split, cell_type: NDArray[np.integer], names: Sequence[str], left_out: Sequence[str]) -> Split:
    """Remove the cells of some types, including all descendant types, from both parts of a split.

    Parameters
    ----------
    sides
        The split; returned unchanged if ``left_out`` is empty.
    cell_type
        For each cell of the corpus, the index of its type in ``names``, -1 if unknown.
    names
        Cell Ontology ids or author labels; the latter are never removed.
    left_out
        Cell Ontology ids of the types to remove.

    Raises
    ------
    InputError
        If ``left_out`` contains an unknown Cell Ontology id, or no training cell would remain.
    """
    if not left_out:
        return sides
    home = ontology("CL")
    unknown = [name for name in left_out if home.current(name) is None]
    if unknown:
        raise InputError(
            f"split.leave_types contains {unknown[0]}, which is not a current Cell Ontology id such as CL:0000084."
        )
    leaving = {str(home.current(name)) for name in left_out}
    own = [home.current(name) if name.startswith("CL:") else None for name in names]
    gone = np.array([one is not None and bool(leaving & {one, *home.ancestors(one)}) for one in own] + [False])
    # The last entry is for unknown types, index -1.
    train, validation = (rows[~gone[cell_type[rows]]] for rows in (sides.train, sides.validation))
    if not len(train):
        raise InputError("split.leave_types leaves no training cell; list fewer or narrower types.")
    lost = len(sides.train) + len(sides.validation) - len(train) - len(validation)
    note = f"{sides.note} {lost:,} cells of {len(leaving)} types and their descendants are left out of both."
    return Split(train, validation, sides.groups, note, tuple(sorted(leaving)))


def _groups(obs: pd.DataFrame, overlapping: Mapping[str, str]) -> tuple[NDArray[np.intp], list[str]]:
    """Group index of each cell, and the names of the groups."""
    # Integer codes, because strings for many millions of cells would fill the memory.
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
    # Random numbers in row order, so that appending cells does not change the assignment of earlier ones.
    draw = np.random.default_rng(settings.seed).random(cells)
    kept = draw < settings.validation
    if not kept.any() and cells > 1:
        kept[np.argmin(draw)] = True
    if kept.all() and cells > 0:
        kept[np.argmax(draw)] = False
    note = (
        "The corpus has a single study and donor, so validation and training cells are of the same donor: validation "
        "scores are too optimistic."
    )
    if cells < 2:
        note += " With fewer than two cells none is used for validation."
    return Split(np.flatnonzero(~kept), np.flatnonzero(kept), (), note)
