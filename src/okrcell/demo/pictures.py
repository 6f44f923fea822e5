"""Figures of the report, each for light and dark backgrounds."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell import pl
from okrcell.demo.cells import CANDIDATES, LABELS, match_key
from okrcell.demo.measures import Agreement, Search
from okrcell.pl.canvas import CATEGORIES

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP = "X_umap_okrcell"
"""Slot of ``obsm`` with the UMAP of the embeddings."""
PAPER = {"light": ("#FFFFFF", "#22262E", "#9AA1AD"), "dark": ("#171B22", "#E4E7EC", "#5C6675")}
"""Background, text and line color by theme; the backgrounds match the cards of the report."""
FONTS = "system-ui, 'Segoe UI', 'Helvetica Neue', 'Noto Sans', 'DejaVu Sans', sans-serif"
ANSWER_COLOURS = dict(zip(CANDIDATES.values(), CATEGORIES, strict=True))
LABEL_COLOURS = dict(zip(CANDIDATES, CATEGORIES, strict=True))

Drawing = Callable[["Axes"], Any]


@dataclass(frozen=True)
class Picture:
    """A figure of the report."""

    name: str
    alt: str
    """Alternative text."""
    light: str
    """SVG as a data URI."""
    dark: str
    """The same for a dark background."""


def draw_all(adata: "AnnData", figures: Agreement, searches: Sequence[Search], folder: Path) -> dict[str, Picture]:
    """Draw the figures of the report; also save each as PNG in ``folder``, with an overview."""
    share = f"{figures.accuracy:.0%} of {figures.cells} cells"
    sheets = [
        (
            "answers",
            f"UMAP of the cells, colored and numbered by predicted cell type; {share} agree with the author labels.",
            answers(adata),
            (6.2, 4.0),
        ),
        ("labels", "The same UMAP, colored and numbered by author label.", labels(adata), (6.2, 4.0)),
        (
            "confidence",
            f"The same UMAP, colored by confidence; the mean is {figures.mean_confidence:.0%}.",
            confidence(adata),
            (5.8, 4.0),
        ),
        (
            "confusion",
            "Confusion matrix of author labels and predictions; the table below lists the main numbers.",
            confusion(adata),
            (11.2, 6.8),
        ),
    ]
    for number, one in enumerate(searches, start=1):
        hits = f"{one.hits} of the top {one.top} cells are {' or '.join(one.hoped_for)}"
        told = f"The same UMAP, colored by match with “{one.sentence}”; {hits}."
        sheets.append((f"search_{number}", told, found(adata, match_key(number), one.sentence), (4.5, 3.6)))
    drawn = {name: draw(name, alt, drawing, size, folder) for name, alt, drawing, size in sheets}
    title = f"Zero-shot annotation of {figures.cells} blood cells: accuracy {figures.accuracy:.0%}"
    draw_overview(adata, searches[0].sentence, match_key(1), title, folder / "overview.png")
    return drawn


def draw(name: str, alt: str, drawing: Drawing, size: tuple[float, float], folder: Path) -> Picture:
    """Draw a figure for both themes, and save the light one as ``folder/name.png``; ``size`` is in inches."""
    papers = {}
    for paper in PAPER:
        with _style(paper):
            figure = _figure(size)
            drawing(figure.subplots())
            papers[paper] = _svg(figure)
            if paper == "light":
                figure.savefig(folder / f"{name}.png", dpi=200)
    return Picture(name, alt, papers["light"], papers["dark"])


def draw_overview(adata: "AnnData", sentence: str, key: str, title: str, path: Path) -> None:
    """Draw predictions, one search and the confusion matrix on a sheet of 1600 by 900 pixels."""
    with _style("light"):
        figure = _figure((12.8, 7.2))
        halves: Any = figure.subfigures(1, 2, width_ratios=[0.76, 1])
        left, right = halves
        above, below = left.subplots(2, 1)
        answers(adata)(above)
        found(adata, key, sentence)(below)
        confusion(adata)(right.subplots())
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(path, dpi=125)


def answers(adata: "AnnData") -> Drawing:
    """Cells by predicted cell type."""
    return lambda ax: pl.answers(
        adata, basis=MAP, palette=ANSWER_COLOURS, title="Predicted cell types", ax=ax, show=False
    )


def labels(adata: "AnnData") -> Drawing:
    """Cells by author label, in the colors and numbers of the corresponding predictions."""
    return lambda ax: pl.answers(
        adata, key=LABELS, basis=MAP, palette=LABEL_COLOURS, title="Author labels", ax=ax, show=False
    )


def confidence(adata: "AnnData") -> Drawing:
    """Cells by confidence."""
    return lambda ax: pl.confidence(adata, basis=MAP, title="Confidence", ax=ax, show=False)


def confusion(adata: "AnnData") -> Drawing:
    """Confusion matrix of author labels and predictions."""
    return lambda ax: pl.confusion(
        adata, truth=LABELS, expected=CANDIDATES, title="Predictions by author label", ax=ax, show=False
    )


def found(adata: "AnnData", key: str, sentence: str) -> Drawing:
    """Cells by match with a text."""
    return lambda ax: pl.match(adata, key=key, basis=MAP, title=f"“{sentence}”", ax=ax, show=False)


def _style(paper: str) -> Any:
    """Context manager of matplotlib settings for a theme; restores the previous settings."""
    from matplotlib import rc_context

    ground, ink, line = PAPER[paper]
    style: Any = {
        "figure.facecolor": ground,
        "axes.facecolor": ground,
        "savefig.facecolor": ground,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.edgecolor": line,
        "xtick.color": ink,
        "ytick.color": ink,
        "font.family": ["DejaVu Sans"],
        "font.size": 10.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "okrcell",
    }
    return rc_context(style)


def _figure(size: tuple[float, float]) -> "Figure":
    """Create a figure outside pyplot, so that no window opens."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _svg(figure: "Figure") -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    # Text stays text in the fonts of the reader's system, which are no wider than the font used for the layout.
    text = file.getvalue().replace("'DejaVu Sans'", FONTS)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
