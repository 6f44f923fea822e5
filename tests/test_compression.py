"""Gzipped inputs are read up to a bound on what they decompress to."""

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.io import mmwrite

from okrcell import compression
from okrcell.cells.io import open_cells
from okrcell.compression import MAX_RATIO, max_size, open_maybe_gzip
from okrcell.errors import InputError

GENES = ["CD3D", "LYZ", "MS4A1", "NKG7", "GNLY"]


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch):
    monkeypatch.setattr(compression, "MIN_LIMIT", 100_000)


@pytest.fixture
def folder(tmp_path):
    mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(np.arange(15).reshape(5, 3)))
    (tmp_path / "features.tsv").write_text("".join(f"{gene}\n" for gene in GENES))
    (tmp_path / "barcodes.tsv").write_text("a\nb\nc\n")
    return tmp_path


def refused(path, match):
    with pytest.raises(InputError, match=match) as caught:
        open_cells(path)
    assert "\n" not in str(caught.value)


def compress(path, text):
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(text))


def test_a_file_is_read_whatever_its_name_and_up_to_the_bound(tmp_path):
    content = np.random.default_rng(0).integers(0, 10, 300_000).astype("S1").tobytes()
    for name, stored in (("plain.gz", content), ("packed", gzip.compress(content))):
        (tmp_path / name).write_bytes(stored)
        with open_maybe_gzip(tmp_path / name) as file:
            assert file.read() == content
    assert max_size(tmp_path / "plain.gz") == len(content)
    (tmp_path / "zeros").write_bytes(gzip.compress(bytes(1_000_000)))
    assert max_size(tmp_path / "zeros") == MAX_RATIO * (tmp_path / "zeros").stat().st_size
    with open_maybe_gzip(tmp_path / "zeros") as file, pytest.raises(InputError, match=r"impossible size.*gunzip zeros"):
        file.read()


def test_a_bomb_behind_random_bytes_ends_at_the_bytes_that_were_read(tmp_path):
    noise = np.random.default_rng(0).bytes(50_000)
    (tmp_path / "late").write_bytes(gzip.compress(noise + bytes(20_000_000)))
    n_read = 0
    with open_maybe_gzip(tmp_path / "late") as file, pytest.raises(InputError, match="impossible size"):
        while part := file.read(1 << 16):
            n_read += len(part)
    assert 5_000_000 < n_read < 10_000_000


@pytest.mark.parametrize("text", [b"0,0,0\n", b"0", b"0,", b"\n"])
def test_a_table_that_decompresses_without_end_is_refused(tmp_path, text):
    compress(tmp_path / "cells.csv", b",CD3D,LYZ\na,1,2\n" + text * (4_000_000 // len(text)))
    refused(tmp_path / "cells.csv.gz", "cells.csv.gz decompresses to an impossible size")


def test_a_matrix_or_names_that_decompress_without_end_are_refused(folder):
    for name, text in (("barcodes.tsv", b"c\n"), ("features.tsv", b"x"), ("matrix.mtx", b"1 1 1\n")):
        content = (folder / name).read_bytes()
        compress(folder / name, content.replace(b"5 3 14", b"5 3 20000") + text * 1_000_000)
        refused(folder, f"{name}.gz decompresses to an impossible size")
        compress(folder / name, content)
    assert open_cells(folder).shape == (3, 5)


def test_a_matrix_that_claims_more_values_than_its_bytes_is_refused(folder):
    text = (folder / "matrix.mtx").read_text().replace("5 3 14", "5 3 100000000000")
    (folder / "matrix.mtx").write_text(text)
    refused(folder, "claims 100,000,000,000 values, but has")
    compress(folder / "matrix.mtx", text.encode())
    refused(folder, "claims 100,000,000,000 values, but has")


def test_a_sparse_table_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "MIN_LIMIT", 10_000)
    counts = np.random.default_rng(0).poisson(0.01, (2000, 5))
    table = pd.DataFrame(counts, columns=GENES, index=[f"c{number}" for number in range(2000)])
    table.to_csv(tmp_path / "cells.csv.gz")
    np.testing.assert_array_equal(open_cells(tmp_path / "cells.csv.gz").X.toarray(), counts)
