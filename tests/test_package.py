"""Version, other spellings of public names, and the log of the package."""

import logging
import subprocess
import sys
from importlib.metadata import version

import okrcell as okr


def test_the_version_is_that_of_the_installed_package():
    assert okr.__version__ == version("okrcell")
    assert "__version__" in dir(okr)


def test_other_spellings_are_the_same_functions():
    assert okr.standardize is okr.standardise is okr.tl.standardise is okr.tl.standardize
    assert okr.pl.annotation is okr.pl.answers


def test_the_log_says_which_matrix_is_read_and_which_embeddings_are_reused(blood, caplog):
    adata, model = blood[:5].copy(), okr.load()
    with caplog.at_level(logging.INFO, logger="okrcell"):
        okr.tl.find_cells(adata, model, "B cell")
        okr.tl.find_cells(adata, model, "T cell")
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("okrcell.")]
    assert messages[0].startswith("Reading X (log1p) of 5 cells: ")
    assert messages[-1] == "Using the embeddings in obsm['X_okrcell'], which this model computed from these values"


def test_without_a_handler_nothing_is_printed():
    script = "import logging, okrcell; logging.getLogger('okrcell.cells').warning('a warning of use')"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("", "")
