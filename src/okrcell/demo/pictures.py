"""Each picture twice, for light and for dark paper."""

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
"""Slot of ``obsm`` with the map that the pictures are drawn on."""
PAPER = {"light": ("#FFFFFF", "#22262E", "#9AA1AD"), "dark": ("#171B22", "#E4E7EC", "#5C6675")}
"""Ground, ink and lines; the grounds are those of the report's cards."""
FONTS = "system-ui, 'Segoe UI', 'Helvetica Neue', 'Noto Sans', 'DejaVu Sans', sans-serif"
ANSWER_COLOURS = dict(zip(CANDIDATES.values(), CATEGORIES, strict=True))
LABEL_COLOURS = dict(zip(CANDIDATES, CATEGORIES, strict=True))

Drawing = Callable[["Axes"], Any]


@dataclass(frozen=True)
class Picture:
    """A picture for the report."""

    name: str
    alt: str
    """What it shows, for those who do not see it."""
    light: str
    """SVG as a data URI."""
    dark: str
    """The same on dark paper."""


def draw_all(adata: "AnnData", figures: Agreement, searches: Sequence[Search], folder: Path) -> dict[str, Picture]:
    """Draw the pictures of the report, and keep them and the overview in ``folder``."""
    share = f"{figures.accuracy:.0%} of {figures.cells} cells"
    sheets = [
        (
            "answers",
            f"Map of the cells, coloured and numbered by the model's answer, which is the authors' for {share}.",
            answers(adata),
            (6.2, 4.0),
        ),
        ("labels", "The same map, coloured and numbered by the authors' labels.", labels(adata), (6.2, 4.0)),
        (
            "confidence",
            f"The same map, coloured by confidence, whose mean is {figures.mean_confidence:.0%}.",
            confidence(adata),
            (5.8, 4.0),
        ),
        (
            "confusion",
            "Heat map of the authors' labels against the answers; the table below it holds the main figures.",
            confusion(adata),
            (11.2, 6.8),
        ),
    ]
    for number, one in enumerate(searches, start=1):
        hits = f"{one.hits} of the best {one.top} are {' or '.join(one.hoped_for)}"
        told = f"The same map, coloured by match with “{one.sentence}”; {hits}."
        sheets.append((f"search_{number}", told, found(adata, match_key(number), one.sentence), (4.5, 3.6)))
    drawn = {name: draw(name, alt, drawing, size, folder) for name, alt, drawing, size in sheets}
    title = f"{figures.cells} blood cells named from words alone: {figures.accuracy:.0%} as their authors did"
    draw_overview(adata, searches[0].sentence, match_key(1), title, folder / "overview.png")
    return drawn


def draw(name: str, alt: str, drawing: Drawing, size: tuple[float, float], folder: Path) -> Picture:
    """Draw for both papers, and keep the light one as ``folder/name.png``; ``size`` is in inches."""
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
    """Draw answers, a search and the confusion on one sheet of 1600 by 900 pixels."""
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
    """Cells by the model's answer."""
    return lambda ax: pl.answers(adata, basis=MAP, palette=ANSWER_COLOURS, title="What okrcell says", ax=ax, show=False)


def labels(adata: "AnnData") -> Drawing:
    """Cells by the authors' label, in the colours and numbers of the answers that would be right."""
    return lambda ax: pl.answers(
        adata, key=LABELS, basis=MAP, palette=LABEL_COLOURS, title="What the authors said", ax=ax, show=False
    )


def confidence(adata: "AnnData") -> Drawing:
    """Cells by confidence."""
    return lambda ax: pl.confidence(adata, basis=MAP, title="How sure it is", ax=ax, show=False)


def confusion(adata: "AnnData") -> Drawing:
    """Authors' labels against answers."""
    return lambda ax: pl.confusion(
        adata, truth=LABELS, expected=CANDIDATES, title="Authors' labels and okrcell's answers", ax=ax, show=False
    )


def found(adata: "AnnData", key: str, sentence: str) -> Drawing:
    """Cells by how well they match a sentence."""
    return lambda ax: pl.match(adata, key=key, basis=MAP, title=f"“{sentence}”", ax=ax, show=False)


def _style(paper: str) -> Any:
    """Lend the pictures their paper; whoever draws afterwards finds matplotlib as it was."""
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
    """Make a figure that no window and no pyplot knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _svg(figure: "Figure") -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    # Letters stay letters, in the reader's own font: the usual ones are no wider than the one they were placed with.
    text = file.getvalue().replace("'DejaVu Sans'", FONTS)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
