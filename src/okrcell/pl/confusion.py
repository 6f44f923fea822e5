"""Confusion matrix of labels and predicted cell types."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_is_anndata
from okrcell.errors import InputError
from okrcell.pl._canvas import (
    add_colorbar,
    colormap,
    draw_grid_lines,
    get_axes,
    save_and_show,
    text_color_on,
    wrap_text,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

UNLABELED = "unknown"
MAX_COLUMNS_WITH_COUNTS = 14
"""Maximum number of columns with counts; up to twice as many show percentages only, more show no text."""


def confusion(
    adata: "AnnData",
    *,
    truth: str = "cell_type",
    answer: str = "okrcell_cell_type",
    expected: Mapping[str, str] | None = None,
    title: str | None = None,
    color_map: "str | Colormap | None" = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Plot the confusion matrix of labels (rows) and predicted cell types (columns).

    Color and percentage are fractions of the row, which sum to 100 %; the number below is the count of cells. The expected
    prediction of each label is framed.

    Parameters
    ----------
    adata : AnnData
        Cells with labels and predictions in ``obs``.
    truth : str, default "cell_type"
        Column of ``obs`` with the authors' labels. Missing values count as "unknown".
    answer : str, default "okrcell_cell_type"
        Column of ``obs`` with the predicted cell types, as `okrcell.tl.annotate` writes it. Missing values count as
        "unknown".
    expected : mapping of str to str, optional
        Correct prediction by label, where the two columns use different words. Its order is the order of rows and columns.
        None (default): label and prediction are expected to be the same text; rows are sorted by number of cells, other
        columns by the label that most of their cells have.
    title : str, optional
        Title. None (default): "Predictions by" and the name of ``truth``.
    color_map : str or matplotlib.colors.Colormap, optional
        Colormap of the fractions. None (default): a sequential one that suits the background.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on. None (default): the axes of a new figure.
    show : bool, optional
        Whether to show the figure. None (default): as set by ``scanpy.settings.autoshow``, and only for a figure that this
        function created and that is not saved.
    save : str or Path, optional
        Image file to write, at 200 dpi; the extension selects the format, such as .png, .pdf or .svg. The folder must exist.

    Returns
    -------
    matplotlib.axes.Axes
        Axes of the heat map.

    Raises
    ------
    InputError
        If a column is missing, or ``save`` cannot be written.

    Notes
    -----
    With more than 14 columns the counts are left out, with more than 28 the percentages too.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.annotate(adata, model, candidates=["B cell", "T cell", "monocyte", "natural killer cell", "dendritic cell"])
    >>> ax = okr.pl.confusion(
    ...     adata,
    ...     truth="bulk_labels",
    ...     expected={"CD19+ B": "B cell", "CD14+ Monocyte": "monocyte", "Dendritic": "dendritic cell"},
    ...     show=False,
    ... )
    >>> [label.get_text() for label in ax.get_xticklabels()][:3]
    ['B cell', 'monocyte', 'dendritic cell']
    """
    check_is_anndata(adata)
    table = confusion_matrix(adata, truth, answer, expected)
    fractions = table.to_numpy(dtype=np.float64) / np.maximum(table.to_numpy().sum(axis=1, keepdims=True), 1)
    rows, columns = table.shape
    is_new, ax = ax is None, get_axes(ax, 3.2 + 0.78 * columns, 2.4 + 0.52 * rows)
    image = ax.imshow(
        fractions,
        cmap=colormap(ax, "share") if color_map is None else color_map,
        vmin=0,
        vmax=1,
        aspect="auto",
        zorder=0,
    )
    _draw_numbers(ax, table, fractions)
    _draw_expected_frames(ax, table, expected)
    names = [wrap_text(str(name), 26, lines=2) for name in table.columns]
    ax.set_xticks(range(columns), names, rotation=40, ha="right", rotation_mode="anchor", fontsize="small")
    ax.set_yticks(
        range(rows),
        [f"{wrap_text(str(name), 30, lines=2)}  ({total:,})" for name, total in table.sum(axis=1).items()],
        fontsize="small",
    )
    draw_grid_lines(ax, rows, columns)
    ax.set_xlabel("predicted cell type", loc="left", fontsize="small")
    ax.set_ylabel(f"label ({truth})", loc="top", fontsize="small")
    ax.set_title(
        wrap_text(f"Predictions by {truth}" if title is None else title, 60),
        loc="left",
        fontsize="medium",
        fontweight="bold",
    )
    add_colorbar(ax, image, "fraction of the row").set_ticks([0, 0.5, 1], labels=["0%", "50%", "100%"])
    return save_and_show(ax, is_new=is_new, show=show, save=save)


def confusion_matrix(
    adata: "AnnData", truth: str, answer: str, expected: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Count cells by label (rows) and prediction (columns), ordered so that expected predictions lie on the diagonal.

    Raises
    ------
    InputError
        If a column is missing.
    """
    for key in (truth, answer):
        if key not in adata.obs:
            raise InputError(f"There is no column '{key}' in obs, which has: {', '.join(map(str, adata.obs.columns))}.")
    labels, predictions = (adata.obs[key].astype("object").fillna(UNLABELED).astype(str) for key in (truth, answer))
    table = pd.crosstab(labels, predictions)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    rows = [str(row) for row in table.index]
    if expected is not None:
        rows = [row for row in expected if row in rows] + [row for row in rows if row not in expected]
        targets = [expected[row] for row in rows if row in expected]
        leading = list(dict.fromkeys([*targets, *(column for column in expected.values() if column in table.columns)]))
        table = table.reindex(
            columns=[*leading, *(column for column in table.columns if column not in leading)], fill_value=0
        )
        order = [*leading, *_order_columns(table.loc[rows].drop(columns=leading))]
    else:
        order = _order_columns(table.loc[rows])
    order = [*(name for name in order if name != UNLABELED), *(name for name in order if name == UNLABELED)]
    return table.loc[rows, order]


def _order_columns(table: pd.DataFrame) -> list[str]:
    """Order columns by the row of the same name, else by the row in which they have the largest fraction."""
    fractions = table.to_numpy(dtype=np.float64) / np.maximum(table.to_numpy().sum(axis=1, keepdims=True), 1)
    row_index = {str(name): i for i, name in enumerate(table.index)}
    home_row = {
        str(name): row_index.get(str(name), int(fractions[:, i].argmax())) for i, name in enumerate(table.columns)
    }
    return sorted(home_row, key=lambda name: (home_row[name], name not in row_index))


def _draw_numbers(ax: "Axes", table: pd.DataFrame, fractions: np.ndarray) -> None:
    columns = table.shape[1]
    if columns > 2 * MAX_COLUMNS_WITH_COUNTS:
        return
    colors = ax.images[0].to_rgba(fractions)
    for (row, column), count in np.ndenumerate(table.to_numpy()):
        if count == 0:
            continue
        fraction = fractions[row, column]
        percent = f"{fraction:.0%}" if fraction >= 0.005 else "<1%"
        text_color = text_color_on(tuple(colors[row, column]))
        text = percent if columns > MAX_COLUMNS_WITH_COUNTS else f"{percent}\n{count:,}"
        ax.text(column, row, text, ha="center", va="center", fontsize=7.5, color=text_color, linespacing=1.15)


def _draw_expected_frames(ax: "Axes", table: pd.DataFrame, expected: Mapping[str, str] | None) -> None:
    from matplotlib import rcParams
    from matplotlib.patches import Rectangle

    columns: Sequence[str] = [str(name) for name in table.columns]
    for row, label in enumerate(table.index):
        target = str(label) if expected is None else expected.get(str(label))
        if target in columns and target != UNLABELED:
            corner = (columns.index(target) - 0.47, row - 0.46)
            ax.add_patch(
                Rectangle(corner, 0.94, 0.92, fill=False, edgecolor=rcParams["text.color"], linewidth=1.1, zorder=3)
            )
