"""Groups and the texts that fit them, on one picture."""

import anndata
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from okrcell.errors import InputError
from okrcell.pl.retrieval import BAR_COLOR, RELATION_COLORS, retrieval

ROWS = [
    ("0", 1, "B cell", "CL:0000236", 0.6),
    ("0", 2, "lymphocyte", "CL:0000542", 0.5),
    ("0", 3, "a cell that shines", "", 0.2),
    ("1", 1, "monocyte", "CL:0000576", 0.4),
    ("1", 2, "B cell", "CL:0000236", -0.1),
]


@pytest.fixture
def cells():
    obs = pd.DataFrame({"leiden": ["1"] * 3 + ["0"] * 2, "label": ["NK cell", "NK cell", "B", "B cell", None]})
    adata = anndata.AnnData(np.zeros((5, 1), dtype=np.float32), obs=obs.rename(index=str))
    columns = ["group", "rank", "text", "cell_type_ontology_term_id", "match"]
    adata.uns["okrcell_texts"] = pd.DataFrame(ROWS, columns=columns)
    adata.uns["okrcell"] = {"find_texts": {"groupby": "leiden"}}
    return adata


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def words(ax):
    return [text.get_text() for text in ax.texts]


def colours(ax):
    return [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]


def test_every_bar_is_as_long_as_its_match(cells, ax):
    assert retrieval(cells, ax=ax, show=False) is ax
    assert [bar.get_width() for bar in ax.patches] == [0.4, -0.1, 0.6, 0.5, 0.2]
    assert words(ax)[:2] == ["1  (3)", "0.40  monocyte"]  # the larger group first
    assert set(colours(ax)) == {BAR_COLOR}
    assert ax.get_legend() is None


def test_only_the_first_texts_of_the_groups_asked_for_are_drawn(cells, ax):
    retrieval(cells, groups=["0"], top=1, ax=ax, show=False)
    assert words(ax) == ["0  (2)", "0.60  B cell"]


def test_ids_of_the_labels_count_where_there_are_some(cells, ax):
    cells.obs["label_ontology_term_id"] = ["CL:0000576"] * 3 + ["CL:0000542"] * 2
    retrieval(cells, groups=["0", "1"], top=1, truth="label", ax=ax, show=False)
    assert colours(ax) == [RELATION_COLORS["narrower"], RELATION_COLORS["right"]]


def test_colours_tell_how_a_text_stands_to_the_label(cells, ax):
    retrieval(cells, groups=["0", "1"], truth="label", ax=ax, show=False)
    assert colours(ax)[:2] == [RELATION_COLORS["right"], RELATION_COLORS["broader"]]
    assert colours(ax)[3] == RELATION_COLORS["wrong"]  # a monocyte is no kind of NK cell
    legend_labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend_labels == ["same type", "broader type", "other type", "unknown: label or text without ontology term"]
    assert "1  (3) – labelled NK cell" in words(ax)


def test_the_whole_picture_can_be_kept(cells, tmp_path):
    retrieval(cells, truth="label", save=tmp_path / "texts.png")
    assert (tmp_path / "texts.png").stat().st_size > 10_000


def test_what_is_missing_is_named(cells):
    with pytest.raises(InputError, match=r"no texts of the group 7\. Available groups: 0, 1"):
        retrieval(cells, groups=["7"], show=False)
    with pytest.raises(InputError, match="no column 'truth' in obs"):
        retrieval(cells, truth="truth", show=False)
    with pytest.raises(InputError, match="top must be at least 1, but it is 0"):
        retrieval(cells, top=0, show=False)
    del cells.uns["okrcell_texts"]
    with pytest.raises(InputError, match="Rank texts by group first"):
        retrieval(cells, show=False)
