"""Figures of the report, each for light and dark backgrounds."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell import pl
from okrcell.demo.dataset import CANDIDATES, LABEL_KEY, match_key
from okrcell.demo.metrics import AgreementMetrics, SearchMetrics
from okrcell.pl._canvas import PALETTE

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UMAP_KEY = "X_umap_okrcell"
"""Slot of ``obsm`` with the UMAP of the embeddings."""
THEMES = {"light": ("#FFFFFF", "#22262E", "#9AA1AD"), "dark": ("#171B22", "#E4E7EC", "#5C6675")}
"""Background, text and line color by theme; the backgrounds match the cards of the report."""
FONTS = "system-ui, 'Segoe UI', 'Helvetica Neue', 'Noto Sans', 'DejaVu Sans', sans-serif"
PREDICTION_COLORS = dict(zip(CANDIDATES.values(), PALETTE, strict=True))
LABEL_COLORS = dict(zip(CANDIDATES, PALETTE, strict=True))

DrawFunction = Callable[["Axes"], Any]


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


def draw_pictures(
    adata: "AnnData", metrics: AgreementMetrics, searches: Sequence[SearchMetrics], folder: Path
) -> dict[str, Picture]:
    """Draw the figures of the report; also save each as PNG in ``folder``, with an overview."""
    agreement_text = f"{metrics.accuracy:.0%} of {metrics.cells} cells"
    specs = [
        (
            "answers",
            f"UMAP of the cells, colored and numbered by predicted cell type; {agreement_text} agree with the author labels.",
            plot_predictions(adata),
            (6.2, 4.0),
        ),
        ("labels", "The same UMAP, colored and numbered by author label.", plot_labels(adata), (6.2, 4.0)),
        (
            "confidence",
            f"The same UMAP, colored by confidence; the mean is {metrics.mean_confidence:.0%}.",
            plot_confidence(adata),
            (5.8, 4.0),
        ),
        (
            "confusion",
            "Confusion matrix of author labels and predictions; the table below lists the main numbers.",
            plot_confusion(adata),
            (11.2, 6.8),
        ),
    ]
    for index, result in enumerate(searches, start=1):
        hits_text = f"{result.hits} of the top {result.top} cells are {' or '.join(result.hoped_for)}"
        alt_text = f"The same UMAP, colored by match with “{result.sentence}”; {hits_text}."
        specs.append((f"search_{index}", alt_text, plot_match(adata, match_key(index), result.sentence), (4.5, 3.6)))
    pictures = {name: draw_picture(name, alt, draw_function, size, folder) for name, alt, draw_function, size in specs}
    title = f"Zero-shot annotation of {metrics.cells} blood cells: accuracy {metrics.accuracy:.0%}"
    draw_overview(adata, searches[0].sentence, match_key(1), title, folder / "overview.png")
    return pictures


def draw_picture(name: str, alt: str, draw_function: DrawFunction, size: tuple[float, float], folder: Path) -> Picture:
    """Draw a figure for both themes, and save the light one as ``folder/name.png``; ``size`` is in inches."""
    images = {}
    for theme in THEMES:
        with _theme_style(theme):
            figure = _new_figure(size)
            draw_function(figure.subplots())
            images[theme] = _svg_data_uri(figure)
            if theme == "light":
                figure.savefig(folder / f"{name}.png", dpi=200)
    return Picture(name, alt, images["light"], images["dark"])


def draw_overview(adata: "AnnData", text: str, key: str, title: str, path: Path) -> None:
    """Draw predictions, one search and the confusion matrix on a sheet of 1600 by 900 pixels."""
    with _theme_style("light"):
        figure = _new_figure((12.8, 7.2))
        subfigures: Any = figure.subfigures(1, 2, width_ratios=[0.76, 1])
        left, right = subfigures
        top_ax, bottom_ax = left.subplots(2, 1)
        plot_predictions(adata)(top_ax)
        plot_match(adata, key, text)(bottom_ax)
        plot_confusion(adata)(right.subplots())
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(path, dpi=125)


def plot_predictions(adata: "AnnData") -> DrawFunction:
    """Cells by predicted cell type."""
    return lambda ax: pl.answers(
        adata, basis=UMAP_KEY, palette=PREDICTION_COLORS, title="Predicted cell types", ax=ax, show=False
    )


def plot_labels(adata: "AnnData") -> DrawFunction:
    """Cells by author label, in the colors and numbers of the corresponding predictions."""
    return lambda ax: pl.answers(
        adata, key=LABEL_KEY, basis=UMAP_KEY, palette=LABEL_COLORS, title="Author labels", ax=ax, show=False
    )


def plot_confidence(adata: "AnnData") -> DrawFunction:
    """Cells by confidence."""
    return lambda ax: pl.confidence(adata, basis=UMAP_KEY, title="Confidence", ax=ax, show=False)


def plot_confusion(adata: "AnnData") -> DrawFunction:
    """Confusion matrix of author labels and predictions."""
    return lambda ax: pl.confusion(
        adata, truth=LABEL_KEY, expected=CANDIDATES, title="Predictions by author label", ax=ax, show=False
    )


def plot_match(adata: "AnnData", key: str, text: str) -> DrawFunction:
    """Cells by match with a text."""
    return lambda ax: pl.match(adata, key=key, basis=UMAP_KEY, title=f"“{text}”", ax=ax, show=False)


def _theme_style(theme: str) -> Any:
    """Context manager of matplotlib settings for a theme; restores the previous settings."""
    from matplotlib import rc_context

    background, text_color, line_color = THEMES[theme]
    style: Any = {
        "figure.facecolor": background,
        "axes.facecolor": background,
        "savefig.facecolor": background,
        "text.color": text_color,
        "axes.labelcolor": text_color,
        "axes.titlecolor": text_color,
        "axes.edgecolor": line_color,
        "xtick.color": text_color,
        "ytick.color": text_color,
        "font.family": ["DejaVu Sans"],
        "font.size": 10.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "okrcell",
    }
    return rc_context(style)


def _new_figure(size: tuple[float, float]) -> "Figure":
    """Create a figure outside pyplot, so that no window opens."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _svg_data_uri(figure: "Figure") -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Text stays text in the fonts of the reader's system, which are no wider than the font used for the layout.
    text = buffer.getvalue().replace("'DejaVu Sans'", FONTS)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
