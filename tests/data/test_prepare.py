"""Files are added to a corpus, all or none."""

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.cli import main
from okrcell.data.corpus import Corpus
from okrcell.data.prepare import PrepareSettings, prepare, study_name
from okrcell.data.split import train_validation_split
from okrcell.errors import InputError


@pytest.fixture
def write(tmp_path):
    """Write a small file of counts with real gene names."""
    table = GeneTable.bundled()
    symbols = table.symbol[np.flatnonzero(table.biotype == "protein_coding")[:200]]

    def written(name, cells=30, seed=0, change=lambda _: None):
        rng = np.random.default_rng(seed)
        counts = sparse.csr_matrix(rng.poisson(rng.gamma(0.4, 2.0, 200), (cells, 200)).astype(np.float32))
        obs = pd.DataFrame(
            {"cell_type": rng.choice(["B cell", "T cell"], cells), "donor": rng.choice(["1", "2"], cells)},
            index=[f"cell{number}" for number in range(cells)],
        )
        adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=symbols))
        change(adata)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        adata.write_h5ad(path)
        return path

    return written


def test_every_cell_of_every_file_is_there_in_order(write, tmp_path):
    files = [write("one.h5ad", 30, 1), write("two.h5ad", 17, 2)]
    report = prepare(files, tmp_path / "corpus", PrepareSettings(block_cells=8))
    corpus = Corpus.open(tmp_path / "corpus", GeneTable.bundled())
    adatas = [ad.read_h5ad(file) for file in files]
    rows = GeneTable.bundled().resolve(adatas[0].var_names.tolist()).row
    expected = np.concatenate([adata.X.toarray() for adata in adatas])
    np.testing.assert_array_equal(corpus.rows(np.arange(47))[:, rows].toarray(), expected)
    assert corpus.obs["study"].tolist() == ["one"] * 30 + ["two"] * 17
    assert corpus.obs["cell_type"].tolist() == [name for adata in adatas for name in adata.obs["cell_type"]]
    assert (report.cells, report.corpus_cells) == (47, 47)
    assert [(one.study, one.cells, one.kind, one.source, one.coverage) for one in report.files] == [
        ("one", 30, "counts", "X", 1.0),
        ("two", 17, "counts", "X", 1.0),
    ]
    origin = json.loads((tmp_path / "corpus" / "corpus.json").read_text())["sources"][0]["origin"]
    assert origin["file"] == "one.h5ad"
    assert origin["verb"] == "prepare"
    assert len(origin["sha256"]) == 64
    assert origin["findings"]


def test_empty_and_spoilt_cells_keep_their_place(write, tmp_path):
    def spoil(adata):
        dense = adata.X.toarray()
        dense[[0, 5]] = 0
        dense[7, 3] = np.nan
        adata.X = sparse.csr_matrix(dense)

    prepare([write("spoilt.h5ad", change=spoil)], tmp_path / "corpus")
    lengths = np.diff(Corpus.open(tmp_path / "corpus").rows(np.arange(30)).indptr)
    assert np.flatnonzero(lengths == 0).tolist() == [0, 5]  # NaN hides one gene of cell 7 alone


def test_log_values_are_made_linear(write, tmp_path):
    def log(adata):
        adata.X = adata.X.log1p()

    counts, logs = write("counts.h5ad"), write("logs.h5ad", change=log)
    report = prepare([counts, logs], tmp_path / "corpus")
    corpus = Corpus.open(tmp_path / "corpus")
    first, second = corpus.rows(np.arange(30)), corpus.rows(np.arange(30, 60))
    np.testing.assert_allclose(first.toarray(), second.toarray(), rtol=1e-4)
    assert [one.kind for one in report.files] == ["counts", "log1p"]
    assert corpus.obs["kind"].tolist() == ["counts"] * 30 + ["log1p"] * 30


def test_a_bad_file_is_named_and_nothing_is_written(write, tmp_path):
    good = write("good.h5ad")

    def scale(adata):
        adata.X = np.asarray(adata.X.toarray() - 3.3, dtype=np.float32)

    bad = write("scaled.h5ad", change=scale)
    with pytest.raises(InputError, match=r"^\S*scaled\.h5ad: "):
        prepare([good, bad], tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()
    prepare([good], tmp_path / "corpus")
    before = Corpus.open(tmp_path / "corpus").fingerprint
    with pytest.raises(InputError, match=r"scaled\.h5ad"):
        prepare([write("more.h5ad", seed=5), bad], tmp_path / "corpus")
    assert Corpus.open(tmp_path / "corpus").fingerprint == before


@pytest.mark.parametrize(
    "damage", [lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:-4000])]
)
def test_a_missing_or_truncated_file_is_one_line(write, tmp_path, damage):
    file = write("hurt.h5ad", 300)
    damage(file)
    with pytest.raises(InputError, match=r"hurt\.h5ad") as raised:
        prepare([file], tmp_path / "corpus")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "corpus").exists()


def test_mouse_is_mapped_and_said_or_refused(write, tmp_path, capsys):
    def capitalize(adata):
        adata.var_names = adata.var_names.str.capitalize()

    mouse = write("mouse.h5ad", change=capitalize)
    with pytest.raises(InputError, match=r"mouse\.h5ad: The genes are of mouse .*leave out species='human'"):
        prepare([mouse], tmp_path / "corpus", PrepareSettings(species="human"))
    with pytest.raises(InputError, match="Pass one of the two"):
        prepare([mouse], tmp_path / "corpus", PrepareSettings(species="human", orthologs=True))
    with pytest.raises(SystemExit) as ended:
        main(["prepare", str(mouse), "-o", str(tmp_path / "corpus"), "--species", "human"])
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main(["prepare", str(mouse), str(write("human.h5ad", seed=1)), "-o", str(tmp_path / "corpus")])
    assert ended.value.code == 0
    assert "MOUSE: the genes are of mouse; " in capsys.readouterr().out
    origins = [source.origin for source in Corpus.open(tmp_path / "corpus").sources]
    assert [(origin["species"], origin["orthologs"]) for origin in origins] == [("mouse", True), ("human", False)]
    assert origins[0]["findings"][0].startswith("MOUSE: ")


def test_a_file_is_not_added_twice(write, tmp_path):
    file = write("one.h5ad")
    prepare([file, file], tmp_path / "corpus")
    report = prepare([file, write("two.h5ad", seed=3)], tmp_path / "corpus")
    assert [one.already for one in report.files] == [True, False]
    assert (report.cells, report.corpus_cells, len(Corpus.open(tmp_path / "corpus"))) == (30, 60, 60)


def test_files_of_one_name_are_two_studies(write, tmp_path):
    files = [write("lung/cells.h5ad", seed=1), write("liver/cells.h5ad", seed=2)]
    prepare(files, tmp_path / "corpus")
    assert set(Corpus.open(tmp_path / "corpus").obs["study"]) == {"cells", "liver/cells"}


def test_a_study_is_named_after_its_file():
    assert study_name(Path("a/pbmc.v2.h5ad"), []) == "pbmc.v2"
    assert study_name(Path("a/matrix.csv.gz"), []) == "matrix"
    assert study_name(Path("a/filtered.h5"), ["filtered"]) == "a/filtered"
    with pytest.raises(InputError, match="another name"):
        study_name(Path("a/filtered.h5"), ["filtered", "a/filtered"])


def test_progress_is_told_by_file(write, tmp_path):
    progress_calls = []
    file = write("one.h5ad")
    prepare([file], tmp_path / "corpus", PrepareSettings(block_cells=20), lambda *call: progress_calls.append(call))
    assert progress_calls == [(file, 20, 30), (file, 30, 30)]


def test_no_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="at least one file"):
        prepare([], tmp_path / "corpus")


def test_real_files_go_through(shared_data, tmp_path):
    files = [shared_data / "pretrain" / name for name in ("marrow_triana_scuba.h5ad", "tirosh_melanoma_chetah.h5ad")]
    report = prepare(files, tmp_path / "corpus")
    corpus = Corpus.open(tmp_path / "corpus")
    assert len(corpus) == report.cells == sum(one.cells for one in report.files)
    found = train_validation_split(corpus.obs)
    assert len(found.train) + len(found.validation) == len(corpus)
    scale, count = corpus.gene_scale(), corpus.gene_count()
    assert ((scale > 0) == (count > 0)).all()
