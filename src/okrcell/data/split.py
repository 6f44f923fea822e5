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
from okrcell.ontology.ontology import ontology
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


def train_validation_split(obs: pd.DataFrame, settings: SplitSettings | None = None) -> Split:
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
    missing = sorted(set(settings.studies) - set(obs["study"].astype(str).unique()))
    if missing:
        raise InputError(
            f"The corpus has no study {', '.join(missing)}, but split.studies holds it out; correct the name."
        )
    group, names = _group_codes(obs, settings.overlapping)
    if len(names) < 2 and not settings.studies:
        return _split_by_cell(len(obs), settings)
    fraction = np.bincount(group, minlength=len(names)) / len(obs)
    random_numbers = np.array([_hash_uniform(name, settings.seed) for name in names])
    is_eligible = fraction <= settings.largest
    # A group that overlaps with a held-out study is held out, too.
    is_held_out_cell = obs["study"].astype(str).isin(settings.studies).to_numpy()
    is_held_out = np.bincount(group, weights=is_held_out_cell, minlength=len(names)) > 0
    if is_held_out.all():
        raise InputError(
            "The settings hold out every study for validation (split.studies), so none is left for training."
        )
    selected = is_held_out | (is_eligible & (random_numbers < settings.validation))
    if not selected.any():
        selected[
            np.argmin(np.where(is_eligible, random_numbers, np.inf)) if is_eligible.any() else np.argmin(fraction)
        ] = True
    elif selected.all():
        selected[np.argmax(np.where(is_held_out, -1.0, random_numbers))] = False
    is_validation = selected[group]
    groups = tuple(sorted(np.asarray(names)[selected].tolist()))
    note = (
        f"{len(groups)} of {len(names)} groups of study and donor, {is_validation.mean():.1%} of the cells, are used for "
        "validation."
    )
    n_too_large = int(((random_numbers < settings.validation) & ~is_eligible & ~is_held_out).sum())
    if n_too_large:
        note += f" {n_too_large} more are used for training because each has over {settings.largest:.0%} of the cells."
    return Split(np.flatnonzero(~is_validation), np.flatnonzero(is_validation), groups, note)


def exclude_types(
    split: Split, cell_type: NDArray[np.integer], names: Sequence[str], excluded_types: Sequence[str]
) -> Split:
    """Remove the cells of some types, including all descendant types, from both parts of a split.

    Parameters
    ----------
    split
        The split; returned unchanged if ``excluded_types`` is empty.
    cell_type
        For each cell of the corpus, the index of its type in ``names``, -1 if unknown.
    names
        Cell Ontology ids or author labels; the latter are never removed.
    excluded_types
        Cell Ontology ids of the types to remove.

    Raises
    ------
    InputError
        If ``excluded_types`` contains an unknown Cell Ontology id, or no training cell would remain.
    """
    if not excluded_types:
        return split
    cl = ontology("CL")
    unknown = [name for name in excluded_types if cl.current_id(name) is None]
    if unknown:
        raise InputError(
            f"split.leave_types contains {unknown[0]}, which is not a current Cell Ontology id such as CL:0000084."
        )
    excluded_terms = {str(cl.current_id(name)) for name in excluded_types}
    term_ids = [cl.current_id(name) if name.startswith("CL:") else None for name in names]
    is_excluded = np.array(
        [term_id is not None and bool(excluded_terms & {term_id, *cl.ancestors(term_id)}) for term_id in term_ids]
        + [False]
    )
    # The last entry is for unknown types, index -1.
    train, validation = (rows[~is_excluded[cell_type[rows]]] for rows in (split.train, split.validation))
    if not len(train):
        raise InputError("split.leave_types leaves no training cell; list fewer or narrower types.")
    n_removed = len(split.train) + len(split.validation) - len(train) - len(validation)
    note = (
        f"{split.note} {n_removed:,} cells of {len(excluded_terms)} types and their descendants are left out of both."
    )
    return Split(train, validation, split.groups, note, tuple(sorted(excluded_terms)))


def _group_codes(obs: pd.DataFrame, overlapping: Mapping[str, str]) -> tuple[NDArray[np.intp], list[str]]:
    """Group index of each cell, and the names of the groups."""
    # Integer codes, because strings for many millions of cells would fill the memory.
    study, donor = (obs[name].astype("category").cat for name in ("study", "donor"))
    pair_codes = (
        study.codes.to_numpy(dtype=np.int64) * (len(donor.categories) + 1) + donor.codes.to_numpy(dtype=np.int64) + 1
    )
    distinct_codes, code = np.unique(pair_codes, return_inverse=True)
    names: list[str] = []
    for pair in distinct_codes.tolist():
        study_code, donor_code = divmod(pair, len(donor.categories) + 1)
        study_name = str(study.categories[study_code])
        donor_name = str(donor.categories[donor_code - 1]) if donor_code else ""
        names.append(
            f"{study_name} | {donor_name}" if study_name not in overlapping else f"{overlapping[study_name]} | "
        )
    group_codes, group_names = pd.factorize(np.array(names, dtype=object))
    return np.asarray(group_codes, dtype=np.intp)[code], group_names.tolist()


def _hash_uniform(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _split_by_cell(n_cells: int, settings: SplitSettings) -> Split:
    # Random numbers in row order, so that appending cells does not change the assignment of earlier ones.
    random_numbers = np.random.default_rng(settings.seed).random(n_cells)
    is_validation = random_numbers < settings.validation
    if not is_validation.any() and n_cells > 1:
        is_validation[np.argmin(random_numbers)] = True
    if is_validation.all() and n_cells > 0:
        is_validation[np.argmax(random_numbers)] = False
    note = (
        "The corpus has a single study and donor, so validation and training cells are of the same donor: validation "
        "scores are too optimistic."
    )
    if n_cells < 2:
        note += " With fewer than two cells none is used for validation."
    return Split(np.flatnonzero(~is_validation), np.flatnonzero(is_validation), (), note)
