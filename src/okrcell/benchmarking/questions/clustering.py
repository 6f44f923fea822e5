"""Task clustering: Leiden clusters of an embedding against the author labels."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import measured
from okrcell.benchmarking.method import Embeds
from okrcell.benchmarking.metrics.clustering import (
    FIXED,
    agreement,
    average_bio,
    average_silhouette,
    best_by_nmi,
    leiden_groups,
)
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.benchmarking.sets.splits import drawn

SETS = ("pbmc3k", "kang_ifnb", "segerstolpe", "xin", "wang")


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: one for each seed."""
    return [Asking("", seed) for seed in seeds]


def ask(answer: Embeds, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Embed the cells of each seed, cluster the embedding, and compare the clusters with the author labels."""
    known = known_cells(name, data)
    for asking in left:
        some = drawn(known, asking.seed)
        cells = part(some.cells, np.arange(len(some)))
        with measured() as took:
            vectors = answer(cells, None, asking.seed)
        found = leiden_groups(vectors, seed=asking.seed)
        groups = found.by_resolution
        best = best_by_nmi(some.words, groups)
        at_best, at_fixed, at_stable = (agreement(some.words, groups[each]) for each in (best, FIXED, found.stable))
        silhouette = average_silhouette(vectors, some.words)
        scores = {
            "avg_bio": average_bio(at_best.nmi, at_best.ari, silhouette),
            **asdict(at_best),
            "asw": silhouette,
            "nmi_fixed": at_fixed.nmi,
            "ari_fixed": at_fixed.ari,
            "nmi_stable": at_stable.nmi,
            "ari_stable": at_stable.ari,
        }
        detail = {
            "best_resolution": best,
            "stable_resolution": found.stable,
            "nmi": {f"{each:g}": agreement(some.words, group).nmi for each, group in groups.items()},
        }
        yield Outcome(asking, scores, took, int((some.words != "").sum()), detail)
