"""Candidates from names, ids and sentences."""

import numpy as np
import pytest

from okrcell.errors import InputError
from okrcell.tasks.candidates import candidate_vectors, parse_candidates, read_candidates


class Counting:
    """Embedder that returns a distinct vector for each text and counts the calls."""

    name = "counting"

    def __init__(self):
        self.calls = 0

    def embed_texts(self, texts):
        self.calls += 1
        return np.eye(max(len(texts), 1), dtype=np.float32)[: len(texts)]


def test_an_id_takes_the_name_of_its_term_and_a_known_name_its_id():
    by_id, by_name, free = parse_candidates(["CL:0000236", "T cells", "a cell that glows"])
    assert (by_id.name, by_id.term_id) == ("B cell", "CL:0000236")
    assert (by_name.name, by_name.term_id) == ("T cells", "CL:0000084")
    assert (free.name, free.term_id, free.texts) == ("a cell that glows", "", ("a cell that glows",))


def test_a_repeated_candidate_counts_once_in_its_first_place():
    assert [each.name for each in parse_candidates(["B cell", "T cell", "CL:0000236"])] == ["B cell", "T cell"]


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "no candidates"), (["B cell", " "], "empty"), (["CL:9999999"], "CL:9999999"), ("B cell", "list")],
)
def test_what_is_no_candidate_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        parse_candidates(words)


def test_a_file_holds_one_a_line_and_a_text_splits_at_commas(tmp_path):
    (tmp_path / "some.txt").write_text("# blood\nB cell\n\n a cell, with a comma \n")
    assert read_candidates(str(tmp_path / "some.txt")) == ["B cell", "a cell, with a comma"]
    assert read_candidates("B cell, CL:0000084,") == ["B cell", "CL:0000084"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00binary", b"\n# nothing\n"])
def test_a_file_without_candidates_is_refused(tmp_path, content):
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.txt"):
        read_candidates(str(tmp_path / "bad.txt"))


def test_a_candidate_is_the_direction_of_the_mean_of_its_texts():
    candidates = parse_candidates(["a cell that glows", "CL:0000236"])
    embedder = Counting()
    vectors = candidate_vectors(candidates, embedder)
    texts = len(candidates[1].texts)
    assert embedder.calls == 1
    np.testing.assert_allclose(vectors[0, 0], 1)
    np.testing.assert_allclose(vectors[1, 1:], np.full(texts, texts**-0.5), rtol=1e-6)


def test_a_name_that_holds_a_comma_is_put_together_again():
    assert read_candidates("B cell,CD4-positive, alpha-beta T cell,my own type") == [
        "B cell",
        "CD4-positive, alpha-beta T cell",
        "my own type",
    ]


def test_a_long_list_is_no_file():
    words = [f"a type of cell that is called number {number}" for number in range(200)]
    assert read_candidates(",".join(words)) == words


def test_two_names_of_one_type_are_one_candidate():
    assert [each.name for each in parse_candidates(["B cells", "B lymphocyte", "CL:0000236"])] == ["B cells"]


@pytest.mark.parametrize("text", ["B cell\nT\0cell\n", "B cell\n" + "x" * 100_001 + "\n"])
def test_zero_bytes_and_endless_lines_are_no_candidates(tmp_path, text):
    (tmp_path / "candidates.txt").write_text(text)
    with pytest.raises(InputError, match="is no list of candidates"):
        read_candidates(str(tmp_path / "candidates.txt"))
