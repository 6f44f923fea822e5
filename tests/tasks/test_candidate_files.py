"""Lists of candidates as people keep them."""

import pytest

from okrcell.errors import InputError
from okrcell.tasks.candidates import read_candidates

TWO = ["T cell", "B cell"]


@pytest.mark.parametrize(
    "content",
    [
        "T cell\nB cell\n",
        "\ufeffT cell\r\nB cell\r\n",
        "# blood\nT cell\n\nB cell\n",
        "T cell, B cell\n",
        "T cell; B cell",
        "T cell\tB cell",
        "T cell | B cell",
        "cell_type\nT cell\nB cell\n",
        "cell_type,markers\nT cell,CD3D CD3E\nB cell,MS4A1 CD79A\n",
        "cell_type;markers\nT cell;CD3D\nB cell;MS4A1\n",
        "markers\tCell Type\nCD3D\tT cell\nMS4A1\tB cell\n",
        ',cell_type\n0,"T cell"\n1,"B cell"\n',
        "cell_type,donor\nT cell,1\nT cell,2\nB cell,1\n",
        '["T cell", "B cell"]',
        '{"candidates": ["T cell", "B cell"]}',
        "['T cell', 'B cell']",
        "- T cell\n- B cell\n",
        "---\ncandidates:\n  - T cell\n  - B cell\n",
        'c("T cell", "B cell")',
        "types <- c('T cell',\n  'B cell')",
        '"T cell",\n"B cell",\n',
        "1. T cell\n2. B cell\n",
        "* T cell\n* B cell\n",
    ],
)
def test_a_list_is_read_in_every_usual_form(tmp_path, content: str):
    path = tmp_path / "types"
    path.write_text(content, encoding="utf-8", newline="")
    assert read_candidates(str(path)) == TWO
    if "\n" not in content.strip():
        assert read_candidates(content) == TWO


@pytest.mark.parametrize(
    "content",
    [
        "population,markers\nT cell,CD3D CD3E\nB cell,MS4A1\n",
        "T cell\tCD3D\tCD3E\nB cell\tMS4A1\tCD79A\n",
        "T cell: CD3D, CD3E\nB cell: MS4A1\n",
        '{"T cell": ["CD3D"], "B cell": ["MS4A1"]}',
        "T cell:\n  - CD3D\nB cell:\n  - MS4A1\n",
        '["T cell", ',
        '[["T cell"], ["B cell"]]',
        "c(T cell, B cell)",
        "T cell, CD3D\nB cell\n",
        "cell_type,markers\nCD4-positive, alpha-beta T cell,CD4\n",
        "cell_type\n",
    ],
)
def test_a_list_that_is_not_clear_is_refused_in_one_line(tmp_path, content: str):
    path = tmp_path / "types"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_candidates(str(path))
    assert "types" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        "CD4-positive, alpha-beta T cell\nCD8-positive, alpha-beta T cell\n",
        '["CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell"]',
        '"CD4-positive, alpha-beta T cell"\n"CD8-positive, alpha-beta T cell"\n',
        "CD4-positive, alpha-beta T cell, CD8-positive, alpha-beta T cell",
        'cell_type,n\n"CD4-positive, alpha-beta T cell",3\n"CD8-positive, alpha-beta T cell",4\n',
    ],
)
def test_names_with_a_comma_stay_whole(tmp_path, content: str):
    path = tmp_path / "types"
    path.write_text(content, encoding="utf-8")
    assert read_candidates(str(path)) == ["CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell"]


def test_a_line_of_labels_that_resemble_one_type_is_split(tmp_path):
    path = tmp_path / "types.txt"
    path.write_text("CD14 Mono, CD16 Mono\nB, NK\n")
    assert read_candidates(str(path)) == ["CD14 Mono", "CD16 Mono", "B", "NK"]


@pytest.mark.parametrize("source", ["types.json", "./types", "missing.csv"])
def test_a_missing_file_is_no_cell_type(source: str):
    with pytest.raises(InputError, match="does not exist"):
        read_candidates(source)


def test_a_folder_is_no_candidate(tmp_path):
    with pytest.raises(InputError, match="folder"):
        read_candidates(str(tmp_path))
