"""Run the demo: annotate 700 cells, search them, and write a report."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.demo.cells import CANDIDATES, LABELS, LINEAGES, SENTENCES, blood_cells, match_key
from okrcell.errors import InputError
from okrcell.files import whole_folder

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.demo.measures import Agreement, Search
    from okrcell.model.embedder import Embedder

SEED = 0
NEIGHBOURS = 15
RECEIPT = "receipt.json"
REPORT = "report.html"
ANSWERS = "annotated.h5ad"
PICTURES = "pictures"
Say = Callable[[str], object]


@dataclass(frozen=True)
class DemoResult:
    """Results of the demo and their location."""

    folder: Path
    report: Path
    agreement: "Agreement"
    searches: "tuple[Search, ...]"
    seconds: float
    """Wall time until the report is written."""


def run_demo(output: str | Path, model: "Embedder | None" = None, say: Say = print) -> DemoResult:
    """Annotate 700 blood cells by candidate texts, search them by sentences, and write a report.

    Parameters
    ----------
    output
        Folder to write: report.html, annotated.h5ad, pictures/ and receipt.json. It is written atomically; the folder of an
        earlier demo is replaced.
    model
        A model from `okrcell.load`; default: the bundled one.
    say
        Called with each line for the terminal.

    Raises
    ------
    InputError
        If ``output`` contains anything else than an earlier demo, or cannot be written.
    """
    folder = Path(output).resolve()
    _must_be_free(folder, output)
    from okrcell import tl
    from okrcell.demo.measures import agreement, search
    from okrcell.model.embedder import load

    model = load() if model is None else model
    clock: dict[str, float] = {}
    start = time.perf_counter()
    adata: Any = blood_cells()
    say(
        f"{adata.n_obs} blood cells that come with scanpy (Zheng et al. 2017); "
        f"the model, {model.name}, does not see their labels."
    )
    with _timed(clock, "name"):
        tl.annotate(adata, model, candidates=list(CANDIDATES.values()))
    figures = agreement(adata.obs, LABELS, CANDIDATES, LINEAGES)
    for line in _in_short(figures, clock["name"]):
        say(line)
    searches: list[Search] = []
    with _timed(clock, "search"):
        for number, (sentence, hoped_for) in enumerate(SENTENCES.items(), start=1):
            key = match_key(number)
            tl.find_cells(adata, model, sentence, key_added=key)
            searches.append(search(adata.obs, LABELS, key, sentence, hoped_for))
    for one in searches:
        say(
            f"“{one.sentence}”: {one.hits} of the top {one.top} cells are {' or '.join(one.hoped_for)} "
            f"(expected by chance: {one.by_chance:.0%})."
        )
    with _timed(clock, "map"):
        _lay_out(adata)
    with whole_folder(folder) as draft:
        _write(draft, adata, model, figures=figures, searches=tuple(searches), clock=clock)
    seconds = time.perf_counter() - start
    say(f"Wrote {Path(output) / REPORT} in {seconds:.0f} s. Open it in a browser.")
    return DemoResult(folder, folder / REPORT, figures, tuple(searches), seconds)


def _must_be_free(folder: Path, named: str | Path) -> None:
    """Check before any work is done that the folder is new or holds an earlier demo only."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"The demo writes a folder, but {named} is a file. Choose another folder with -o.")
    if not folder.parent.is_dir():
        raise InputError(f"Cannot write {named}: there is no folder {folder.parent}. Create it first.")
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    ours = {RECEIPT, REPORT, ANSWERS, PICTURES}
    if found and (found - ours or RECEIPT not in found):
        raise InputError(
            f"{named} contains files that are not from an earlier demo and would be lost. Choose another folder with -o."
        )


def _lay_out(adata: "AnnData") -> None:
    """Compute a UMAP of the embeddings in a slot of its own; the bundled UMAP is left unchanged."""
    import scanpy as sc

    from okrcell.demo.pictures import MAP

    scanpy: Any = sc
    scanpy.pp.neighbors(
        adata, n_neighbors=NEIGHBOURS, use_rep="X_okrcell", random_state=SEED, key_added="okrcell_neighbors"
    )
    scanpy.tl.umap(adata, random_state=SEED, neighbors_key="okrcell_neighbors", key_added=MAP)


def _write(
    draft: Path,
    adata: "AnnData",
    model: "Embedder",
    *,
    figures: "Agreement",
    searches: "tuple[Search, ...]",
    clock: dict[str, float],
) -> None:
    from dataclasses import asdict

    from okrcell.cells.save import save_cells
    from okrcell.demo.pictures import draw_all
    from okrcell.demo.report import report
    from okrcell.provenance import receipt, write_json

    shelf = draft / PICTURES
    shelf.mkdir()
    with _timed(clock, "draw"):
        drawn = draw_all(adata, figures, searches, shelf)
    with _timed(clock, "save"):
        save_cells(adata, draft / ANSWERS)
    named = adata.uns["okrcell"]["annotate"]
    written = receipt(
        "demo",
        seed=SEED,
        model=model.name,
        weights_sha256=model.fingerprint,
        cells="scanpy.datasets.pbmc68k_reduced()",
        candidates=CANDIDATES,
        sentences={sentence: list(hoped_for) for sentence, hoped_for in SENTENCES.items()},
        settings={"neighbours": NEIGHBOURS, "temperature": named["temperature"], "matrix": named["matrix"]},
        findings=named["findings"],
        model_genes_measured=named["model_genes_measured"],
        model_genes=named["model_genes"],
        seconds={name: round(value, 2) for name, value in clock.items()},
        agreement=asdict(figures),
        searches=[asdict(one) for one in searches],
    )
    write_json(draft / RECEIPT, written)
    page = report(figures, searches, drawn, written, model.facts)
    (draft / REPORT).write_text(page, encoding="utf-8")


def _in_short(figures: "Agreement", seconds: float) -> Iterator[str]:
    yield (
        f"Annotated in {seconds:.1f} s: accuracy {figures.accuracy:.1%} against the author labels "
        f"(balanced {figures.balanced_accuracy:.1%}, macro-F1 {figures.macro_f1:.2f}; "
        f"majority class: {figures.commonest:.1%})."
    )
    yield f"Lineage accuracy: {figures.lineage_accuracy:.1%}. Mean confidence: {figures.mean_confidence:.1%}."


@contextmanager
def _timed(clock: dict[str, float], name: str) -> Generator[None]:
    start = time.perf_counter()
    yield
    clock[name] = time.perf_counter() - start
