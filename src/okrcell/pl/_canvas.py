"""Axes, colors, color bars and text of plots; showing and saving of figures."""

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.escaping import printable
from okrcell.storage import atomic_file

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


MAX_GRID_SIZE = 24
"""Maximum number of bins per axis of the histogram that locates the densest region; small groups have fewer."""
MIN_LABEL_DISTANCE = 0.075
"""Minimum distance between two labels, as a fraction of the width and height of the plot."""


PALETTE = (
    "#2D2D96", "#4BA53C", "#4B3C1E", "#A52D69", "#0096E1", "#A587B4", "#A52D00", "#87875A", "#A55AB4", "#0087FF", "#FF4B87",
    "#5A3C4B", "#00A596", "#967800", "#690F78", "#2D690F", "#693C78", "#F0693C", "#A51E3C", "#006996", "#3C5A3C", "#B45A69",
    "#0F5AB4", "#A55A3C",
)  # fmt: skip
"""24 categorical colors with a contrast of at least 3:1 on white, found by maximin search (ours). Any two differ by at least 22
CIELAB units, and by 11 with simulated deuteranopia or protanopia; among the first ten by at least 29 and 14."""
DARK_PALETTE = (
    "#6969B4", "#78B43C", "#D2E187", "#E10087", "#0F87A5", "#784BFF", "#C37800", "#A5F02D", "#5A69F0", "#69B4F0", "#E1003C",
    "#C35AA5", "#5AB4B4", "#F0A50F", "#F0B4D2", "#3CC369", "#E11ED2", "#FFD2A5", "#FF3C78", "#1E96F0", "#96D2B4", "#D27887",
    "#E1D2FF", "#96784B",
)  # fmt: skip
"""The same for dark backgrounds, in the order and with about the hues of `PALETTE`: a contrast of at least 3:1 on the dark page
of a report. Any two differ by at least 19 CIELAB units, and by 9 with simulated deuteranopia or protanopia."""
UNKNOWN_COLOR = "#8C919A"
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
MAX_LEGEND_LINES = 32
"""Maximum number of lines in a column of a legend."""
LEGEND_CHARS = 34
"""Maximum number of characters per line of a legend."""
LEGEND_COLUMN_WIDTH, LEGEND_LINE_HEIGHT, LEGEND_ENTRY_GAP = 2.9, 0.15, 0.09
"""Width of a legend column, height of its lines and distance of its entries, in inches."""
CHARS_PER_INCH = 12
"""Average number of characters per inch of a plot title."""
MAX_VECTOR_POINTS = 20_000
"""Points are rasterized in vector formats if there are more cells than this."""


def place_labels(groups: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    """Return the label coordinates of each group; groups without a finite point have none.

    Parameters
    ----------
    groups
        Points (cell, 2) of each group, in data coordinates.
    """
    finite = {name: points[np.isfinite(points).all(axis=1)] for name, points in groups.items()}
    finite = {name: points for name, points in finite.items() if len(points)}
    if not finite:
        return {}
    all_points = np.concatenate(list(finite.values()))
    low, span = all_points.min(axis=0), np.ptp(all_points, axis=0)
    span = np.where(span > 0, span, 1.0)
    centers = np.array([_densest_point((points - low) / span) for points in finite.values()])
    coords = _push_apart(centers) * span + low
    return {name: (float(x), float(y)) for name, (x, y) in zip(finite, coords, strict=True)}


def _densest_point(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the points in the fullest bin of a two-dimensional histogram; points in [0, 1]."""
    n_bins = int(np.clip(1.5 * np.sqrt(len(points)), 2, MAX_GRID_SIZE))
    bins = np.minimum((points * n_bins).astype(np.intp), n_bins - 1)
    bin_idx = bins[:, 0] * n_bins + bins[:, 1]
    return points[bin_idx == np.bincount(bin_idx).argmax()].mean(axis=0)


def _push_apart(coords: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push labels apart iteratively until any two are at least `MIN_LABEL_DISTANCE` from each other."""
    coords = coords.copy()
    for _ in range(200):
        offset = coords[:, None] - coords[None]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        np.fill_diagonal(distance, np.inf)
        if distance.min() >= MIN_LABEL_DISTANCE:
            break
        is_close = distance < MIN_LABEL_DISTANCE
        # Coincident labels have no direction between them: each pair gets a fixed one.
        angle = np.add.outer(np.arange(len(coords)), np.arange(len(coords))) * 2.4
        sign = np.triu(np.ones_like(angle), 1) - np.tril(np.ones_like(angle), -1)
        fallback = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * sign[..., None]
        direction = np.where((distance > 1e-9)[..., None], offset / np.maximum(distance, 1e-9)[..., None], fallback)
        push = np.where(is_close, (MIN_LABEL_DISTANCE - np.where(is_close, distance, 0)) / 2 + 1e-4, 0.0)
        coords += (direction * push[..., None]).sum(axis=1)
    return coords


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


def color_on(ax: "Axes", color: str) -> str:
    """Color of a group on ``ax``: on a dark background, colors of `PALETTE` become those of `DARK_PALETTE`."""
    return dark_color(color) if has_dark_background(ax) else color


def dark_color(color: str) -> str:
    """Color of `DARK_PALETTE` for one of `PALETTE`; other colors are returned unchanged."""
    return DARK_PALETTE[PALETTE.index(color)] if color in PALETTE else color


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
    """Break text into lines of at most ``width`` characters; text beyond ``lines`` lines is cut off with "…".

    What matplotlib would read as a formula (between dollar signs) stays text.
    """
    text = printable(text.replace("\n", " ")).replace("$", r"\$")
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …")) or text


def _default_text_color() -> str:
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def embedding_coords(adata: "AnnData", basis: str) -> NDArray[np.float64]:
    """Return the coordinates of each cell, float64 (cell, 2).

    Raises
    ------
    InputError
        If there is no such embedding, or it has fewer than two columns.
    """
    slot = basis if basis in adata.obsm else f"X_{basis}"
    if slot not in adata.obsm:
        raise InputError(
            f"obsm has no embedding {basis}; it has: {', '.join(adata.obsm) or 'nothing'}. Compute one with "
            "sc.pp.neighbors(adata, use_rep='X_okrcell'), then sc.tl.umap(adata)."
        )
    coords = np.asarray(adata.obsm[slot], dtype=np.float64)
    if coords.ndim != 2 or coords.shape[1] < 2:
        raise InputError(
            f"An embedding plot needs an array of at least two columns, but obsm['{slot}'] has the shape {coords.shape}."
        )
    return coords[:, :2]


def obs_column(adata: "AnnData", key: str) -> "pd.Series":
    """Return a column of ``obs``.

    Raises
    ------
    InputError
        If it is missing; the message names the tool that writes it.
    """
    if key not in adata.obs:
        tool = {"okrcell_match": "find_cells", "okrcell_cluster": "cluster"}.get(key, "annotate")
        hint = f"Run okrcell.tl.{tool} first, or pass" if key.startswith("okrcell_") else "Pass"
        raise InputError(f"There is no column '{key}' in obs. {hint} the name of an existing column.")
    series: Any = adata.obs[key]
    return series


def term_ids(adata: "AnnData", key: str) -> NDArray[np.object_]:
    """Current Cell Ontology id of each cell from the column ``<key>_ontology_term_id``; "" where there is none."""
    import pandas as pd

    from okrcell.ontology.ontology import ontology

    column = f"{key}_ontology_term_id"
    if column not in adata.obs:
        return np.full(adata.n_obs, "", dtype=object)
    current_id = ontology("CL").current_id
    ids: list[str] = pd.Series(adata.obs[column]).astype(object).fillna("").astype(str).tolist()
    current = {term_id: current_id(term_id) or "" for term_id in set(ids)}
    return np.array([current[term_id] for term_id in ids], dtype=object)


def assign_colors(names: Iterable[str]) -> dict[str, str]:
    """Color by name, in order; colors repeat after the last of `PALETTE`."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(dict.fromkeys(names))}


def scatter_kwargs(size: float | None, n_cells: int) -> dict[str, Any]:
    """Keyword arguments of ``scatter``; by default points are smaller, the more cells there are."""
    return {
        "s": float(np.clip(20_000 / max(n_cells, 1), 1, 26)) if size is None else size,
        "linewidths": 0,
        "rasterized": n_cells > MAX_VECTOR_POINTS,
    }


def draw_unlabeled(ax: "Axes", coords: NDArray[np.float64], size: float | None, n_cells: int) -> None:
    """Draw cells without a label or value in grey."""
    if len(coords):
        ax.scatter(*coords.T, color=UNKNOWN_COLOR, **scatter_kwargs(size, n_cells))


def style_embedding_axes(ax: "Axes", basis: str, title: str) -> None:
    """Set axis labels and title of an embedding plot, without ticks: the axes have no unit."""
    name = basis.removeprefix("X_").partition("_")[0].upper()
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"{name} 1", fontsize="small", loc="left")
    ax.set_ylabel(f"{name} 2", fontsize="small", loc="bottom")
    ax.spines[["top", "right"]].set_visible(False)
    n_chars = int(ax.get_position().width * root_figure(ax).get_figwidth() * CHARS_PER_INCH)
    ax.set_title(wrap_text(title, max(n_chars, 20)), loc="left", fontsize="medium", fontweight="bold")


def legend_columns(entries: list[tuple[str, int]]) -> int:
    """Number of columns that a legend needs."""
    return -(-sum(map(_legend_lines, entries)) // MAX_LEGEND_LINES) or 1


def size_with_legend(entries: list[tuple[str, int]], width: float, height: float) -> tuple[float, float]:
    """Size of a figure in inches, enlarged so that a legend beside the plot is not cut off."""
    n_columns = legend_columns(entries)
    n_lines = sum(map(_legend_lines, entries))
    legend_height = (
        n_lines * LEGEND_LINE_HEIGHT + len(entries) * LEGEND_ENTRY_GAP
    ) / n_columns + LEGEND_LINE_HEIGHT * 2
    return width + (n_columns - 1) * LEGEND_COLUMN_WIDTH, max(height, legend_height)


def _legend_lines(entry: tuple[str, int]) -> int:
    return _legend_text(entry).count("\n") + 1


def _legend_text(entry: tuple[str, int]) -> str:
    name, count = entry
    return wrap_text(f"{name}\N{NO-BREAK SPACE}({count:,})", LEGEND_CHARS)


def add_legend(ax: "Axes", entries: list[tuple[str, int]], colors: list[str], *, inside: bool = False) -> None:
    """Add a legend with the color, name and number of cells of each entry."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=7,
            color=color,
            label=_legend_text(entry),
        )
        for entry, color in zip(entries, colors, strict=False)
    ]
    position: dict[str, Any] = (
        {"loc": "upper right"} if inside else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    )
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "handletextpad": 0.3, "labelspacing": 0.7}
    ax.legend(handles=handles, ncols=legend_columns(entries), **style, **position)
