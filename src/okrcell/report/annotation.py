"""HTML report of an annotation: types, confidence, pictures, what was read, and the receipt."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell import pl
from okrcell.errors import InputError
from okrcell.pl._canvas import UNKNOWN_COLOR, assign_colors, dark_color, size_with_legend
from okrcell.report.page import percent, render_page
from okrcell.report.pictures import DrawFunction, Picture, draw_picture
from okrcell.tl._anndata import EMBEDDING_KEY, to_json

if TYPE_CHECKING:
    from anndata import AnnData

LABEL_KEY = "okrcell_label"
STATUSES = ("confident", "broad", "unknown")
CONFIDENCE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
MAX_PLOTTED_CELLS = 20_000
"""Maximum number of cells in the pictures: a random sample of larger files."""
UMAP_KEY = "X_umap"
MAX_LISTED_TYPES = 40
MAX_LISTED_CANDIDATES = 60


@dataclass(frozen=True)
class TypeSummary:
    """One row of the table of types."""

    name: str
    term_id: str
    status: str
    color: str
    n_cells: int
    fraction: float
    """Fraction of all cells, in [0, 1]."""
    confidence: float
    """Mean confidence of the cells."""

    @property
    def dark_color(self) -> str:
        """The color on a dark page."""
        return dark_color(self.color)


def annotation_report(adata: "AnnData", title: str) -> str:
    """Render the result of `okrcell.tl.annotate` as one self-contained HTML page, with light and dark theme.

    Parameters
    ----------
    adata
        Annotated cells. They are not changed.
    title
        Heading of the page, such as the name of the file.

    Raises
    ------
    InputError
        If the cells are not annotated.
    """
    record: Mapping[str, Any] = dict(adata.uns.get("okrcell", {})).get("annotate", {})
    if not record or LABEL_KEY not in adata.obs:
        raise InputError("There is no annotation to report. Run okrcell.tl.annotate first.")
    obs = pd.DataFrame(adata.obs)
    types = summarize_types(obs)
    receipt = to_json(record)
    return render_page(
        "okrcell.report",
        "annotation.html.jinja",
        title=title,
        n_cells=len(obs),
        types=types[:MAX_LISTED_TYPES],
        others=types[MAX_LISTED_TYPES:],
        statuses=[(status, int((obs["okrcell_status"] == status).sum())) for status in STATUSES],
        mean_confidence=float(obs["okrcell_confidence"].mean()) if len(obs) else 0.0,
        confidence_bins=confidence_bins(obs["okrcell_confidence"].to_numpy()),
        pictures=_draw_pictures(adata, types),
        receipt=receipt,
        candidates=list(zip(receipt["candidates"], receipt.get("candidate_ids") or [], strict=False)),
        max_candidates=MAX_LISTED_CANDIDATES,
        receipt_text=json.dumps(receipt, indent=2, ensure_ascii=False),
    )


def summarize_types(obs: pd.DataFrame) -> list[TypeSummary]:
    """Summarize the cells by label and status, most frequent first; "unknown" is last."""
    colors = label_colors(obs)
    labels, statuses = (obs[key].astype(str) for key in (LABEL_KEY, "okrcell_status"))
    rows: list[TypeSummary] = []
    for name, status in dict.fromkeys(zip(labels, statuses, strict=True)):
        cells = obs.loc[((labels == name) & (statuses == status)).to_numpy()]
        confidence = float(cells["okrcell_confidence"].mean())
        color = colors.get(name, UNKNOWN_COLOR)
        rows.append(
            TypeSummary(name, _term_id(cells, status), status, color, len(cells), len(cells) / len(obs), confidence)
        )
    return sorted(rows, key=lambda row: (row.status == "unknown", -row.n_cells, row.name))


def label_colors(obs: pd.DataFrame) -> dict[str, str]:
    """Color by label, most frequent label first: one color per label in all pictures and tables of a report."""
    counts = obs[LABEL_KEY].astype(str).value_counts()
    return assign_colors([str(name) for name in counts.index if name != "unknown"])


def confidence_bins(confidence: np.ndarray) -> list[tuple[str, int, float]]:
    """Count cells by confidence: range, number and fraction of all cells, highest first."""
    idx = np.clip(np.digitize(np.nan_to_num(confidence), CONFIDENCE_EDGES) - 1, 0, len(CONFIDENCE_EDGES) - 2)
    counts = np.bincount(idx, minlength=len(CONFIDENCE_EDGES) - 1)
    bins = zip(pairwise(CONFIDENCE_EDGES), counts.tolist(), strict=True)
    n_cells = max(len(confidence), 1)
    return [(f"{percent(low)} to {percent(high)}", count, count / n_cells) for (low, high), count in bins][::-1]


def _term_id(cells: pd.DataFrame, status: str) -> str:
    column = {
        "confident": "okrcell_cell_type_ontology_term_id",
        "broad": "okrcell_broader_cell_type_ontology_term_id",
    }.get(status)
    return str(cells[column].iloc[0]) if column else ""


def _draw_pictures(adata: "AnnData", types: list[TypeSummary]) -> dict[str, Picture]:
    """Draw labels and confidence on a UMAP; nothing if there are too few cells for one."""
    plotted = _plotted_cells(adata)
    if plotted is None:
        return {}
    palette = label_colors(pd.DataFrame(adata.obs))
    counts: dict[str, int] = adata.obs[LABEL_KEY].astype(str).value_counts().to_dict()
    names = ", ".join(f"{row.name} ({row.n_cells:,})" for row in types[:5])
    draw: dict[str, tuple[str, DrawFunction, tuple[float, float]]] = {
        "labels": (
            f"UMAP of the cells, colored and numbered by label; the most frequent are {names}.",
            lambda ax: pl.answers(
                plotted, key=LABEL_KEY, basis=UMAP_KEY, palette=palette, title="Label", ax=ax, show=False
            ),
            size_with_legend([(f"00   {name}", count) for name, count in counts.items()], 7.4, 4.4),
        ),
        "confidence": (
            "The same UMAP, colored by confidence.",
            lambda ax: pl.confidence(plotted, basis=UMAP_KEY, title="Confidence", ax=ax, show=False),
            (5.8, 4.4),
        ),
    }
    return {name: draw_picture(name, alt, function, size) for name, (alt, function, size) in draw.items()}


def _plotted_cells(adata: "AnnData") -> "AnnData | None":
    """Return a sample of the cells with the UMAP of the file, else one of the embeddings; None for fewer than 10 cells."""
    from anndata import AnnData

    from okrcell.cells.neighbors import MIN_UMAP_CELLS, embed_2d

    rows = np.arange(adata.n_obs)
    if adata.n_obs > MAX_PLOTTED_CELLS:
        rows = np.sort(np.random.default_rng(0).choice(adata.n_obs, MAX_PLOTTED_CELLS, replace=False))
    obs: Any = pd.DataFrame(adata.obs)[[LABEL_KEY, "okrcell_confidence"]].iloc[rows]
    plotted = AnnData(obs=obs.copy())
    if UMAP_KEY in adata.obsm and np.asarray(adata.obsm[UMAP_KEY]).shape[1:] >= (2,):
        plotted.obsm[UMAP_KEY] = np.asarray(adata.obsm[UMAP_KEY])[rows]
    elif EMBEDDING_KEY in adata.obsm and len(rows) >= MIN_UMAP_CELLS:
        plotted.obsm[UMAP_KEY] = embed_2d(np.asarray(adata.obsm[EMBEDDING_KEY], dtype=np.float32)[rows])
    else:
        return None
    return plotted
