"""What many tests stand on: real cells made small, a tiny text encoder, and a check of every tensor's shape."""

import os
import string
import warnings
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Before anything of these rooms is imported: their annotations are then checked at every call, shapes included.
install_import_hook(
    [
        "okrcell.model",
        "okrcell.losses",
        "okrcell.cells.tokenizer",
        "okrcell.model.text_encoder",
        "okrcell.data.dataloader",
    ],
    "shape_checks.check",
)

# The same examples at every run, so that what was green stays green; OKRCELL_EXPLORE=1 looks for new ones. No deadline: the
# time of an example depends on what else the machine does.
settings.register_profile("same", derandomize=not os.environ.get("OKRCELL_EXPLORE"), deadline=None)
settings.load_profile("same")

CELL_TYPES = {
    "Dendritic": "dendritic cell",
    "CD14+ Monocyte": "CD14-positive monocyte",
    "CD19+ B": "B cell",
    "CD4+/CD25 T Reg": "regulatory T cell",
    "CD8+ Cytotoxic T": "CD8-positive, alpha-beta cytotoxic T cell",
    "CD8+/CD45RA+ Naive Cytotoxic": "naive thymus-derived CD8-positive, alpha-beta T cell",
    "CD56+ NK": "natural killer cell",
    "CD4+/CD45RO+ Memory": "CD4-positive, alpha-beta memory T cell",
    "CD34+": "hematopoietic stem cell",
    "CD4+/CD45RA+/CD25- Naive T": "naive thymus-derived CD4-positive, alpha-beta T cell",
}
"""The authors' words of pbmc68k in those of the Cell Ontology."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public data sets; not everyone has it."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("OKRCELL_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no shared data; name its folder in OKRCELL_DATA")
    return folder


@pytest.fixture(scope="session")
def shared_knowledge() -> Path:
    """Folder of public knowledge files; not everyone has it."""
    beside = Path(__file__).parents[2] / "shared" / "knowledge"
    folder = Path(os.environ.get("OKRCELL_TEST_KNOWLEDGE", beside))
    if not folder.is_dir():
        pytest.skip("no shared knowledge; name its folder in OKRCELL_TEST_KNOWLEDGE")
    return folder


@pytest.fixture(scope="session")
def blood():
    """700 real blood cells with all 765 genes of the file, log values, named by their authors; read, do not change."""
    import anndata as ad
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file is of an older AnnData
        whole = sc.datasets.pbmc68k_reduced()
    adata = ad.AnnData(whole.raw.X.copy(), obs=whole.obs[[]].copy(), var=whole.raw.var[[]].copy())
    adata.obs["cell_type"] = whole.obs["bulk_labels"].astype(str).map(CELL_TYPES).to_numpy()
    adata.obs["tissue"] = "blood"
    adata.obs["donor"] = [f"donor{number % 7}" for number in range(adata.n_obs)]
    return adata


@pytest.fixture(scope="session")
def corpus_folder(blood, tmp_path_factory) -> Path:
    """A corpus of the same cells as two studies; the last ten cells have no cell type, one has no expression."""
    from okrcell.data.prepare import prepare

    folder = tmp_path_factory.mktemp("corpus")
    adata = blood.copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].where(adata.obs_names.isin(adata.obs_names[:-10]), "unknown")
    empty = adata.X.tolil()
    empty[3] = 0
    adata.X = empty.tocsr()
    files = []
    for name, part in (("first", adata[:400]), ("second", adata[400:])):
        files.append(folder / f"{name}.h5ad")
        part.copy().write_h5ad(files[-1])
    prepare(files, folder / "corpus")
    return folder / "corpus"


@pytest.fixture(scope="session")
def corpus(corpus_folder):
    from okrcell.data.corpus import Corpus

    return Corpus.open(corpus_folder)


@pytest.fixture(scope="session")
def vocabulary(corpus):
    """The genes that ten cells of the corpus have."""
    import numpy as np

    from okrcell.cells.genes import GeneTable, GeneVocabulary

    return GeneVocabulary.from_table(
        GeneTable.bundled(), np.flatnonzero(corpus.gene_count() >= 10), corpus.gene_scale()
    )


@pytest.fixture(scope="session")
def save_text_encoder():
    """Write a text encoder of a given shape into a folder, and return the folder."""
    return _save_text_encoder


def _save_text_encoder(config, folder: Path) -> Path:
    """Write an untrained transformer with a word-piece tokeniser that knows some words and every letter."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import AutoModel, PreTrainedTokenizerFast

    words = ["cell", "the", "of", "a", "t", "b", "in", "blood", "positive", "monocyte", "natural", "killer", "tissue"]
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    place = {piece: number for number, piece in enumerate(dict.fromkeys(pieces + words))}
    tokeniser = Tokenizer(models.WordPiece(place, unk_token="[UNK]"))
    tokeniser.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokeniser.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokeniser.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", place["[CLS]"]), ("[SEP]", place["[SEP]"])]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokeniser, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    fast.save_pretrained(folder)
    config.vocab_size = len(place)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    torch.set_rng_state(state)
    return folder


@pytest.fixture(scope="session")
def tiny_text_encoder(save_text_encoder, tmp_path_factory) -> Path:
    """Folder of a BERT of two layers of width 16."""
    from transformers import BertConfig

    config = BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=64
    )
    return save_text_encoder(config, tmp_path_factory.mktemp("text-encoder") / "tiny-bert")


@pytest.fixture(scope="session")
def tiny_model(tiny_text_encoder) -> dict:
    """Settings of a model that learns in seconds."""
    return {
        "tokeniser": {"limit": 64},
        "cell_encoder": {
            "kind": "latent",
            "width": 16,
            "heads": 2,
            "feed_forward": 16,
            "blocks": 1,
            "latents": 3,
            "dropout": 0.1,
        },
        "text_encoder": {"name": str(tiny_text_encoder), "limit": 48},
        "dim": 16,
    }


@pytest.fixture
def checkpoint(tiny_model, vocabulary):
    """A model with random weights, the same at every call."""
    import torch

    from okrcell.model.cell_text_model import CellTextModel, ModelSettings
    from okrcell.model.checkpoint import Checkpoint
    from okrcell.settings import parse_settings

    torch.manual_seed(1)
    model = CellTextModel(parse_settings(ModelSettings, tiny_model, "test"), n_genes=len(vocabulary))
    return Checkpoint(model.eval(), vocabulary, {"title": "tiny", "seen": {"cells": 0}}, "tiny")


@pytest.fixture
def run_settings(corpus_folder, tiny_model, tmp_path):
    """Make the settings of a run of seconds; changes are given as a nested dict."""
    from okrcell.settings import parse_settings
    from okrcell.training.settings import PretrainSettings

    def made(changes=None, output="run"):
        values = {
            "corpus": str(corpus_folder),
            "output": str(tmp_path / output),
            "title": "tiny",
            "model": tiny_model,
            "stream": {"batch_size": 32},
            "schedule": {"steps": [5, 5], "learning_rate": 1e-3},
            "split": {"validation": 0.2},
            "genes_in_cells": 10,
            "save_every": 3,
            "check_every": 5,
            "compute": {"accelerator": "cpu", "threads": 1, "devices": 1},
        }
        return parse_settings(PretrainSettings, _merged(values, changes or {}), "test")

    return made


def _merged(values: dict, changes: dict) -> dict:
    both = {**values, **changes}
    for key, change in changes.items():
        if isinstance(change, dict) and isinstance(values.get(key), dict):
            both[key] = _merged(values[key], change)
    return both
