"""Axes, colors, color bars and text of plots; showing and saving of figures."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, cast

from okrcell.errors import InputError
from okrcell.storage import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

PALETTE = (
    "#4F46B8", "#3FB5A3", "#CC6677", "#88CCEE", "#999933", "#882255", "#DDCC77", "#117733", "#AA4499", "#5C99E0",
)  # fmt: skip
"""Ten categorical colors for light and dark backgrounds, after Paul Tol's muted scheme (SRON/EPS/TN/09-002) with a lighter
indigo and an added blue. Any two differ by at least 18 CIELAB units, also with simulated deuteranopia and protanopia."""
UNKNOWN_COLOR = "#9A9EA6"
"""Grey, for cells without a label or value."""
COLORMAPS = {
    "value": ("#F0E8C6", "#A8D3B0", "#45A8A8", "#2C6A9B", "#252A6B"),
    "share": ("#F6F5F1", "#CADDE8", "#7FB0CC", "#2F72A6", "#12365F"),
}
"""Sequential colormaps for light backgrounds, from low to high; lightness decreases monotonically."""
DARK_COLORMAPS = {
    "value": ("#2D3550", "#2C6A9B", "#45A8A8", "#A8D3B0", "#F6EFCF"),
    "share": ("#20252F", "#24476A", "#2F72A6", "#7FB0CC", "#E3EFF5"),
}
"""The same for dark backgrounds; lightness increases monotonically."""


def get_axes(ax: "Axes | None", width: float, height: float) -> "Axes":
    """Return ``ax``, or the axes of a new pyplot figure of ``width`` by ``height`` inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def save_and_show(ax: "Axes", *, is_new: bool, show: bool | None, save: str | Path | None) -> "Axes":
    """Save and show a figure.

    Parameters
    ----------
    is_new
        Whether the figure was created by the caller, rather than passed in by the user.
    show
        None: show as set by ``scanpy.settings.autoshow``, and only a new figure that is not saved.
    save
        Image file, written atomically at 200 dpi.

    Raises
    ------
    InputError
        If the folder of ``save`` does not exist, or its extension is not a supported image format.
    """
    figure = root_figure(ax)
    if save is not None:
        path = Path(save)
        extensions = figure.canvas.get_supported_filetypes()
        if path.suffix.lstrip(".").lower() not in extensions:
            raise InputError(
                f"Cannot save a figure as '{path.name}'. Supported extensions: {', '.join(sorted(extensions))}."
            )
        with atomic_file(path) as draft:
            figure.savefig(draft, dpi=200, bbox_inches="tight")
    if show is None and is_new and save is None:
        from scanpy import settings

        show = bool(settings.autoshow)
    if show:
        from matplotlib import pyplot as plt

        plt.show()
    return ax


def root_figure(ax: "Axes") -> "Figure":
    """Return the root figure of ``ax``, also if it lies in a subfigure."""
    return cast("Figure", ax.get_figure(root=True))


def has_dark_background(ax: "Axes") -> bool:
    """Whether the background of the figure is dark, as in a dark style sheet."""
    from matplotlib.colors import to_rgba

    background = to_rgba(root_figure(ax).get_facecolor())
    text_color = to_rgba(_default_text_color())
    # A transparent background shows the page behind it; the text color then indicates whether it is dark.
    return luminance(background) < 0.4 if background[3] > 0 else luminance(text_color) > 0.6


def colormap(ax: "Axes", name: str) -> "Colormap":
    """Sequential colormap that suits the background of ``ax``; ``name`` is a key of `COLORMAPS`."""
    from matplotlib.colors import LinearSegmentedColormap

    colors = (DARK_COLORMAPS if has_dark_background(ax) else COLORMAPS)[name]
    return LinearSegmentedColormap.from_list(f"okrcell {name}", colors)


def add_colorbar(ax: "Axes", mappable: "ScalarMappable", label: str) -> "Colorbar":
    """Add a color bar beside ``ax``, placed relative to its size."""
    colorbar = root_figure(ax).colorbar(mappable, cax=ax.inset_axes((1.02, 0.15, 0.025, 0.7)))
    colorbar.set_label(label, fontsize="small")
    colorbar.ax.tick_params(length=0, labelsize="small")
    colorbar.ax.spines[:].set_visible(False)
    return colorbar


def luminance(color: tuple[float, ...]) -> float:
    """Relative luminance of an RGB color, in [0, 1] (Rec. 709 weights)."""
    red, green, blue = color[:3]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_color_on(color: tuple[float, ...]) -> str:
    """Text color, dark or white, that is legible on a background color."""
    return "#14161A" if luminance(color) > 0.5 else "#FFFFFF"


def draw_grid_lines(ax: "Axes", rows: int, columns: int) -> None:
    """Separate the tiles of a heat map by lines in the background color."""
    ax.set_xticks([i - 0.5 for i in range(columns + 1)], minor=True)
    ax.set_yticks([i - 0.5 for i in range(rows + 1)], minor=True)
    ax.grid(which="minor", color=root_figure(ax).get_facecolor(), linewidth=2)
    ax.grid(which="major", visible=False)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)


def wrap_text(text: str, width: int, lines: int = 4) -> str:
    """Break text into lines of at most ``width`` characters; text beyond ``lines`` lines is cut off with "…"."""
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …")) or text


def _default_text_color() -> str:
    from matplotlib import rcParams

    return str(rcParams["text.color"])
