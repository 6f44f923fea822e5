"""Pictures of HTML reports: one figure as SVG, for light and dark pages."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


THEMES = {"light": ("#FFFFFF", "#22262E", "#9AA1AD"), "dark": ("#171B22", "#E4E7EC", "#5C6675")}
"""Background, text and line color by theme; the backgrounds match the cards of the report."""
FONTS = "system-ui, 'Segoe UI', 'Helvetica Neue', 'Noto Sans', 'DejaVu Sans', sans-serif"
MAX_VECTOR_POINTS = 3000
"""Points are rasterized if there are more cells than this, so that a page stays small."""
RASTER_DPI = 160

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


def draw_picture(
    name: str, alt: str, draw_function: DrawFunction, size: tuple[float, float], folder: Path | None = None
) -> Picture:
    """Draw a figure for both themes; with ``folder``, also save the light one as PNG. ``size`` is in inches."""
    images = {}
    for theme in THEMES:
        with theme_style(theme):
            figure = new_figure(size)
            ax = figure.subplots()
            draw_function(ax)
            for points in ax.collections:
                points.set_rasterized(len(np.asarray(points.get_offsets())) > MAX_VECTOR_POINTS)
            images[theme] = _svg_data_uri(figure)
            if theme == "light" and folder is not None:
                figure.savefig(folder / f"{name}.png", dpi=200)
    return Picture(name, alt, images["light"], images["dark"])


def theme_style(theme: str) -> Any:
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


def new_figure(size: tuple[float, float]) -> "Figure":
    """Create a figure outside pyplot, so that no window opens."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _svg_data_uri(figure: "Figure") -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=RASTER_DPI, metadata={"Date": None, "Creator": None})
    # Text stays text in the fonts of the reader's system, which are no wider than the font used for the layout.
    text = buffer.getvalue().replace("'DejaVu Sans'", FONTS)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
