"""Task integration: mix batches while types stay separate."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from okrcell.benchmarking.baselines import hvg_pca
from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import measured
from okrcell.benchmarking.method import Embeds
from okrcell.benchmarking.metrics.integration import integration_scores
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.sets.card import cards, joined
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.benchmarking.sets.splits import drawn

SETS = ("cellmix", "kang_8donors", "kang_ifnb", "islets")


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def batch_of(name: str) -> str:
    """Return the batch column of a data set."""
    return joined()[name].batch if name in joined() else cards()[name].batch[0]


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: one for each seed."""
    return [Asking("", seed) for seed in seeds]


def ask(answer: Embeds, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Embed the cells of each seed given their batch, and score batch mixing and type separation."""
    known, column = known_cells(name, data), batch_of(name)
    for asking in left:
        some = drawn(known, asking.seed)
        batch = some.batch[column]
        rows = np.arange(len(some))
        with measured() as took:
            vectors = answer(part(some.cells, rows, **{column: batch}), column, asking.seed)
        before = hvg_pca.embed(part(some.cells, rows), None, asking.seed)
        found = integration_scores(vectors, np.nan_to_num(before), some.words, batch)
        scores = {"avg_bio": found.average_bio, "avg_batch": found.average_batch, **asdict(found)}
        yield Outcome(asking, scores, took, int((some.words != "").sum()))
