"""Short commands import no package that takes seconds and that they do not need."""

import json
import subprocess
import sys

import pytest

FREE_TEXTS = "a lymphocyte that makes antibodies,a cell that kills infected cells"
HEAVY = {"anndata", "matplotlib", "pandas", "scanpy", "scipy", "sklearn", "torch", "torch._dynamo", "transformers"}
SCRIPT = """
import json, sys
from okrcell.__main__ import main
sys.argv = ["okrcell", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    status = ended.code or 0
else:
    status = 0
print(json.dumps([status, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def cells(blood, tmp_path_factory):
    path = tmp_path_factory.mktemp("cold") / "cells.h5ad"
    blood[:40].copy().write_h5ad(path)
    return path


def run(*words):
    """Exit status of a command, the heavy packages it imported, and its last line on stderr."""
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    status, modules = json.loads(ended.stdout.splitlines()[-1])
    return status, HEAVY & set(modules), ended.stderr.strip()


def test_help_imports_nothing_heavy():
    assert run("--help")[:2] == (0, set())


@pytest.mark.parametrize("verb", ["annotate", "cluster", "embed", "integrate"])
def test_a_wrong_file_name_is_reported_before_anything_heavy_is_imported(verb, tmp_path):
    status, heavy, error = run(verb, tmp_path / "absent.h5ad", "-o", tmp_path / "out.h5ad")
    assert (status, heavy) == (2, set())
    assert error == f"okrcell: There is no file {tmp_path / 'absent.h5ad'}. Check the path."


@pytest.mark.parametrize(
    "words",
    [
        ("annotate", "--examples-key", "cell_typ"),
        ("annotate", "--reference", "CELLS", "--label-key", "cell_typ"),
        ("integrate", "--batch-key", "cell_typ"),
        ("describe", "--groupby", "cell_typ"),
        ("explain", "--groupby", "cell_typ"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_wrong_column_is_reported_before_cells_and_model_are_read(words, cells, tmp_path):
    verb, *options = [str(cells) if word == "CELLS" else word for word in words]
    output = [] if verb in ("describe", "explain") else ["-o", tmp_path / "out.h5ad"]
    status, heavy, error = run(verb, cells, *output, *options)
    assert (status, heavy & {"anndata", "torch", "scanpy", "sklearn", "transformers"}) == (2, set())
    assert "cell_typ'" in error
    assert "similar columns are cell_type" in error


@pytest.mark.parametrize(
    "words",
    [
        ("cluster", "--use-rep", "X_pca"),
        *((verb, "--layer", "umi") for verb in ("annotate", "audit", "embed", "prepare")),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_wrong_layer_or_representation_is_reported_before_cells_and_model_are_read(words, cells, tmp_path):
    verb, *options = words
    output = tmp_path / {"audit": "out.tsv", "prepare": "corpus"}.get(verb, "out.h5ad")
    status, heavy, error = run(verb, cells, "-o", output, *options)
    assert (status, heavy & {"anndata", "torch", "scanpy", "sklearn", "transformers"}) == (2, set())
    assert error.startswith("okrcell: There is no ")


def test_ids_need_neither_the_text_encoder_nor_scanpy(cells, tmp_path):
    status, heavy, _ = run("annotate", cells, "-o", tmp_path / "out.h5ad", "--candidates", "CL:0000236,CL:0000084")
    assert (status, heavy & {"matplotlib", "scanpy", "sklearn", "torch._dynamo", "transformers"}) == (0, set())


@pytest.mark.parametrize("verb", ["annotate", "find", "describe"])
def test_free_texts_need_no_transformers(verb, cells, tmp_path):
    words = {
        "annotate": [cells, "--candidates", FREE_TEXTS, "-o", tmp_path / "out.h5ad"],
        "find": [cells, "a lymphocyte that makes antibodies"],
        "describe": [cells, "--candidates", FREE_TEXTS, "--groupby", "cell_type", "-o", tmp_path / "page.md"],
    }
    status, heavy, _ = run(verb, *words[verb])
    assert (status, heavy & {"torch._dynamo", "transformers"}) == (0, set())
