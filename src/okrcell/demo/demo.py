"""Run the demo: annotate 700 cells, search them, and write a report."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.demo.dataset import CANDIDATES, LABEL_KEY, LINEAGES, SENTENCES, blood_cells, match_key
from okrcell.errors import InputError
from okrcell.storage import atomic_dir

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.demo.metrics import AgreementMetrics, SearchMetrics
    from okrcell.model.embedder import Embedder

SEED = 0
N_NEIGHBORS = 15
PROVENANCE_FILE = "receipt.json"
REPORT_FILE = "report.html"
ANNOTATED_FILE = "annotated.h5ad"
PICTURE_FOLDER = "pictures"
LogLine = Callable[[str], object]


@dataclass(frozen=True)
class DemoResult:
    """Results of the demo and their location."""

    folder: Path
    report: Path
    agreement: "AgreementMetrics"
    searches: "tuple[SearchMetrics, ...]"
    seconds: float
    """Wall time until the report is written."""


def run_demo(output: str | Path, model: "Embedder | None" = None, log: LogLine = print) -> DemoResult:
    """Annotate 700 blood cells by candidate texts, search them by sentences, and write a report.

    Parameters
    ----------
    output
        Folder to write: report.html, annotated.h5ad, pictures/ and receipt.json. It is written atomically; the folder of an
        earlier demo is replaced.
    model
        A model from `okrcell.load`; default: the bundled one.
    log
        Called with each line for the terminal.

    Raises
    ------
    InputError
        If ``output`` contains anything else than an earlier demo, or cannot be written.
    """
    folder = Path(output).resolve()
    _check_output_folder(folder, output)
    from okrcell import tl
    from okrcell.demo.metrics import agreement_metrics, search_metrics
    from okrcell.model.embedder import load

    model = load() if model is None else model
    timings: dict[str, float] = {}
    start = time.perf_counter()
    adata: Any = blood_cells()
    log(
        f"{adata.n_obs} blood cells that come with scanpy (Zheng et al. 2017); "
        f"the model, {model.name}, does not see their labels."
    )
    with _timer(timings, "name"):
        tl.annotate(adata, model, candidates=list(CANDIDATES.values()))
    metrics = agreement_metrics(adata.obs, LABEL_KEY, CANDIDATES, LINEAGES)
    for line in _summary_lines(metrics, timings["name"]):
        log(line)
    searches: list[SearchMetrics] = []
    with _timer(timings, "search"):
        for index, (sentence, expected_labels) in enumerate(SENTENCES.items(), start=1):
            key = match_key(index)
            tl.find_cells(adata, model, sentence, key_added=key)
            searches.append(search_metrics(adata.obs, LABEL_KEY, key, sentence, expected_labels))
    for result in searches:
        log(
            f"“{result.sentence}”: {result.hits} of the top {result.top} cells are {' or '.join(result.hoped_for)} "
            f"(expected by chance: {result.by_chance:.0%})."
        )
    with _timer(timings, "map"):
        _compute_umap(adata)
    with atomic_dir(folder) as draft:
        _write_folder(draft, adata, model, metrics=metrics, searches=tuple(searches), timings=timings)
    seconds = time.perf_counter() - start
    log(f"Wrote {Path(output) / REPORT_FILE} in {seconds:.0f} s. Open it in a browser.")
    return DemoResult(folder, folder / REPORT_FILE, metrics, tuple(searches), seconds)


def _check_output_folder(folder: Path, output: str | Path) -> None:
    """Check before any work is done that the folder is new or holds an earlier demo only."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"The demo writes a folder, but {output} is a file. Choose another folder with -o.")
    if not folder.parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {folder.parent}. Create it first.")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    demo_files = {PROVENANCE_FILE, REPORT_FILE, ANNOTATED_FILE, PICTURE_FOLDER}
    if names and (names - demo_files or PROVENANCE_FILE not in names):
        raise InputError(
            f"{output} contains files that are not from an earlier demo and would be lost. Choose another folder with -o."
        )


def _compute_umap(adata: "AnnData") -> None:
    """Compute a UMAP of the embeddings in a slot of its own; the bundled UMAP is left unchanged."""
    import scanpy as sc

    from okrcell.demo.report import UMAP_KEY

    scanpy: Any = sc
    scanpy.pp.neighbors(
        adata, n_neighbors=N_NEIGHBORS, use_rep="X_okrcell", random_state=SEED, key_added="okrcell_neighbors"
    )
    scanpy.tl.umap(adata, random_state=SEED, neighbors_key="okrcell_neighbors", key_added=UMAP_KEY)


def _write_folder(
    draft: Path,
    adata: "AnnData",
    model: "Embedder",
    *,
    metrics: "AgreementMetrics",
    searches: "tuple[SearchMetrics, ...]",
    timings: dict[str, float],
) -> None:
    from dataclasses import asdict

    from okrcell.cells.io import save_cells
    from okrcell.demo.report import draw_pictures, report
    from okrcell.provenance import provenance_record, write_json

    picture_dir = draft / PICTURE_FOLDER
    picture_dir.mkdir()
    with _timer(timings, "draw"):
        pictures = draw_pictures(adata, metrics, searches, picture_dir)
    with _timer(timings, "save"):
        save_cells(adata, draft / ANNOTATED_FILE)
    annotate_record = adata.uns["okrcell"]["annotate"]
    provenance = provenance_record(
        "demo",
        seed=SEED,
        model=model.name,
        weights_sha256=model.fingerprint,
        cells="scanpy.datasets.pbmc68k_reduced()",
        candidates=CANDIDATES,
        sentences={sentence: list(expected_labels) for sentence, expected_labels in SENTENCES.items()},
        settings={
            "neighbours": N_NEIGHBORS,
            "temperature": annotate_record["temperature"],
            "matrix": annotate_record["matrix"],
        },
        findings=annotate_record["findings"],
        model_genes_measured=annotate_record["model_genes_measured"],
        model_genes=annotate_record["model_genes"],
        seconds={name: round(value, 2) for name, value in timings.items()},
        agreement=asdict(metrics),
        searches=[asdict(result) for result in searches],
    )
    write_json(draft / PROVENANCE_FILE, provenance)
    page = report(metrics, searches, pictures, provenance, model.facts)
    (draft / REPORT_FILE).write_text(page, encoding="utf-8")


def _summary_lines(metrics: "AgreementMetrics", seconds: float) -> Iterator[str]:
    yield (
        f"Annotated in {seconds:.1f} s: accuracy {metrics.accuracy:.1%} against the author labels "
        f"(balanced {metrics.balanced_accuracy:.1%}, macro-F1 {metrics.macro_f1:.2f}; "
        f"majority class: {metrics.commonest:.1%})."
    )
    yield f"Lineage accuracy: {metrics.lineage_accuracy:.1%}. Mean confidence: {metrics.mean_confidence:.1%}."


@contextmanager
def _timer(timings: dict[str, float], name: str) -> Generator[None]:
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start
