"""Parts of embedding plots: coordinates, point style, axes, legend."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.pl._canvas import UNKNOWN_COLOR, root_figure, wrap_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

CHARS_PER_INCH = 12
"""Average number of characters per inch of a plot title."""
MAX_VECTOR_POINTS = 20_000
"""Points are rasterized in vector formats if there are more cells than this."""


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
            label=wrap_text(f"{name}\N{NO-BREAK SPACE}({count:,})", 34),
        )
        for (name, count), color in zip(entries, colors, strict=False)
    ]
    position: dict[str, Any] = (
        {"loc": "upper right"} if inside else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    )
    ax.legend(handles=handles, frameon=False, fontsize="small", handletextpad=0.3, labelspacing=0.7, **position)
