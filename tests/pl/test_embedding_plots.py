"""Cells on a map."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure

from okrcell import pl
from okrcell.errors import InputError
from okrcell.pl._canvas import (
    COLORMAPS,
    DARK_COLORMAPS,
    DARK_PALETTE,
    MIN_LABEL_DISTANCE,
    PALETTE,
    UNKNOWN_COLOR,
    luminance,
    place_labels,
)
from okrcell.report.pictures import THEMES


@pytest.fixture
def cells():
    adata = sc.datasets.pbmc68k_reduced()
    adata.obs["okrcell_cell_type"] = adata.obs["bulk_labels"].astype(str)
    adata.obs["okrcell_confidence"] = np.linspace(0.2, 1, adata.n_obs)
    adata.obs["okrcell_match"] = np.linspace(-0.1, 0.4, adata.n_obs)
    return adata


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def drawn(ax):
    return sum(len(dots.get_offsets()) for dots in ax.collections)


def entries(ax):
    return [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]


def test_every_cell_is_drawn_once(cells, ax):
    assert pl.answers(cells, ax=ax, show=False) is ax
    assert drawn(ax) == 700


def test_the_commonest_answer_comes_first_with_its_number_and_count(cells, ax):
    pl.answers(cells, ax=ax, show=False)
    assert entries(ax)[0].split() == ["1", "Dendritic", "(240)"]
    assert {text.get_text() for text in ax.texts} == {str(number) for number in range(1, 11)}


def test_cells_without_an_answer_are_grey(cells, ax):
    cells.obs.loc[cells.obs_names[:5], "okrcell_cell_type"] = "unknown"
    cells.obs.loc[cells.obs_names[5:8], "okrcell_cell_type"] = None
    pl.answers(cells, ax=ax, show=False)
    grey = [dots for dots in ax.collections if np.allclose(dots.get_facecolor()[0], to_rgba(UNKNOWN_COLOR))]
    assert [len(dots.get_offsets()) for dots in grey] == [8]
    assert entries(ax)[-1].split() == ["–", "unknown", "(8)"]


@pytest.mark.parametrize("draw", [pl.confidence, pl.match])
def test_cells_without_a_number_are_grey(cells, ax, draw):
    cells.obs.loc[cells.obs_names[:7], ["okrcell_confidence", "okrcell_match"]] = np.nan
    draw(cells, ax=ax, show=False)
    assert len(ax.collections[0].get_offsets()) == 7
    assert drawn(ax) == 700
    assert entries(ax)[0].split() == ["unknown", "(7)"]


def test_a_map_of_nothing_but_unknown_cells_can_be_drawn(cells, ax):
    cells.obs["okrcell_match"] = np.nan
    pl.match(cells, ax=ax, show=False)
    assert drawn(ax) == 700


def test_one_cell_is_enough(cells):
    for draw in (pl.answers, pl.confidence, pl.match):
        ax = Figure(layout="constrained").subplots()
        draw(cells[:1].copy(), ax=ax, show=False)
        ax.figure.canvas.draw()


def test_confidence_has_the_same_colours_in_every_picture(cells, ax):
    pl.confidence(cells, ax=ax, show=False)
    assert ax.collections[0].get_clim() == (0, 1)


def test_the_best_match_lies_on_top(cells, ax):
    pl.match(cells, ax=ax, show=False)
    shown = ax.collections[0].get_array()
    assert (np.diff(shown) >= 0).all()


def test_the_heading_is_the_sentence_that_was_searched_for(cells, ax):
    cells.uns["okrcell"] = {"find": {"text": "a B cell", "key_added": "okrcell_match"}}
    pl.match(cells, ax=ax, show=False)
    assert ax.get_title(loc="left") == "“a B cell”"


def test_a_search_under_another_name_lends_no_heading(cells, ax):
    cells.uns["okrcell"] = {"find": {"text": "a B cell", "key_added": "other"}}
    pl.match(cells, ax=ax, show=False)
    assert ax.get_title(loc="left") == "okrcell_match"


def test_long_names_are_wrapped_and_endless_ones_end(cells, ax):
    cells.obs["okrcell_cell_type"] = "a very long sentence that someone took for the name of a cell type " * 9
    pl.answers(cells, ax=ax, show=False)
    lines = ax.get_legend().get_texts()[0].get_text().split("\n")
    assert len(lines) == 4
    assert max(map(len, lines)) <= 36


def test_a_missing_map_says_how_to_make_one(cells):
    del cells.obsm["X_umap"]
    with pytest.raises(InputError, match=r"sc\.tl\.umap"):
        pl.answers(cells, show=False)


def test_a_missing_column_names_the_verb(cells):
    del cells.obs["okrcell_match"]
    with pytest.raises(InputError, match="find_cells"):
        pl.match(cells, show=False)


def test_words_are_no_numbers(cells):
    with pytest.raises(InputError, match="must hold numbers"):
        pl.confidence(cells, key="bulk_labels", show=False)


def test_a_picture_is_kept_and_not_shown(cells, tmp_path, monkeypatch):
    mpl.use("agg")
    from matplotlib import pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: pytest.fail("shown"))
    for name in ("map.png", "map.pdf", "map.svg"):
        pl.answers(cells, basis="umap", save=tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000
    plt.close("all")


def test_a_picture_is_shown_when_scanpy_would(cells, monkeypatch):
    mpl.use("agg")
    from matplotlib import pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    before = sc.settings.autoshow
    assert before
    sc.settings.autoshow = False
    pl.match(cells)
    assert shown == []
    sc.settings.autoshow = True
    pl.match(cells)
    pl.match(cells, show=True)
    assert shown == [1, 1]
    plt.close("all")


def test_an_unknown_kind_of_picture_is_refused(cells, ax, tmp_path):
    with pytest.raises(InputError, match="Supported extensions"):
        pl.answers(cells, ax=ax, save=tmp_path / "map.docx")
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_matplotlib_as_it_was(cells, ax):
    before = mpl.rcParams.copy()
    pl.answers(cells, ax=ax, show=False)
    assert mpl.rcParams == before


def test_importing_the_pictures_does_not_import_pyplot():
    code = "import sys, okrcell.pl; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numbers_do_not_cover_each_other():
    rng = np.random.default_rng(0)
    places = np.array(list(place_labels({str(k): rng.normal(size=(30, 2)) for k in range(12)}).values()))
    gaps = np.hypot(*(places[:, None] - places[None]).T)
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() > MIN_LABEL_DISTANCE * 3


def test_numbers_in_one_place_part():
    places = place_labels({str(k): np.zeros((3, 2)) for k in range(5)})
    assert len({(round(x, 3), round(y, 3)) for x, y in places.values()}) == 5


def test_groups_without_a_point_have_no_number():
    assert place_labels({"a": np.full((2, 2), np.nan), "b": np.ones((1, 2))}).keys() == {"b"}
    assert place_labels({}) == {}


COLOUR_BLIND = {  # Machado, Oliveira and Fernandes 2009, full severity, on linear RGB
    "none": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


@pytest.mark.parametrize(
    ("palette", "least", "least_of_first"),
    [(PALETTE, {"none": 22}, {"none": 29}), (DARK_PALETTE, {"none": 19, "blind": 9}, {"none": 25, "blind": 12})],
    ids=["light", "dark"],
)
@pytest.mark.parametrize("eye", COLOUR_BLIND)
def test_any_two_colours_can_be_told_apart(eye, palette, least, least_of_first):
    rgb = np.array([to_rgb(colour) for colour in palette])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(COLOUR_BLIND[eye]).T, 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.array(to_xyz).T / [0.95047, 1, 1.08883]
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() >= (least["none"] if eye == "none" else least.get("blind", 11))
    assert apart[:10, :10].min() >= (least_of_first["none"] if eye == "none" else least_of_first.get("blind", 14))


def relative_luminance(colour):
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return luminance(tuple(linear))


@pytest.mark.parametrize(("palette", "theme"), [(PALETTE, "light"), (DARK_PALETTE, "dark")])
def test_there_are_24_colours_and_each_stands_out_on_a_page(palette, theme):
    background = relative_luminance(THEMES[theme][0])
    assert len(set(palette)) == len(palette) == len(PALETTE) == 24
    for colour in (*palette, UNKNOWN_COLOR):
        low, high = sorted([background, relative_luminance(colour)])
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_groups_have_the_dark_colours_on_a_dark_figure(cells):
    dark = Figure(facecolor="#171B22").subplots()
    pl.answers(cells, palette={"Dendritic": PALETTE[3], "CD19+ B": "#ABCDEF"}, ax=dark, show=False)
    colours = [handle.get_color() for handle in dark.get_legend().legend_handles]
    assert colours[:2] == [DARK_PALETTE[3], "#ABCDEF"]
    drawn_colours = {tuple(colour) for dots in dark.collections for colour in dots.get_facecolor()}
    assert {to_rgba(DARK_PALETTE[3]), to_rgba("#ABCDEF")} <= drawn_colours
    assert to_rgba(PALETTE[3]) not in drawn_colours


@pytest.mark.parametrize("n_types", [20, 40])
def test_a_long_legend_is_not_cut_off(cells, n_types):
    cells.obs["okrcell_cell_type"] = [
        f"a type with a name of two lines, number {i % n_types}" for i in range(cells.n_obs)
    ]
    figure = pl.answers(cells, show=False).get_figure(root=True)
    figure.canvas.draw()
    legend = figure.axes[0].get_legend().get_window_extent()
    assert legend.y0 >= 0
    assert legend.y1 <= figure.bbox.y1
    assert legend.x1 <= figure.bbox.x1
    assert figure.axes[0].get_position().width > 0.25
    mpl.pyplot.close(figure)


def test_small_groups_have_a_number_and_a_colour_of_their_own(cells, ax):
    names = np.array(["large"] * 670 + [f"type {i}" for i in range(15) for _ in range(2)])
    cells.obs["okrcell_cell_type"] = names
    pl.answers(cells, ax=ax, show=False)
    assert {text.get_text() for text in ax.texts} == {str(number) for number in range(1, 17)}
    assert len({handle.get_color() for handle in ax.get_legend().legend_handles}) == 16


def test_what_the_status_allows_is_plotted_where_it_is_known(cells, ax):
    cells.obs["okrcell_label"] = "lymphocyte"
    pl.answers(cells, ax=ax, show=False)
    assert ax.get_title(loc="left") == "okrcell_label"
    assert [entry.split()[1] for entry in entries(ax)] == ["lymphocyte"]


@pytest.mark.parametrize("kind", COLORMAPS)
def test_order_holds_without_hue(kind):
    assert (np.diff([luminance(to_rgb(colour)) for colour in COLORMAPS[kind]]) < 0).all()
    assert (np.diff([luminance(to_rgb(colour)) for colour in DARK_COLORMAPS[kind]]) > 0).all()


def test_missing_answers_of_a_categorical_are_unknown(cells, ax):
    column = pd.Categorical(cells.obs["okrcell_cell_type"])
    column[:3] = np.nan
    cells.obs["okrcell_cell_type"] = column
    pl.answers(cells, ax=ax, show=False)
    assert entries(ax)[-1].split() == ["–", "unknown", "(3)"]
