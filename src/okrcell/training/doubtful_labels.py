"""Drop studies whose labels contradict what is known of the types."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from okrcell.training.cell_type_profiles import KnownTypes

MAX_CONTRADICTORY_FRACTION = 0.34
"""Maximum fraction of contradictory profiles of a study; above it, all labels of the study are considered confused."""


def drop_contradictory_studies(known_types: KnownTypes) -> tuple[KnownTypes, tuple[str, ...]]:
    """Drop profiles that do not resemble their type (ours; the reliability of pairs, for whole clusters).

    A profile is compared with the signature of its type from marker tables and the other studies, on the genes that its
    study measured. It is contradictory if the cosine is not above zero. If more than a third of a study's profiles are
    contradictory, as in one whose labels were shifted by one row, the whole study is dropped.

    Returns
    -------
    The known types without these profiles and without types that have no other source, and the groups of studies that
    were dropped as a whole.
    """
    all_profiles = known_types.profiles
    contradictory = np.zeros(len(all_profiles.type), dtype=bool)
    has_reference = np.zeros(len(all_profiles.type), dtype=bool)
    for group in np.unique(all_profiles.group).tolist():
        knowledge, cells = known_types.parts(group)
        for i in np.flatnonzero(all_profiles.group == group).tolist():
            expected = (
                knowledge[known_types.profile_type[i]] + cells[known_types.profile_type[i]]
            ) * all_profiles.measured[i]
            has_reference[i] = bool(expected.any())
            contradictory[i] = has_reference[i] and float(expected @ known_types.z_scores(i)) <= 0
    dropped_studies = tuple(
        group
        for group in np.unique(all_profiles.group).tolist()
        if _contradictory_fraction(
            contradictory[all_profiles.group == group], has_reference[all_profiles.group == group]
        )
        > MAX_CONTRADICTORY_FRACTION
    )
    retained = np.flatnonzero(~contradictory & ~np.isin(all_profiles.group, dropped_studies))
    type_ids, type_index = np.unique(all_profiles.type[retained], return_inverse=True)
    profiles = replace(
        all_profiles,
        types=tuple(all_profiles.types[i] for i in type_ids.tolist()),
        group=all_profiles.group[retained],
        type=type_index,
        difference=all_profiles.difference[retained],
        measured=all_profiles.measured[retained],
    )
    # A type without genes would be matched by its stored text, and predict nothing.
    has_reference = known_types.knowledge.any(axis=1) | np.isin(known_types.types, profiles.types)
    types = tuple(name for name, any_gene in zip(known_types.types, has_reference.tolist(), strict=True) if any_gene)
    return KnownTypes(types, known_types.knowledge[has_reference], profiles), dropped_studies


def _contradictory_fraction(contradictory: NDArray[np.bool_], has_reference: NDArray[np.bool_]) -> float:
    return float(contradictory.sum() / max(int(has_reference.sum()), 1))
