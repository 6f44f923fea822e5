"""Profiles of cell types over studies, made up, to see what is made of them."""

import numpy as np

from okrcell.training.cell_type_profiles import StudyProfiles

B_CELL, T_CELL, MONOCYTE, NK_CELL, PLATELET, HEPATOCYTE = (
    "CL:0000236",
    "CL:0000084",
    "CL:0000576",
    "CL:0000623",
    "CL:0000233",
    "CL:0000182",
)
TYPES = (T_CELL, HEPATOCYTE, PLATELET, B_CELL, MONOCYTE, NK_CELL)
"""Ascending."""
GENES = 60


def truths(seed=0):
    """How each type differs from the others: ten genes of its own each."""
    made = np.random.default_rng(seed)
    pattern = made.normal(scale=0.1, size=(len(TYPES), GENES))
    for number in range(len(TYPES)):
        pattern[number, 10 * number : 10 * number + 10] += 2
    return pattern - pattern.mean(axis=0)


def make_profiles(groups, *, noise=0.3, seed=0):
    """Make profiles; ``groups`` says for each group of studies as what its types, in order, are labelled."""
    made = np.random.default_rng(seed)
    group, kind, difference = [], [], []
    for name, labels in groups.items():
        for number, label in enumerate(labels):
            if label is not None:
                group.append(name)
                kind.append(TYPES.index(label))
                difference.append(truths()[number] + made.normal(scale=noise, size=GENES))
    present = sorted(set(kind))
    return StudyProfiles(
        tuple(TYPES[number] for number in present),
        np.array(group, dtype=np.str_),
        np.searchsorted(present, kind),
        np.array(difference, dtype=np.float32).reshape(-1, GENES),
        np.ones((len(kind), GENES), dtype=bool),
        np.full(GENES, 0.5),
        np.full(GENES, 0.4),
        np.full(GENES, 20.0),
    )
