"""A corpus returns the cells that were appended and survives interrupted writes."""

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.data.corpus import Corpus, obs_file, read_manifest, shard_file
from okrcell.data.corpus_writer import CorpusWriter
from okrcell.errors import InputError
from okrcell.provenance import fingerprint

GENES = 40


def table_of(version="test", genes=GENES):
    names = np.array([f"ENSG{number:011d}" for number in range(genes)])
    return GeneTable(version=version, ensembl_id=names, symbol=names, biotype=np.full(genes, "protein_coding"))


@dataclass
class Cells:
    """Stand-in for `Expression` with the members that the writer uses."""

    matrix: sparse.csr_matrix
    kind: str = "counts"

    @property
    def n_cells(self):
        return self.matrix.shape[0]

    def blocks(self, size=2048):
        for start in range(0, self.n_cells, size):
            yield self.matrix[start : start + size]


def example_cells(n, seed=0, genes=GENES):
    matrix = sparse.random(n, genes, density=0.3, random_state=seed, format="csr", dtype=np.float32)
    matrix.data = np.ceil(matrix.data * 20).astype(np.float32)
    return sparse.csr_matrix(matrix)


def known(n, **columns):
    return pd.DataFrame(columns, index=[f"cell{number}" for number in range(n)])


def put(path, *matrices, **options):
    with CorpusWriter(path, table_of(), **options) as writer:
        for number, matrix in enumerate(matrices):
            writer.append(
                Cells(matrix), known(matrix.shape[0]), study=f"study{number}", origin={"file": f"{number}.h5ad"}
            )
    return Corpus.open(path)


def check_hashes(corpus):
    for shard in corpus.manifest.shards:
        assert fingerprint(shard_file(corpus.path, shard.number)) == shard.sha256
        assert fingerprint(obs_file(corpus.path, shard.number)) == shard.obs_sha256


def same(found, expected):
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert (found != expected).nnz == 0
    assert found.nnz == expected.nnz


def test_rows_come_back_in_the_order_asked_across_shards_and_appends(tmp_path):
    first, second = example_cells(50, 1), example_cells(31, 2)
    put(tmp_path / "corpus", first, shard_cells=20, block_cells=7)
    corpus = put(tmp_path / "corpus", second, shard_cells=20, block_cells=7)
    everything = sparse.vstack([first, second], format="csr")
    rows = np.random.default_rng(0).integers(0, 81, 200)
    assert len(corpus) == 81
    same(corpus.rows(np.arange(81)), everything)
    same(corpus.rows(rows), everything[rows])
    assert corpus.rows([]).shape == (0, GENES)
    check_hashes(corpus)


def test_empty_cells_stay_where_they_are(tmp_path):
    matrix = example_cells(10).tolil()
    matrix[[0, 4, 9]] = 0
    corpus = put(tmp_path / "corpus", sparse.csr_matrix(matrix.tocsr()), block_cells=4)
    assert np.flatnonzero(np.diff(corpus.rows(np.arange(10)).indptr) == 0).tolist() == [0, 4, 9]


@pytest.mark.parametrize("value", [65_535.0, 65_536.0, 1_234_567.0, 0.1, 3.4e38])
def test_no_value_is_rounded(tmp_path, value):
    matrix = example_cells(10)
    matrix.data[-1] = value
    same(put(tmp_path / "corpus", matrix, block_cells=4).rows(np.arange(10)), matrix)


def test_whole_counts_take_half_the_room(tmp_path):
    counts = example_cells(2000)
    halves = counts.copy()
    halves.data += 0.5
    put(tmp_path / "counts", counts)
    put(tmp_path / "halves", halves)
    sizes = [(tmp_path / name / "shards" / "00000.arrow").stat().st_size for name in ("counts", "halves")]
    assert sizes[0] < 0.75 * sizes[1]


def test_an_index_out_of_range_is_refused(tmp_path):
    corpus = put(tmp_path / "corpus", example_cells(5))
    for wrong in ([5], [-1]):
        with pytest.raises(IndexError, match="cells 0 to 4"):
            corpus.rows(wrong)


def test_obs_speaks_in_words_of_all_studies(tmp_path):
    path = tmp_path / "corpus"
    with CorpusWriter(path, table_of()) as writer:
        obs = known(3, cell_type=pd.Categorical(["B cell", None, "T cell"]), donor_id=[1.0, np.nan, 2.0], colour="red")
        writer.append(Cells(example_cells(3)), obs, study="first", origin={})
        obs = known(2, cell_type=[" T cell", "monocyte"], donor=["a", "b"], study=["own", ""])
        writer.append(Cells(example_cells(2), kind="log1p"), obs, study="second", origin={})
    obs = Corpus.open(path).obs
    assert obs["cell_type"].tolist() == ["B cell", "", "T cell", "T cell", "monocyte"]
    assert obs["donor"].tolist() == ["1", "", "2", "a", "b"]
    assert obs["study"].tolist() == ["first", "first", "first", "own", "second"]
    assert obs["kind"].tolist() == ["counts"] * 3 + ["log1p"] * 2
    assert all(isinstance(kind, pd.CategoricalDtype) for kind in obs.dtypes)
    assert "colour" not in obs


def test_gene_figures_are_those_of_all_cells(tmp_path):
    first, second = example_cells(50, 1), example_cells(31, 2)
    put(tmp_path / "corpus", first, block_cells=7)
    corpus = put(tmp_path / "corpus", second)
    everything = sparse.vstack([first, second]).toarray().astype(np.float64)
    totals = everything.sum(axis=1, keepdims=True)
    scaled = np.divide(everything * 10_000, totals, out=np.zeros_like(everything), where=totals > 0)
    count = (everything > 0).sum(axis=0)
    np.testing.assert_array_equal(corpus.gene_count(), count)
    np.testing.assert_allclose(corpus.gene_scale(), scaled.sum(axis=0) / np.maximum(count, 1), rtol=1e-6)
    assert corpus.gene_scale().dtype == np.float32


def test_an_opened_corpus_is_not_disturbed_by_an_append(tmp_path):
    first = example_cells(10, 1)
    opened = put(tmp_path / "corpus", first)
    before = opened.fingerprint
    later = put(tmp_path / "corpus", example_cells(5, 2))
    assert len(opened) == 10
    assert opened.gene_count().sum() == first.nnz
    same(opened.rows(np.arange(10)), first)
    assert opened.fingerprint == before != later.fingerprint


def test_equal_appends_have_equal_fingerprints(tmp_path):
    assert put(tmp_path / "a", example_cells(9)).fingerprint == put(tmp_path / "b", example_cells(9)).fingerprint


def test_a_worker_opens_the_files_itself(tmp_path):
    corpus = put(tmp_path / "corpus", example_cells(500))
    corpus.rows([1])
    sent = pickle.dumps(corpus)
    assert len(sent) < 2000
    same(pickle.loads(sent).rows([3, 1]), corpus.rows([3, 1]))


def test_open_files_do_not_grow_with_shards(tmp_path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("needs /proc")
    corpus = put(tmp_path / "corpus", example_cells(60), shard_cells=2, block_cells=2)
    before = len(list(handles.iterdir()))
    corpus.rows(np.arange(60))
    assert len(list(handles.iterdir())) == before


def test_a_failed_append_takes_everything_back(tmp_path):
    class Broken(Cells):
        def blocks(self, size=2048):
            yield self.matrix[:3]
            raise InputError("damaged in the middle")

    for name in ("new", "old"):
        path = tmp_path / name
        former = put(path, example_cells(5)) if name == "old" else None
        with pytest.raises(InputError, match="damaged in the middle"), CorpusWriter(path, table_of()) as writer:
            writer.append(Cells(example_cells(4)), known(4), study="good", origin={})
            writer.append(Broken(example_cells(6)), known(6), study="bad", origin={})
        if former is None:
            assert not path.exists()
        else:
            assert len(Corpus.open(path)) == 5
            assert Corpus.open(path).fingerprint == former.fingerprint
            assert len(list((path / "shards").iterdir())) == 2


def test_after_a_failed_append_the_writer_can_go_on(tmp_path):
    good, late = example_cells(4, 1), example_cells(3, 2)
    with CorpusWriter(tmp_path / "corpus", table_of()) as writer:
        writer.append(Cells(good), known(4), study="good", origin={})
        with pytest.raises(InputError, match="another gene table"):
            writer.append(Cells(example_cells(3, genes=9)), known(3), study="of another table", origin={})
        writer.append(Cells(late), known(3), study="late", origin={})
    corpus = Corpus.open(tmp_path / "corpus")
    same(corpus.rows(np.arange(7)), sparse.vstack([good, late], format="csr"))
    assert [source.study for source in corpus.sources] == ["good", "late"]


def test_obs_must_have_a_row_for_each_cell(tmp_path):
    with (
        pytest.raises(InputError, match="obs has 3 rows for 4 cells"),
        CorpusWriter(tmp_path / "c", table_of()) as writer,
    ):
        writer.append(Cells(example_cells(4)), known(3), study="short", origin={})


def test_another_gene_table_is_refused(tmp_path):
    put(tmp_path / "corpus", example_cells(4))
    for genes in (39, 41):
        with pytest.raises(InputError, match="gene table test"):
            CorpusWriter(tmp_path / "corpus", table_of("other", genes))
        with pytest.raises(InputError, match="gene table test"):
            Corpus.open(tmp_path / "corpus", table_of("other", genes))
    assert len(Corpus.open(tmp_path / "corpus", table_of())) == 4


def test_a_strangers_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"chapter1\.txt"):
        CorpusWriter(tmp_path / "thesis", table_of())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        CorpusWriter(tmp_path / "file", table_of())
    with pytest.raises(InputError, match="no folder"):
        CorpusWriter(tmp_path / "nowhere" / "corpus", table_of())
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"
    assert [part.name for part in (tmp_path / "thesis").iterdir()] == ["chapter1.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="no lock there")
def test_two_writers_at_once_are_refused(tmp_path):
    with CorpusWriter(tmp_path / "corpus", table_of()) as writer:
        writer.append(Cells(example_cells(4)), known(4), study="one", origin={})
        with pytest.raises(InputError, match="Another process"):
            CorpusWriter(tmp_path / "corpus", table_of())
    assert len(Corpus.open(tmp_path / "corpus")) == 4


def test_no_corpus_is_said_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(InputError, match="okrcell prepare"):
        Corpus.open(tmp_path)


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (lambda path: (path / "corpus.json").write_text("{"), "cannot be read as a corpus"),
        (
            lambda path: (path / "corpus.json").write_text('{"format": "okrcell corpus 9"}'),
            "cannot be read as a corpus",
        ),
        (lambda path: (path / "shards" / "00000.arrow").unlink(), "is missing"),
        (lambda path: os.truncate(path / "shards" / "00000.arrow", 100), "has 100 bytes"),
        (lambda path: (path / "shards" / "00000.obs.arrow").unlink(), "obs.arrow is missing"),
        (lambda path: (path / "genes-00001.arrow").unlink(), "damaged"),
        (lambda path: (path / "genes-00001.arrow").write_bytes(b"ARROW1"), "damaged"),
    ],
)
def test_damage_is_seen_when_the_corpus_is_opened(tmp_path, damage, seen):
    put(tmp_path / "corpus", example_cells(5))
    damage(tmp_path / "corpus")
    with pytest.raises(InputError, match=seen):
        Corpus.open(tmp_path / "corpus")


def test_damage_inside_a_shard_never_reaches_a_matrix(tmp_path):
    path = tmp_path / "corpus"
    matrix = example_cells(64)
    put(path, matrix)
    file = path / "shards" / "00000.arrow"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        hurt = bytearray(whole)
        start = int(rng.integers(0, len(whole)))
        hurt[start : start + 8] = rng.bytes(len(hurt[start : start + 8]))
        file.write_bytes(hurt)
        corpus = Corpus.open(path)
        try:
            found = corpus.rows(np.arange(64))
        except InputError:
            continue
        assert found.shape == (64, GENES)
        found.check_format(full_check=True)


WRITER_THAT_HANGS = """
import sys, time
import numpy as np, pandas as pd
sys.path.insert(0, {here!r})
import okrcell.data.corpus_writer as room
from test_corpus import Cells, known, example_cells, table_of

def hang(*_):
    print("now", flush=True)
    time.sleep(600)

class Slow(Cells):
    def blocks(self, size=2048):
        for number, block in enumerate(super().blocks(size)):
            if {moment!r} == "appending" and number == 3:
                hang()
            yield block

if {moment!r} == "committing":
    room.write_json = hang
with room.CorpusWriter({path!r}, table_of(), shard_cells=10, block_cells=5) as writer:
    writer.append(Slow(example_cells(40, 7)), known(40), study="killed", origin={{}})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("moment", ["appending", "committing"])
@pytest.mark.parametrize("begun", [True, False])
def test_a_killed_writer_leaves_the_former_corpus(tmp_path, moment, begun):
    path = tmp_path / "corpus"
    first = example_cells(15, 1)
    if begun:
        put(path, first)
    script = textwrap.dedent(WRITER_THAT_HANGS).format(here=str(Path(__file__).parent), moment=moment, path=str(path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(list((path / "shards").glob("*.arrow"))) > 2 * begun
    if begun:
        former = Corpus.open(path)
        same(former.rows(np.arange(15)), first)
        assert former.gene_count().sum() == first.nnz
    else:
        with pytest.raises(InputError, match="no corpus"):
            Corpus.open(path)
    second = example_cells(6, 2)
    corpus = put(path, second)
    expected = sparse.vstack([first, second], format="csr") if begun else second
    same(corpus.rows(np.arange(len(corpus))), expected)
    check_hashes(corpus)
    named = {f"{shard['number']:05d}" for shard in json.loads((path / "corpus.json").read_text())["shards"]}
    assert {file.name.split(".")[0] for file in (path / "shards").iterdir()} == named
    assert len(list(path.glob("genes-*"))) == 1


def test_a_manifest_nested_too_deeply_is_one_line(tmp_path):
    (tmp_path / "corpus.json").write_text('{"a": ' * 20_000 + "1" + "}" * 20_000)
    with pytest.raises(InputError, match="cannot be read as a corpus"):
        read_manifest(tmp_path)
