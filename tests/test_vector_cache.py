"""Cached vectors are returned whole, or computed again."""

import os

import numpy as np
import pytest

from okrcell.vector_cache import load_vectors, store_vectors

VECTORS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    store_vectors(tmp_path / "cache" / "vectors.npy", VECTORS)
    return tmp_path / "cache" / "vectors.npy"


def flip(path):
    content = bytearray(path.read_bytes())
    content[-60] ^= 1
    path.write_bytes(bytes(content))


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a bit changed": flip,
    "an array without sha256": lambda path: np.save(path, VECTORS),
    "no array": lambda path: path.write_text("vectors"),
    "a pipe": replace_by_pipe,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def test_vectors_come_back(path):
    np.testing.assert_array_equal(load_vectors(path, 5, 3), VECTORS)
    np.testing.assert_array_equal(load_vectors(path, 5), VECTORS)
    assert load_vectors(path, 4) is None
    assert load_vectors(path, 5, 4) is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damage_is_a_miss(damage, path):
    DAMAGES[damage](path)
    assert load_vectors(path, 5, 3) is None


def test_a_place_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    store_vectors(tmp_path / "file" / "vectors.npy", VECTORS)
