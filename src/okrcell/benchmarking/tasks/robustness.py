"""Task robustness: zero-shot annotation of downsampled cells."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from anndata import AnnData

from okrcell.benchmarking.datasets import downsampling
from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.splits import draw_at_most, draw_four_fifths
from okrcell.benchmarking.methods import ZeroShotAnnotator, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks import zero_shot
from okrcell.benchmarking.tasks.scoring import score_annotation
from okrcell.benchmarking.tasks.task import Item, ItemResult

SETS = zero_shot.FIRST_SETS
MAX_CELLS = 1500
"""Maximum number of cells of a data set; all are annotated up to 13 times."""
UNMODIFIED = "as measured"
DROPOUT = {f"dropout {rate:.0%}": rate for rate in (0.1, 0.2, 0.3, 0.4, 0.5)}
PANELS = {f"{genes} genes": genes for genes in (2000, 1000, 500, 200)}
DEPTHS = {f"depth 1/{factor}": 1 / factor for factor in (2, 4, 10)}
CASES: Mapping[str, Callable[[AnnData], AnnData]] = {
    UNMODIFIED: lambda cells: cells,
    **{case: partial(downsampling.dropout, rate=rate, seed=0) for case, rate in DROPOUT.items()},
    **{case: partial(downsampling.gene_panel, genes=genes, seed=0) for case, genes in PANELS.items()},
    **{case: partial(downsampling.downsample_counts, depth=depth, seed=0) for case, depth in DEPTHS.items()},
}
N_GENES = {"pbmc3k": 32738, "kang_ifnb": 14053, "kang_8donors": 1287, "segerstolpe": 2000, "xin": 980, "wang": 219}
"""Number of genes of each data set; larger panels are left out."""


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one prediction per downsampling, scored on the cells of every seed."""
    cases = [case for case in CASES if PANELS.get(case, 0) < N_GENES[name]]
    return [Item(case, seed) for case in cases for seed in seeds]


def evaluate(method: ZeroShotAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate the cells after each downsampling; it has a fixed seed, so all methods see the same cells."""
    full_dataset = load_dataset(name, data)
    dataset = full_dataset.subset(draw_at_most(full_dataset.cells.obs_names, name, MAX_CELLS))
    candidates = sorted(set(dataset.term_ids.tolist()) - {""})
    cells = select_cells(dataset.cells, np.arange(len(dataset)))
    for case, downsample in CASES.items():
        items_of_case = [item for item in pending if item.case == case]
        if not items_of_case:
            continue
        downsampled = downsample(cells)
        with measure_resources() as usage:
            annotation = method(downsampled, candidates, 0)
        for item in items_of_case:
            rows = draw_four_fifths(dataset.cells.obs_names, name, item.seed)
            scores, detail = score_annotation(dataset.term_ids, annotation, rows)
            yield ItemResult(item, scores, usage, int((dataset.term_ids[rows] != "").sum()), detail)
